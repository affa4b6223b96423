/* SPDX-License-Identifier: ISC */
/*
 * key - a private key that signs, and its public side for DNS.
 *
 * RSA from 1024 bits (RFC 8301 section 3.2) and Ed25519 (RFC 8463).
 */
#ifndef DKIM_KEY_H
#define DKIM_KEY_H

#include "lib/proc/config.h"

struct key;

/* Of new keys: the record of a larger one fits no DNS answer of 512 octets. */
enum { KEY_RSA_BITS = 2048 };

/*
 * Read PEM (PKCS#8 or PKCS#1). NULL with the reason appended to `why`, such that
 * "FILE " in front of it makes a sentence.
 */
struct key *key_load(struct str pem, struct buf *why);
struct key *key_create(enum key_type type); /* a new one; NULL if OpenSSL cannot */
void        key_destroy(struct key *k);     /* NULL is allowed */

enum key_type key_type(const struct key *k);
unsigned      key_bits(const struct key *k); /* 256 for Ed25519 */

/* Append the signature of a SHA-256 digest of 32 octets. False if OpenSSL refuses. */
bool key_sign(struct key *k, struct str digest, struct buf *out) MUST_USE;

void key_format_pem(const struct key *k, struct buf *out);    /* PKCS#8; the caller wipes it */
void key_format_record(const struct key *k, struct buf *out); /* "v=DKIM1; k=rsa; p=..." */

/* "rsa", "ed25519": k= of the record, and what people read. */
struct str key_type_name(enum key_type type);

#endif
