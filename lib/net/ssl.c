/* SPDX-License-Identifier: ISC */
#include "lib/net/ssl.h"

#include <openssl/err.h>
#include <stdlib.h>

/* Forward secrecy and AEAD; the suites of TLS 1.3 are all of that kind. */
static const char suites_tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const char suites_tls13[] =
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

SSL_CTX *
ssl_context(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL)
		abort();
	/* Set here and not left to the machine's openssl.cnf: tests must see what users get. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, 0) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, suites_tls12) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, suites_tls13) != 1)
		abort();
	/*
	 * SMTP says itself where its data ends, so a peer that closes without
	 * close_notify has merely ended: OpenSSL 3 makes that an error if not told otherwise.
	 */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1); /* else each record costs two reads */
	return ctx;
}

const char *
ssl_reason(void)
{
	unsigned long error = ERR_get_error();
	const char   *reason = error == 0 ? NULL : ERR_reason_error_string(error);

	ERR_clear_error();
	return reason == NULL ? "unknown error" : reason;
}
