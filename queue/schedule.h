/* SPDX-License-Identifier: ISC */
/*
 * schedule - when to try again, and when no more. Pure: time is an argument.
 */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule {
	const int64_t *retry_ms; /* the wait after each failed attempt; the last repeats */
	size_t         n_retry;
	int64_t        expire_ms;
	int64_t        delay_notice_ms; /* 0: no notices */
};

bool schedule_is_expired(const struct schedule *s, int64_t accepted_ms, int64_t now_ms);

/*
 * When the attempt after `tries` failed ones (the one that failed just now
 * included) is due. The last one is made at the very end of the message's time.
 */
int64_t schedule_due(const struct schedule *s, unsigned tries, int64_t accepted_ms, int64_t now_ms);

/* Is it time to tell the sender of the delay? Once only. */
bool schedule_tells_delay(const struct schedule *s, int64_t accepted_ms, int64_t now_ms, bool told);

/* How long a lane rests after `failures` probes in a row that failed (1: the first). */
int64_t schedule_lane_rest(const struct schedule *s, unsigned failures);

#endif
