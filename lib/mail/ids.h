/* SPDX-License-Identifier: ISC */
/*
 * ids - message ids: 64 bits, time-ordered inside, scattered when shown.
 *
 * The number is (ms since 1970 : 44 bits, maker : 6, counter : 14), so sorting
 * by number sorts by age and no two makers collide. People see it as 13 letters
 * of base32 without look-alikes, of the number put through a bijection that
 * spreads the low bits, so that five letters usually name one message
 * and every command takes a unique prefix.
 */
#ifndef LIB_MAIL_IDS_H
#define LIB_MAIL_IDS_H

#include "lib/util/buf.h"

enum { ID_TEXT = 13 };

struct ids {
	unsigned maker; /* 0..63: which process makes them */
	int64_t  last_ms;
	unsigned counter;
};

uint64_t ids_next(struct ids *ids); /* never 0; goes on counting when the clock steps back */

void id_format(struct buf *out, uint64_t id);
bool id_parse(struct str text, uint64_t *id) MUST_USE; /* whole, any case; o is 0, i and l 1 */
bool id_has_prefix(uint64_t id, struct str prefix);

/* An id derived from a parent, the same every time (for bounces), never equal to a made one. */
uint64_t id_derive(uint64_t parent, unsigned part, unsigned kind);

#endif
