/* SPDX-License-Identifier: ISC */
/*
 * canon - header fields and bodies in canonical form: RFC 6376 sections 3.4.1 to 3.4.4.
 *
 * The daemon hashes bodies as they pass (bodyhash.h); whole ones are for people to look at.
 */
#ifndef DKIM_CANON_H
#define DKIM_CANON_H

#include "dkim/bodyhash.h"
#include "lib/mail/header.h"

/* Append the field as it is hashed, with CRLF at its end. */
void canon_field(struct buf *out, const struct field *f, enum canon canon);

/* Append the body as it is hashed. */
void canon_body(struct buf *out, struct str body, enum canon canon);

#endif
