/* SPDX-License-Identifier: ISC */
/* verify - a plain DKIM verifier for tests, made from RFC 6376 section 6, not from our signer. */
#ifndef TESTS_DKIM_VERIFY_H
#define TESTS_DKIM_VERIFY_H

#include "dkim/canon.h"

/* Why signature number `which` from the top does not hold under the DNS record; NULL: it holds. */
const char *verify(struct str message, size_t which, struct str record);

/* The fields that h= names, in canonical form, in that order. */
void verify_headers(struct buf *out, struct str head, struct str h, enum canon canon);

/* The value of a tag without white space. False if there is none. */
bool verify_tag(struct str field_value, const char *tag, struct buf *out);

#endif
