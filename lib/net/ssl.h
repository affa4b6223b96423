/* SPDX-License-Identifier: ISC */
/* ssl - what the files of lib/net that speak OpenSSL share; nobody else includes this. */
#ifndef LIB_NET_SSL_H
#define LIB_NET_SSL_H

#include <openssl/ssl.h>

#include "lib/net/tls.h"

/* One certificate with its chain, its key and the names it is good for. */
struct cert {
	X509           *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY       *key;
	struct buf      names; /* lower case, a space between; DNS names with wildcards, addresses */
};

/* False and a sentence in `why`; cert_free() is needed in either case. */
bool    cert_load(struct cert *c, const struct tls_pair *pair, struct buf *why) MUST_USE;
void    cert_free(struct cert *c);
int64_t cert_not_after_ms(const struct cert *c);

enum cert_match { MATCH_NONE, MATCH_WILDCARD, MATCH_EXACT };
/* `names` as in struct cert; case does not matter, a final dot of `name` neither. */
enum cert_match cert_names_match(struct str names, struct str name);

/* Protocols, suites and modes that both sides share. Never NULL. */
SSL_CTX *ssl_context(const SSL_METHOD *method);

/* The first entry of OpenSSL's error queue in its words, and the queue emptied. Never NULL. */
const char *ssl_reason(void);

/* A key with the public half of `pub` that `signer` signs with. NULL if OpenSSL refuses. */
EVP_PKEY *tls_remote_key(const EVP_PKEY *pub, const struct tls_signer *signer);

/* A connection's object, ready for the handshake; the context lives at least as long. Never NULL. */
SSL *tls_server_ssl(struct tls_server *s);
SSL *tls_client_ssl(struct tls_client *c, struct str name);

/* After a client's handshake: why the peer may not be who it should be; NULL: it is. */
const char *tls_client_doubt(const SSL *ssl);

#endif
