/* SPDX-License-Identifier: ISC */
/*
 * tally - how often a key is used, and what was refused.
 *
 * A key that suddenly signs a hundred times as much as it used to is the one sign
 * that keyd can give of somebody who has taken another role over. So it counts, and tells
 * the log when the rate is of another order of magnitude, and of refusals; each at most
 * once a minute for a key.
 */
#ifndef DKIM_TALLY_H
#define DKIM_TALLY_H

#include "lib/util/str.h"

struct tally {
	uint64_t    n_signed, n_refused;
	uint64_t    in_window, untold;         /* signatures since `since_ms`; refusals since `told_ms` */
	int64_t     since_ms, told_ms, rate_ms; /* monotonic; 0: never */
	unsigned    order;                     /* 0: below 100 in a minute, 1: below 1,000, ... */
};

/* Whose it is, for the log: "example.com/s1", or "tls". */
void tally_signed(struct tally *t, struct str whose, int64_t now_ms);

/* `who` is the index of the process that asked; `why` a constant. */
void tally_refused(struct tally *t, struct str whose, unsigned who, const char *why, int64_t now_ms);

#endif
