/* SPDX-License-Identifier: ISC */
/* refold - header lines that no server has to pass on get a length that every one does. */
#ifndef SMTPD_REFOLD_H
#define SMTPD_REFOLD_H

#include "lib/util/buf.h"

/* True if a line of `s`, without its end, is longer than 998 octets. */
bool refold_is_needed(struct str s);

/*
 * Fold the fields that stand in `out` from octet `from` on, where their lines are too long, at
 * white space; `list` (address lists) also behind commas. False if a line offers no place.
 */
bool refold(struct buf *out, size_t from, bool list) MUST_USE;

#endif
