/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtpd/senders.h"

#define MINUTE (60 * 1000)
#define START  INT64_C(1767323045000)

static struct addr
at(const char *text)
{
	struct addr a;

	assert_true(addr_parse(str_of(text), &a));
	return a;
}

static void
messages_of_the_last_hour_are_counted(void **state)
{
	static const struct {
		int64_t  minute;
		unsigned count;
	} rows[] = {
		{0, 1}, {1, 2}, {9, 3}, {49, 4}, {120, 1}, {121, 2}, {150, 3}, {190, 2}, {600, 1}, {500, 1}, {501, 2},
	};
	struct senders ss;

	(void)state;
	senders_init(&ss);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		/* The start of a step, so that minutes of the rows fall where they say. */
		int64_t now = START - START % (10 * MINUTE) + rows[i].minute * MINUTE;

		if (senders_count(&ss, STR("app1"), at("192.0.2.1"), now) != rows[i].count)
			fail_msg("row %zu", i);
	}
	senders_free(&ss);
}

static void
senders_are_told_apart(void **state)
{
	struct senders ss;

	(void)state;
	senders_init(&ss);
	assert_int_equal(senders_count(&ss, STR("app1"), at("192.0.2.1"), START), 1);
	assert_int_equal(senders_count(&ss, STR("app1"), at("192.0.2.2"), START), 2);
	assert_int_equal(senders_count(&ss, STR("app2"), at("192.0.2.1"), START), 1);
	assert_int_equal(senders_count(&ss, STR_NONE, at("192.0.2.1"), START), 1);
	assert_int_equal(senders_count(&ss, STR("192.0.2.1"), at("192.0.2.9"), START), 1);
	assert_int_equal(senders_count(&ss, STR_NONE, at("192.0.2.1"), START), 2);
	senders_free(&ss);
}

static void
findings_become_rows(void **state)
{
	struct senders ss;
	struct buf     rows = BUF(10000);

	(void)state;
	senders_init(&ss);
	senders_note(&ss, STR("unknown"), at("::1"), LINT_BIT(LINT_SIZE));
	(void)senders_count(&ss, STR("my \"app\""), at("::1"), START);
	senders_note(&ss, STR("my \"app\""), at("::1"), LINT_BIT(LINT_DATE_MISSING) | LINT_BIT(LINT_GMAIL_FROM));
	senders_note(&ss, STR("my \"app\""), at("::1"), LINT_BIT(LINT_GMAIL_FROM));
	(void)senders_count(&ss, STR_NONE, at("::1"), START);
	senders_note(&ss, STR_NONE, at("::1"), LINT_BIT(LINT_NUL));
	senders_format(&ss, &rows, 10000);
	assert_string_equal(buf_z(&rows), "lint_nul_total{client=\"::1\"} 1\n"
	                                  "lint_date_missing_total{user=\"my??app?\"} 1\n"
	                                  "lint_gmail_from_total{user=\"my??app?\"} 2\n");
	buf_clear(&rows);
	senders_format(&ss, &rows, 35);
	assert_string_equal(buf_z(&rows), "lint_nul_total{client=\"::1\"} 1\n");
	senders_free(&ss);
	buf_free(&rows);
}

static void
who_has_not_sent_for_longest_is_forgotten(void **state)
{
	struct senders ss;

	(void)state;
	senders_init(&ss);
	for (int i = 0; i < 3 * SENDERS_MAX; i++) {
		struct buf name = BUF(20);

		buf_addf(&name, "app%d", i);
		(void)senders_count(&ss, buf_str(&name), at("::1"), START);
		assert_int_equal(senders_count(&ss, STR("busy"), at("::1"), START), i + 1);
		buf_free(&name);
	}
	assert_int_equal(ss.age.n, SENDERS_MAX);
	assert_int_equal(senders_count(&ss, STR("app0"), at("::1"), START), 1);
	senders_free(&ss);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_the_last_hour_are_counted),
		cmocka_unit_test(senders_are_told_apart),
		cmocka_unit_test(findings_become_rows),
		cmocka_unit_test(who_has_not_sent_for_longest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
