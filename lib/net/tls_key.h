/* SPDX-License-Identifier: ISC */
/*
 * tls_key - the private half of a certificate, in a process that does nothing but sign.
 *
 * It signs what a TLS server signs in a handshake, and nothing else: the octets are
 * read before they are signed, so the key is of no use for a client's part, for another
 * protocol or for mail. lib/net/tls.h has the other side (struct tls_signer).
 */
#ifndef LIB_NET_TLS_KEY_H
#define LIB_NET_TLS_KEY_H

#include "lib/util/buf.h"

struct tls_key;

enum {
	TLS_KEY_ID = 32,        /* octets that name a key: SHA-256 of its public half */
	TLS_CONTENT_MAX = 256,  /* what is signed is shorter */
	TLS_SIGNATURE_MAX = 2048,
};

/* RSA, ECDSA and Ed25519 keys in PEM. NULL and a sentence in `why` if it is of no use. */
struct tls_key *tls_key_load(struct str pem, struct buf *why);
void            tls_key_destroy(struct tls_key *k); /* NULL is allowed */

struct str tls_key_id(const struct tls_key *k); /* lives as long as `k` */

/*
 * Append the signature of `content` by a scheme of RFC 8446 section 4.2.3. NULL, or why it is
 * refused: it is neither a server's CertificateVerify of TLS 1.3 (RFC 8446 section 4.4.3) nor the
 * key share of a TLS 1.2 server (RFC 8422 section 5.4), or this key has no such scheme.
 */
const char *tls_key_sign(const struct tls_key *k, unsigned scheme, struct str content,
                         struct buf *out);

#endif
