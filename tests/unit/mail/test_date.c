/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "lib/mail/date.h"

static const struct {
	const char *text;
	bool        ok;
	int64_t     s;
} parses[] = {
	{"Mon, 23 Nov 2026 10:07:11 +0000", true, 1795428431},
	{"23 Nov 2026 10:07:11 +0000", true, 1795428431},
	{"Mon, 23 Nov 2026 12:07:11 +0200", true, 1795428431},
	{"Mon, 23 Nov 2026 05:07:11 -0500", true, 1795428431},
	{"Mon, 23 Nov 2026 10:07 +0000", true, 1795428420},
	{"mon, 23 nov 26 10:07:11 gmt", true, 1795428431},
	{"Mon, 23 Nov 2026 10:07:11 UT", true, 1795428431},
	{"Mon, 23 Nov 2026 05:07:11 EST", true, 1795428431},
	{"Mon, 23 Nov 2026 03:07:11 PDT", true, 1795428431},
	{"Mon, 23 Nov 2026 10:07:11 Z", true, 1795428431},
	{"Mon, 23 Nov 2026 10:07:11 CEST", true, 1795428431},
	{" Mon,\r\n 23 (twenty (three)) Nov 2026 10 : 07 : 11 +0000 (UTC)", true, 1795428431},
	{"Thu, 1 Jan 1970 00:00:00 +0000", true, 0},
	{"Wed, 31 Dec 1969 23:59:59 +0000", true, -1},
	{"Tue, 29 Feb 2000 00:00:00 +0000", true, 951782400},
	{"29 Feb 2024 23:59:60 -0000", true, 1709251200},
	{"1 Jan 99 00:00:00 +0000", true, 915148800},
	{"1 Jan 099 00:00:00 +0000", true, 915148800},
	{"29 Feb 2023 00:00:00 +0000", false, 0},
	{"29 Feb 1900 00:00:00 +0000", false, 0},
	{"31 Apr 2026 00:00:00 +0000", false, 0},
	{"0 Jan 2026 00:00:00 +0000", false, 0},
	{"1 Foo 2026 00:00:00 +0000", false, 0},
	{"1 Jan 2026 24:00:00 +0000", false, 0},
	{"1 Jan 2026 00:60:00 +0000", false, 0},
	{"1 Jan 2026 00:00:61 +0000", false, 0},
	{"1 Jan 2026 00:00:00", false, 0},
	{"1 Jan 2026 00:00:00 +000", false, 0},
	{"1 Jan 2026 00:00:00 +0060", false, 0},
	{"1 Jan 2026 00:00:00 +0000 more", false, 0},
	{"1 Jan 2026", false, 0},
	{"1 Jan 20260 00:00:00 +0000", false, 0},
	{"1 Jan 1026 00:00:00 +0000", false, 0},
	{"Mon 23 Nov 2026 10:07:11 +0000", false, 0},
	{"Xyz, 23 Nov 2026 10:07:11 +0000", false, 0},
	{"", false, 0},
	{"(((((((", false, 0},
};

static void
dates_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parses); i++) {
		int64_t ms = 0;

		print_message("%s\n", parses[i].text);
		assert_int_equal(date_parse(str_of(parses[i].text), &ms), parses[i].ok);
		if (parses[i].ok)
			assert_int_equal(ms, parses[i].s * 1000);
	}
}

static void
dates_are_written_as_the_c_library_does(void **state)
{
	struct buf b = BUF(64);

	(void)state;
	for (int64_t s = 0; s < 8000000000; s += 7654321) {
		time_t    t = (time_t)s;
		struct tm tm;
		char      want[64];
		int64_t   back;

		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S +0000", &tm);
		buf_clear(&b);
		date_format(&b, s * 1000 + 999);
		assert_string_equal(buf_z(&b), want);
		assert_true(date_parse(buf_str(&b), &back));
		assert_int_equal(back, s * 1000);
	}
	buf_free(&b);
}

static void
year_ends_are_right(void **state)
{
	static const struct {
		int64_t     s;
		const char *text;
	} rows[] = {
		{1798761599, "Thu, 31 Dec 2026 23:59:59 +0000"},
		{1798761600, "Fri, 01 Jan 2027 00:00:00 +0000"},
		{4107542400, "Mon, 01 Mar 2100 00:00:00 +0000"},
	};
	struct buf b = BUF(64);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		date_format(&b, rows[i].s * 1000);
		assert_string_equal(buf_z(&b), rows[i].text);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read),
		cmocka_unit_test(dates_are_written_as_the_c_library_does),
		cmocka_unit_test(year_ends_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
