/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtpd/senders.h"

static struct addr
at(const char *text)
{
	struct addr a;

	assert_true(addr_parse(str_of(text), &a));
	return a;
}

static void
senders_are_told_apart(void **state)
{
	static const struct {
		const char *login, *client;
		size_t      known;
	} rows[] = {
		{"app1", "192.0.2.1", 1}, {"app1", "192.0.2.2", 1}, {"app2", "192.0.2.1", 2},
		{"", "192.0.2.1", 3},     {"192.0.2.1", "::1", 4},  {"", "192.0.2.1", 4},
	};
	struct senders ss;

	(void)state;
	senders_init(&ss);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		senders_see(&ss, str_of(rows[i].login), at(rows[i].client));
		if (ss.age.n != rows[i].known)
			fail_msg("row %zu: %zu are known", i, ss.age.n);
	}
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
	senders_see(&ss, STR("my \"app\""), at("::1"));
	senders_note(&ss, STR("my \"app\""), at("::1"),
	             LINT_BIT(LINT_DATE_MISSING) | LINT_BIT(LINT_GMAIL_FROM));
	senders_note(&ss, STR("my \"app\""), at("::1"), LINT_BIT(LINT_GMAIL_FROM));
	senders_see(&ss, STR_NONE, at("::1"));
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
	struct buf     rows = BUF(10000);

	(void)state;
	senders_init(&ss);
	for (int i = 0; i < 3 * SENDERS_MAX; i++) {
		struct buf name = BUF(20);

		buf_addf(&name, "app%d", i);
		senders_see(&ss, buf_str(&name), at("::1"));
		senders_note(&ss, buf_str(&name), at("::1"), LINT_BIT(LINT_NUL));
		senders_see(&ss, STR("busy"), at("::1"));
		buf_free(&name);
	}
	senders_note(&ss, STR("busy"), at("::1"), LINT_BIT(LINT_NUL));
	senders_note(&ss, STR("app0"), at("::1"), LINT_BIT(LINT_NUL));
	assert_int_equal(ss.age.n, SENDERS_MAX);
	senders_format(&ss, &rows, 10000);
	assert_true(str_find_str(buf_str(&rows), STR("user=\"busy\"")) >= 0);
	assert_true(str_find_str(buf_str(&rows), STR("user=\"app0\"")) < 0);
	senders_free(&ss);
	buf_free(&rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_are_told_apart),
		cmocka_unit_test(findings_become_rows),
		cmocka_unit_test(who_has_not_sent_for_longest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
