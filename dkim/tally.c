/* SPDX-License-Identifier: ISC */
#include "dkim/tally.h"

#include "lib/util/log.h"

enum { MINUTE_MS = 60 * 1000, FIRST_ORDER = 100, ORDERS = 8 };

static unsigned
order_of(uint64_t a_minute)
{
	unsigned order = 0;

	for (uint64_t bound = FIRST_ORDER; order < ORDERS && a_minute >= bound; bound *= 10)
		order++;
	return order;
}

static void
tell_rate(struct tally *t, struct str whose, uint64_t a_minute, int64_t now_ms)
{
	t->order = order_of(a_minute);
	t->rate_ms = now_ms;
	log_info(ev("sign-rate"), kv("key", whose), kv("a_minute", a_minute), kv("total", t->n_signed));
}

/* Up at once, down only when it has fallen well below, so that a steady rate at a bound is not news. */
static bool
is_news(const struct tally *t, uint64_t a_minute, bool whole)
{
	unsigned order = order_of(a_minute);

	return order > t->order || (whole && order < t->order && order_of(2 * a_minute) < t->order);
}

void
tally_signed(struct tally *t, struct str whose, int64_t now_ms)
{
	int64_t  passed = now_ms - t->since_ms;
	bool     may_tell = t->rate_ms == 0 || now_ms - t->rate_ms >= MINUTE_MS;
	uint64_t a_minute;

	t->n_signed++;
	if (t->since_ms == 0 || passed >= MINUTE_MS) {
		a_minute = t->since_ms == 0 ? 0 : t->in_window * MINUTE_MS / (uint64_t)passed;
		if (may_tell && is_news(t, a_minute, true))
			tell_rate(t, whose, a_minute, now_ms);
		t->since_ms = now_ms;
		t->in_window = 0;
	}
	t->in_window++;
	if (may_tell && is_news(t, t->in_window, false))
		tell_rate(t, whose, t->in_window, now_ms);
}

void
tally_refused(struct tally *t, struct str whose, unsigned who, const char *why, int64_t now_ms)
{
	t->n_refused++;
	t->untold++;
	if (t->told_ms != 0 && now_ms - t->told_ms < MINUTE_MS)
		return;
	log_warn(ev("sign-refused"), kv("key", whose), kv("why", why), kv("who", who),
	         kv("count", t->untold));
	t->told_ms = now_ms;
	t->untold = 0;
}
