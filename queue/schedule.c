/* SPDX-License-Identifier: ISC */
#include "queue/schedule.h"

enum {
	DEFAULT_WAIT_MS = 5 * 60 * 1000,
	LANE_REST_MAX_MS = 60 * 60 * 1000, /* a receiver that is back is noticed within that */
};

static int64_t
wait_after(const struct schedule *s, unsigned tries)
{
	if (s->n_retry == 0)
		return DEFAULT_WAIT_MS;
	if (tries == 0)
		tries = 1;
	return s->retry_ms[tries - 1 < s->n_retry ? tries - 1 : s->n_retry - 1];
}

bool
schedule_is_expired(const struct schedule *s, int64_t accepted_ms, int64_t now_ms)
{
	return now_ms - accepted_ms >= s->expire_ms;
}

int64_t
schedule_due(const struct schedule *s, unsigned tries, int64_t accepted_ms, int64_t now_ms)
{
	int64_t due = now_ms + wait_after(s, tries), end = accepted_ms + s->expire_ms;

	if (now_ms < end && due > end)
		due = end;
	return due;
}

bool
schedule_tells_delay(const struct schedule *s, int64_t accepted_ms, int64_t now_ms, bool told)
{
	return !told && s->delay_notice_ms > 0 && now_ms - accepted_ms >= s->delay_notice_ms;
}

int64_t
schedule_lane_rest(const struct schedule *s, unsigned failures)
{
	int64_t rest = wait_after(s, failures);

	return rest < LANE_REST_MAX_MS ? rest : LANE_REST_MAX_MS;
}
