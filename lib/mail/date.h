/* SPDX-License-Identifier: ISC */
/* date - RFC 5322 section 3.3: "Mon, 23 Nov 2026 10:07:11 +0000". */
#ifndef LIB_MAIL_DATE_H
#define LIB_MAIL_DATE_H

#include "lib/util/buf.h"

void date_format(struct buf *out, int64_t wall_ms); /* in UTC, +0000 */
bool date_parse(struct str text, int64_t *wall_ms) MUST_USE; /* obsolete zones too */

#endif
