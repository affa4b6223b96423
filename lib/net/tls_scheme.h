/* SPDX-License-Identifier: ISC */
/* tls_scheme - the ways to sign that server handshakes use; for lib/net's files with keys only. */
#ifndef LIB_NET_TLS_SCHEME_H
#define LIB_NET_TLS_SCHEME_H

#include <openssl/evp.h>

#include "lib/net/tls_key.h"

struct tls_scheme {
	unsigned    code;  /* RFC 8446 section 4.2.3 */
	const char *type;  /* of the key, in OpenSSL's words */
	const char *hash;  /* empty: the key's own */
	const char *alias; /* what other versions call it */
	bool        pss, tls12_only;
};

/* NULL if there is none. `hash` as OpenSSL names it; empty is allowed. */
const struct tls_scheme *tls_scheme_by_code(unsigned code);
const struct tls_scheme *tls_scheme_by_hash(const char *type, const char *hash, bool pss);

/* The public half's name; false if OpenSSL cannot write it down, or the type has no scheme here. */
bool tls_key_name(const EVP_PKEY *key, unsigned char id[TLS_KEY_ID]) MUST_USE;

#endif
