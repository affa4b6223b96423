/* SPDX-License-Identifier: ISC */
/* canon - a header field in canonical form: RFC 6376 sections 3.4.1 and 3.4.2. */
#ifndef DKIM_CANON_H
#define DKIM_CANON_H

#include "dkim/bodyhash.h"
#include "lib/mail/header.h"

/* Append the field as it is hashed, with CRLF at its end. */
void canon_field(struct buf *out, const struct field *f, enum canon canon);

#endif
