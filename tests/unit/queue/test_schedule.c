/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/util/str.h"
#include "queue/schedule.h"

enum { MIN = 60000, HOUR = 60 * MIN, DAY = 24 * HOUR };

static const int64_t retry[] = {5 * MIN, 10 * MIN, 20 * MIN, 40 * MIN, HOUR, 2 * HOUR, 4 * HOUR};
static const struct schedule s = {
	.retry_ms = retry,
	.n_retry = ARRAY_LEN(retry),
	.expire_ms = 5LL * DAY,
	.delay_notice_ms = 4 * HOUR,
};

static void
dues(void **state)
{
	static const struct {
		const char *name;
		unsigned    tries;
		int64_t     accepted, now, due;
	} rows[] = {
		{"first failure", 1, 0, 1000, 1000 + 5 * MIN},
		{"second failure", 2, 0, 1000, 1000 + 10 * MIN},
		{"seventh failure", 7, 0, 1000, 1000 + 4 * HOUR},
		{"the last repeats", 30, 0, 1000, 1000 + 4 * HOUR},
		{"none counted yet", 0, 0, 1000, 1000 + 5 * MIN},
		{"the last try is at the end", 30, 0, 5LL * DAY - HOUR, 5LL * DAY},
		{"after the end no cut", 30, 0, 5LL * DAY + 1, 5LL * DAY + 1 + 4 * HOUR},
		{"counted from acceptance", 30, 7000, 7000 + 5LL * DAY - 1, 7000 + 5LL * DAY},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (schedule_due(&s, rows[i].tries, rows[i].accepted, rows[i].now) != rows[i].due)
			fail_msg("%s", rows[i].name);
}

static void
ends_and_notices(void **state)
{
	(void)state;
	assert_false(schedule_is_expired(&s, 100, 100 + 5LL * DAY - 1));
	assert_true(schedule_is_expired(&s, 100, 100 + 5LL * DAY));
	assert_false(schedule_tells_delay(&s, 0, 4 * HOUR - 1, false));
	assert_true(schedule_tells_delay(&s, 0, 4 * HOUR, false));
	assert_false(schedule_tells_delay(&s, 0, 4 * HOUR, true));
	assert_false(schedule_tells_delay(&(struct schedule){.expire_ms = 1}, 0, DAY, false));
}

static void
lanes_rest_longer_but_not_for_ever(void **state)
{
	(void)state;
	assert_int_equal(schedule_lane_rest(&s, 1), 5 * MIN);
	assert_int_equal(schedule_lane_rest(&s, 3), 20 * MIN);
	assert_int_equal(schedule_lane_rest(&s, 100), HOUR);
	assert_int_equal(schedule_lane_rest(&(struct schedule){.expire_ms = 1}, 4), 5 * MIN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dues),
		cmocka_unit_test(ends_and_notices),
		cmocka_unit_test(lanes_rest_longer_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
