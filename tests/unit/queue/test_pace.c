/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "queue/pace.h"

#define HOUR INT64_C(3600000)
#define NEVER (1000 * HOUR)

struct bench {
	struct paces ps;
	int64_t      now_ms;
	struct buf   why;
};

/* How long a mail has to wait; -1: refused. */
static int64_t
take(struct bench *b, const char *line, size_t n_rcpts, int64_t longest_ms)
{
	struct pace_mail m = {n_rcpts, b->now_ms, longest_ms};
	int64_t          wait;

	buf_clear(&b->why);
	return pace_take(&b->ps, str_of(line), &m, &wait, &b->why) ? wait : -1;
}

static void
start(struct bench *b)
{
	*b = (struct bench){.now_ms = 77 * HOUR, .why = BUF(1000)};
	paces_init(&b->ps);
}

static void
end(struct bench *b)
{
	paces_free(&b->ps);
	buf_free(&b->why);
}

static void
an_hours_worth_goes_at_once_and_the_rest_evenly(void **state UNUSED)
{
	struct bench b;

	start(&b);
	for (int i = 0; i < 100; i++)
		assert_int_equal(take(&b, "100/3600000 0/0 login ann", 1, NEVER), 0);
	for (int i = 1; i <= 50; i++)
		assert_int_equal(take(&b, "100/3600000 0/0 login ann", 1, NEVER), i * HOUR / 100);
	assert_int_equal(take(&b, "100/3600000 0/0 login bob", 1, NEVER), 0);
	/* Half an hour later those fifty are out, and nothing is left of the first hundred's room. */
	b.now_ms += HOUR / 2;
	assert_int_equal(take(&b, "100/3600000 0/0 login ann", 1, NEVER), HOUR / 100);
	b.now_ms += 3 * HOUR;
	assert_int_equal(take(&b, "100/3600000 0/0 login ann", 1, NEVER), 0);
	end(&b);
}

static void
who_keeps_the_rate_never_waits(void **state UNUSED)
{
	struct bench b;

	start(&b);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(take(&b, "7/1000 0/0 network 10.0.0.0/8", 1, NEVER), 0);
		b.now_ms += 143;
	}
	end(&b);
}

static void
recipients_count_and_not_mails(void **state UNUSED)
{
	struct bench b;

	start(&b);
	assert_int_equal(take(&b, "10/3600000 0/0 login ann", 25, NEVER), 0);
	assert_int_equal(take(&b, "10/3600000 0/0 login ann", 1, NEVER), 16 * HOUR / 10);
	assert_int_equal(take(&b, "10/3600000 0/0 login ann", 1, NEVER), 17 * HOUR / 10);
	end(&b);
}

static void
nobody_waits_for_longer_than_his_mail_lives(void **state UNUSED)
{
	struct bench b;

	start(&b);
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(&b, "1/3600000 0/0 login ann", 1, 2 * HOUR), i * HOUR);
	assert_int_equal(take(&b, "1/3600000 0/0 login ann", 1, 2 * HOUR), -1);
	assert_true(str_find_str(buf_str(&b.why), STR("login ann")) >= 0);
	assert_true(str_ends(buf_str(&b.why), STR("try again in 60 min")));
	/* What was refused is not counted. */
	b.now_ms += HOUR;
	assert_int_equal(take(&b, "1/3600000 0/0 login ann", 1, 2 * HOUR), 2 * HOUR);
	end(&b);
}

static void
a_quota_refuses_until_its_time_is_over(void **state UNUSED)
{
	static const char ann[] = "0/0 5/86400000 login ann";
	struct bench      b;

	start(&b);
	assert_int_equal(take(&b, ann, 3, NEVER), 0);
	b.now_ms += 20 * HOUR;
	assert_int_equal(take(&b, ann, 3, NEVER), -1);
	assert_true(str_eq(buf_str(&b.why), STR("over the quota of 5 recipients for login ann: try again in 4 h")));
	assert_int_equal(take(&b, ann, 2, NEVER), 0);
	assert_int_equal(take(&b, ann, 1, NEVER), -1);
	b.now_ms += 4 * HOUR;
	assert_int_equal(take(&b, ann, 5, NEVER), 0);
	assert_int_equal(take(&b, ann, 1, NEVER), -1);
	end(&b);
}

static void
a_rate_that_changes_counts_from_now_on(void **state UNUSED)
{
	struct bench b;

	start(&b);
	for (int i = 0; i < 4; i++)
		(void)take(&b, "2/3600000 0/0 login ann", 1, NEVER);
	assert_int_equal(take(&b, "1000000/1000 0/0 login ann", 1, NEVER), 2 * HOUR - 1000);
	assert_int_equal(take(&b, "0/0 0/0 login ann", 1, NEVER), 0);
	end(&b);
}

static void
lines_that_make_no_sense_hold_nothing_back(void **state UNUSED)
{
	static const char *const lines[] = {
		"", " ", "1", "1/1", "1/1 1/1", "1/1 1/1 ", "1/0 1/1 x", "1/1 1/0 x", "-1/5 1/1 x", "1/5/5 1/1 x",
		"99999999999/1 1/1 x", "1/99999999999999 1/1 x", "a/b c/d x",
	};
	struct bench b;

	start(&b);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		for (int k = 0; k < 3; k++)
			assert_int_equal(take(&b, lines[i], 1, NEVER), 0);
	assert_int_equal(b.ps.order.n, 0);
	end(&b);
}

static void
the_largest_numbers_do_not_wrap(void **state UNUSED)
{
	struct bench b;

	start(&b);
	for (int i = 0; i < 100; i++)
		assert_true(take(&b, "1/31622400000 0/0 x", 100000, INT64_MAX / 4000) >= -1);
	assert_int_equal(take(&b, "1/31622400000 0/0 x", 100000, 1), -1);
	assert_int_equal(take(&b, "1000000000/1 0/0 y", 100000, NEVER), 0);
	end(&b);
}

static void
only_so_many_keys_are_remembered(void **state UNUSED)
{
	struct bench b;
	char         line[64];

	start(&b);
	(void)take(&b, "1/3600000 0/0 first", 1, NEVER);
	for (int i = 0; i < PACE_KEYS_MAX; i++) {
		snprintf(line, sizeof line, "1/3600000 0/0 k%d", i);
		assert_int_equal(take(&b, line, 1, NEVER), 0);
	}
	assert_int_equal(b.ps.order.n, PACE_KEYS_MAX);
	assert_int_equal(take(&b, "1/3600000 0/0 first", 1, NEVER), 0);
	assert_int_equal(take(&b, "1/3600000 0/0 k9999", 1, NEVER), HOUR);
	end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_hours_worth_goes_at_once_and_the_rest_evenly),
		cmocka_unit_test(who_keeps_the_rate_never_waits),
		cmocka_unit_test(recipients_count_and_not_mails),
		cmocka_unit_test(nobody_waits_for_longer_than_his_mail_lives),
		cmocka_unit_test(a_quota_refuses_until_its_time_is_over),
		cmocka_unit_test(a_rate_that_changes_counts_from_now_on),
		cmocka_unit_test(lines_that_make_no_sense_hold_nothing_back),
		cmocka_unit_test(the_largest_numbers_do_not_wrap),
		cmocka_unit_test(only_so_many_keys_are_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
