/* SPDX-License-Identifier: ISC */
/* certs - certificates made on the spot. */
#ifndef TESTS_UNIT_NET_CERTS_H
#define TESTS_UNIT_NET_CERTS_H

#include "lib/net/tls.h"

enum cert_type { CERT_RSA, CERT_ECDSA, CERT_ECDSA384, CERT_ED25519 };

struct made_cert {
	struct buf cert, key; /* PEM */
};

/*
 * Names as OpenSSL's configuration writes them: "DNS:a.test,DNS:*.b.test,IP:127.0.0.1"; a ~
 * becomes a NUL.
 * Signed by `issuer`, or by itself if that is NULL. Ends in a year.
 */
void made_cert_init(struct made_cert *m, enum cert_type type, const char *names,
		    const struct made_cert *issuer);
void made_cert_free(struct made_cert *m);

struct tls_pair made_cert_pair(const struct made_cert *m);

#endif
