/* SPDX-License-Identifier: ISC */
/*
 * pace - how much one login or network may send: mail over its rate is given a later
 * time, mail over its quota is refused.
 *
 * smtpd writes the limits of a client into the envelope ("pace: RATE/MS QUOTA/MS KEY"),
 * for it alone knows him; the counting is here, because there are several smtpds
 * and one queue. What was counted is forgotten with the process; the times given are on disk.
 */
#ifndef QUEUE_PACE_H
#define QUEUE_PACE_H

#include "lib/util/buf.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

/* More keys than that need more users and networks than a configuration has: the oldest is dropped. */
enum { PACE_KEYS_MAX = 10000 };

struct paces {
	struct hash keys;
	struct list order; /* the longest not seen first */
};

void paces_init(struct paces *ps);
void paces_free(struct paces *ps);

struct pace_mail {
	size_t  n_rcpts;
	int64_t now_ms;     /* monotonic: a clock that is set must not hold mail back */
	int64_t longest_ms; /* more than that is too long to wait */
};

/*
 * Count a mail for `line`, the value of an envelope's `pace`, and say how long it has to wait. False: it is over
 * the quota, or would wait too long; nothing is counted, and `why` has a sentence for the client. A line that
 * cannot be read counts for nobody.
 */
bool pace_take(struct paces *ps, struct str line, const struct pace_mail *m, int64_t *wait_ms,
               struct buf *why) MUST_USE;

#endif
