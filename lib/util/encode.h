/* SPDX-License-Identifier: ISC */
/*
 * encode - base64 (RFC 4648 section 4), hex and xtext (RFC 3461 section 4).
 *
 * All append to `out`, which may meet its limit. A decoder that returns false has appended nothing.
 */
#ifndef LIB_UTIL_ENCODE_H
#define LIB_UTIL_ENCODE_H

#include "lib/util/buf.h"

void base64_encode(struct buf *out, struct str in);
bool base64_decode(struct buf *out, struct str in) MUST_USE; /* strict: padding, no white space */
bool hex_decode(struct buf *out, struct str in) MUST_USE; /* either case */
void xtext_encode(struct buf *out, struct str in);
bool xtext_decode(struct buf *out, struct str in) MUST_USE;

#endif
