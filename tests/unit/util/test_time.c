/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <time.h>

#include "lib/util/buf.h"
#include "lib/util/time.h"
#include "tests/unit/check.h"

/* clang-format off */
static const struct {
	int64_t     ms;
	const char *text;
} dates[] = {
	{0,               "1970-01-01T00:00:00.000Z"},
	{951782399999,    "2000-02-28T23:59:59.999Z"},
	{951782400000,    "2000-02-29T00:00:00.000Z"},
	{951868800000,    "2000-03-01T00:00:00.000Z"},
	{1763892431402,   "2025-11-23T10:07:11.402Z"},
	{4107542399000,   "2100-02-28T23:59:59.000Z"},
	{4107542400000,   "2100-03-01T00:00:00.000Z"},
	{253402300799999, "9999-12-31T23:59:59.999Z"},
	{-1,              "1970-01-01T00:00:00.000Z"},
}, spans[] = {
	{-5,        "0s"},
	{0,         "0s"},
	{250,       "250ms"},
	{1000,      "1s"},
	{1999,      "1s"},
	{90000,     "1m30s"},
	{300000,    "5m"},
	{7200000,   "2h"},
	{7205000,   "2h"},
	{432000000, "5d"},
	{262800000, "3d1h"},
	{262860000, "3d1h"},
}, seconds[] = {
	{0,      "0.000"},
	{7,      "0.007"},
	{300371, "300.371"},
	{-1500,  "-1.500"},
};
/* clang-format on */

#define CHECK_ROWS(rows, format)                                     \
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {               \
		struct buf b = BUF(64);                              \
                                                                     \
		format(&b, rows[i].ms);                              \
		check_text(rows[i].text, buf_str(&b), rows[i].text); \
		buf_free(&b);                                        \
	}

static void
dates_are_those_of_the_calendar(void **state UNUSED)
{
	CHECK_ROWS(dates, time_format_rfc3339)
}

/* One moment of each day of two centuries, beside the C library. */
static void
dates_equal_those_of_the_c_library(void **state UNUSED)
{
	struct buf b = BUF(64);

	for (int64_t day = 0; day < 73200; day++) {
		time_t    t = day * 86400 + day % 86400;
		struct tm tm;
		char      text[64];

		assert_non_null(gmtime_r(&t, &tm));
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		buf_clear(&b);
		time_format_rfc3339(&b, (int64_t)t * 1000);
		check_text(text, buf_str(&b), text);
	}
	buf_free(&b);
}

static void
spans_have_at_most_two_units(void **state UNUSED)
{
	CHECK_ROWS(spans, time_format_span)
}

static void
seconds_have_three_decimals(void **state UNUSED)
{
	CHECK_ROWS(seconds, time_format_seconds)
}

static int64_t
five(void)
{
	return 5000;
}

static void
tests_own_time(void **state UNUSED)
{
	time_hook(five, five);
	assert_int_equal(time_wall_ms(), 5000);
	assert_int_equal(time_mono_us(), 5000);
	assert_int_equal(time_mono_ms(), 5);
	time_hook(NULL, NULL);
	assert_true(time_wall_ms() > 1700000000000);
	assert_true(time_mono_us() <= time_mono_us());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_those_of_the_calendar),
		cmocka_unit_test(dates_equal_those_of_the_c_library),
		cmocka_unit_test(spans_have_at_most_two_units),
		cmocka_unit_test(seconds_have_three_decimals),
		cmocka_unit_test(tests_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
