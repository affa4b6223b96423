/* SPDX-License-Identifier: ISC */
/*
 * public - a public key as DNS has it, for who checks what he published.
 *
 * The p= of RFC 6376 section 3.6.1: for RSA a SubjectPublicKeyInfo (a bare RSAPublicKey is
 * taken too, as receivers do), for Ed25519 the 32 octets themselves (RFC 8463 section 4.2).
 */
#ifndef DKIM_PUBLIC_H
#define DKIM_PUBLIC_H

#include "lib/proc/config.h"

struct public_key;

/* `octets` is p= decoded. NULL if it holds no whole key of that type. */
struct public_key *public_parse(enum key_type type, struct str octets);
void               public_destroy(struct public_key *k); /* NULL is allowed */

unsigned public_bits(const struct public_key *k); /* 256 for Ed25519 */

/* Is `signature` one of this digest (SHA-256, 32 octets)? */
bool public_verify(const struct public_key *k, struct str digest, struct str signature) MUST_USE;

#endif
