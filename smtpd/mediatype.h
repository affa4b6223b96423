/* SPDX-License-Identifier: ISC */
/* mediatype - what a Content-Type field says (RFC 2045 section 5.1), as far as a relay must know. */
#ifndef SMTPD_MEDIATYPE_H
#define SMTPD_MEDIATYPE_H

#include "lib/util/buf.h"

enum { BOUNDARY_MAX = 70 }; /* RFC 2046 section 5.1.1 */

struct mediatype {
	struct buf name;     /* "multipart/mixed", as written; empty: it cannot be read */
	struct buf boundary; /* empty: none, or none that is allowed */
};

void mediatype_init(struct mediatype *t);
void mediatype_free(struct mediatype *t);

/* `value` of the field, with its folding. */
void mediatype_parse(struct mediatype *t, struct str value);

/* "multipart/": all of that kind; "message/rfc822": this one. */
bool mediatype_is(const struct mediatype *t, struct str name);

#endif
