/* SPDX-License-Identifier: ISC */
/*
 * fields - which header fields a signature covers.
 *
 * Fields that a reader sees or a program acts upon are signed, every instance of
 * them; most of those that may be there only once are named once more than
 * there are instances, so that nobody can add one in front (RFC 6376 section 8.15).
 */
#ifndef DKIM_FIELDS_H
#define DKIM_FIELDS_H

#include "dkim/canon.h"

/*
 * Append to `names` the names for h=, in lower case, with ":" between, and to `data` the
 * fields in canonical form in that order, the lowest instance first (section 5.4.2).
 * Of a name with more than 32 instances only the lowest 32 are covered.
 */
void fields_select(struct str head, enum canon canon, struct buf *names, struct buf *data);

#endif
