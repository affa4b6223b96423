/* SPDX-License-Identifier: ISC */
/*
 * scram - the one stored form of a password: the SCRAM-SHA-256 verifier.
 *
 *     SCRAM-SHA-256$10000:BASE64SALT$BASE64STOREDKEY:BASE64SERVERKEY
 *
 * (RFC 5803, RFC 7677.) It serves SCRAM itself, and PLAIN and LOGIN by deriving
 * the stored key again, so that no password is kept anywhere in clear.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "lib/util/buf.h"

enum { SCRAM_ITERATIONS = 10000, SCRAM_SALT = 16, SCRAM_KEY = 32 };

struct scram {
	unsigned iterations;
	uint8_t  salt[64];
	size_t   salt_n;
	uint8_t  stored_key[SCRAM_KEY];
	uint8_t  server_key[SCRAM_KEY];
};

/* False if `text` is not of the form above or asks for over 1,000,000 iterations. */
bool scram_parse(struct str text, struct scram *s) MUST_USE;
void scram_format(struct buf *out, const struct scram *s);

/* From a password and a salt; about 3 ms at SCRAM_ITERATIONS. False if the library fails. */
bool
scram_derive(struct scram *s, struct str password, struct str salt, unsigned iterations) MUST_USE;

/* Constant time in the outcome. */
bool scram_verify(const struct scram *s, struct str password) MUST_USE;

/* HMAC-SHA-256, for what is derived beside the verifier itself. */
bool scram_hmac(uint8_t out[SCRAM_KEY], struct str key, struct str text) MUST_USE;

#endif
