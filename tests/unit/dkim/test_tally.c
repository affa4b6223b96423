/* SPDX-License-Identifier: ISC */
#include "dkim/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "lib/util/buf.h"
#include "lib/util/log.h"

static struct buf lines = {.limit = 1 << 16};
static unsigned   n_lines;

static void
on_line(struct str line)
{
	buf_clear(&lines);
	buf_add(&lines, line);
	n_lines++;
}

static int
begin(void **state)
{
	(void)state;
	n_lines = 0;
	log_hook(on_line);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	log_hook(NULL);
	return 0;
}

static bool
said(const char *text)
{
	return str_find_str(buf_str(&lines), str_of(text)) >= 0;
}

/* `a_minute` signatures in each of `minutes`, evenly. The time behind them. */
static int64_t
sign(struct tally *t, int64_t now, unsigned a_minute, unsigned minutes)
{
	for (unsigned i = 0; i < a_minute * minutes; i++)
		tally_signed(t, STR("example.org/s1"), now + (int64_t)i * 60000 / a_minute);
	return now + (int64_t)minutes * 60000;
}

static void
another_order_of_magnitude_is_news(void **state)
{
	struct tally t = {0};
	int64_t      now = 1;

	(void)state;
	now = sign(&t, now, 50, 10);
	assert_int_equal(n_lines, 0);
	now = sign(&t, now, 150, 3);
	assert_int_equal(n_lines, 1);
	assert_true(said("ev=sign-rate") && said("key=example.org/s1"));
	now = sign(&t, now, 150, 10);
	assert_int_equal(n_lines, 1);
	now = sign(&t, now, 20000, 3);
	assert_true(n_lines >= 2 && n_lines <= 4);
	assert_int_equal(t.order, 3);
	n_lines = 0;
	now = sign(&t, now, 9000, 5); /* just below the bound is no news */
	assert_int_equal(n_lines, 0);
	now = sign(&t, now, 10, 3);
	assert_int_equal(n_lines, 1);
	assert_int_equal(t.order, 0);
	assert_int_equal(t.n_signed, 500 + 450 + 1500 + 60000 + 45000 + 30);
	(void)now;
}

static void
the_rate_is_told_once_a_minute_at_most(void **state)
{
	struct tally t = {0};

	(void)state;
	for (unsigned i = 0; i < 1000000; i++)
		tally_signed(&t, STR("k"), 1 + i / 20000); /* within 50 ms */
	assert_int_equal(n_lines, 1);
	tally_signed(&t, STR("k"), 60000);
	assert_int_equal(n_lines, 1);
	tally_signed(&t, STR("k"), 61000);
	assert_int_equal(n_lines, 2);
	assert_int_equal(t.order, 4);
}

static void
refusals_are_told_once_a_minute_with_their_number(void **state)
{
	struct tally t = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		tally_refused(&t, STR("example.org/s1"), 3, "there is no body hash", 1000 + i);
	assert_int_equal(n_lines, 1);
	assert_true(said("ev=sign-refused") && said("level=warn") && said("key=example.org/s1"));
	assert_true(said("why=\"there is no body hash\"") && said("who=3") && said("count=1"));
	tally_refused(&t, STR("example.org/s1"), 3, "there is no body hash", 61000);
	assert_int_equal(n_lines, 2);
	assert_true(said("count=100"));
	assert_int_equal(t.n_refused, 101);
	assert_int_equal(t.n_signed, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(another_order_of_magnitude_is_news),
		T(the_rate_is_told_once_a_minute_at_most),
		T(refusals_are_told_once_a_minute_with_their_number),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&lines);
	return failed;
}
