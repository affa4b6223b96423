/* SPDX-License-Identifier: ISC */
/*
 * suspect - which of our checks a receiver's words put in doubt.
 *
 * A table of what large receivers say when authentication, the DNS or a block list is the
 * matter; none of it has to be complete, for all it leads to is another look.
 */
#ifndef DELIVERY_SUSPECT_H
#define DELIVERY_SUSPECT_H

#include "lib/mail/reply.h"

/* Beginnings of check ids with blanks between, as WIRE_EXAMINE takes them; NULL: nothing of that kind. */
const char *suspect_checks(struct reply r);

#endif
