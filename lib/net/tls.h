/* SPDX-License-Identifier: ISC */
/*
 * tls - certificates, contexts and what became of a handshake.
 *
 * TLS 1.2 and 1.3 only, forward-secret AEAD suites only, no renegotiation, no
 * compression, one ticket a connection. lib/net alone includes openssl/ssl.h.
 */
#ifndef LIB_NET_TLS_H
#define LIB_NET_TLS_H

#include "lib/util/buf.h"

struct tls_server; /* certificates of our listeners; counted: sessions keep theirs over a reload */
struct tls_client; /* outbound: trust anchors and the session cache */

/* What a handshake wants to have signed; lib/net/tls_key.h is the other side. */
struct tls_to_sign {
	struct str key;     /* its name, TLS_KEY_ID octets */
	unsigned   scheme;  /* RFC 8446 section 4.2.3 */
	struct str content; /* at most TLS_CONTENT_MAX octets */
};

/*
 * Signs for keys that are in another process. Called in the middle of a handshake, which waits:
 * it must come back soon, with the signature appended or with false, which ends the handshake.
 */
struct tls_signer {
	bool (*sign)(void *arg, const struct tls_to_sign *what, struct buf *signature);
	void *arg;
};

struct tls_pair {
	struct str cert_pem; /* leaf first, then the chain */
	struct str key_pem;
	const struct tls_signer *signer; /* instead of `key_pem`; outlives the server and its connections */
};

/*
 * One context for all pairs; the first answers clients without SNI or with an
 * unknown name, the others by the names in their certificates. NULL and a
 * sentence in `why` if a pair is unusable (unreadable, key does not match, encrypted).
 */
struct tls_server *tls_server_create(const struct tls_pair *pairs, size_t n, struct buf *why);
struct tls_server *tls_server_ref(struct tls_server *s);
void               tls_server_unref(struct tls_server *s); /* NULL is allowed */

/* True if a certificate of `s` covers `name` (SAN, wildcards of one label). */
bool tls_server_covers(const struct tls_server *s, struct str name);

/*
 * `ca_pem` replaces the system's trust anchors if not empty. Those are mapped
 * here and parsed at the first handshake, so that a sandbox may close between the two. NULL and a
 * sentence in `why` if `ca_pem` holds none.
 */
struct tls_client *tls_client_create(struct str ca_pem, struct buf *why);
void               tls_client_destroy(struct tls_client *c); /* after its streams; NULL is allowed */

/* Facts about an established connection; text is valid as long as the stream. */
struct tls_info {
	const char *version;  /* "1.2", "1.3" */
	const char *cipher;
	unsigned    bits;
	bool        verified; /* client side: chain and name are good */
	const char *why;      /* not verified: OpenSSL's reason */
};

/* Check of one pair for config: names, expiry; false with a sentence in `why` if unusable. */
bool tls_pair_check(const struct tls_pair *pair, int64_t *not_after_ms, struct buf *names, struct buf *why);

/* What clients of today hold against a usable pair (a literal, to stand behind its name), or NULL. */
const char *tls_pair_weakness(const struct tls_pair *pair);

#endif
