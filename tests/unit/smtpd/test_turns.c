/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/util/str.h"
#include "smtpd/turns.h"

enum { PROCESSES = 3, NOBODY = -1 };

static _Atomic uint32_t cells[PROCESSES];
static struct turns     turns[PROCESSES];

static void
set(unsigned i, int sessions, bool rests)
{
	turns_share(&turns[i], cells, i, PROCESSES);
	if (sessions == NOBODY)
		return;
	turns_count(&turns[i], (size_t)sessions);
	turns_rest(&turns[i], rests);
}

static void
who_has_many_more_lets_others_go_first(void **state)
{
	static const struct {
		int  ours, theirs;
		bool they_rest, ahead;
	} rows[] = {
		{0, 0, false, false},    {8, 0, false, false},    {9, 0, false, false},
		{10, 0, false, true},    {10, 1, false, false},   {0, 100, false, false},
		{100, 80, false, false}, {100, 79, false, true},  {37, 0, true, true},
		{36, 0, true, false},    {100, 60, true, false},  {100, 50, true, true},
		{5000, NOBODY, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set(0, rows[i].ours, false);
		set(1, rows[i].theirs, rows[i].they_rest);
		set(2, NOBODY, false);
		if (turns_is_ahead(&turns[0]) != rows[i].ahead)
			fail_msg("%d against %d", rows[i].ours, rows[i].theirs);
	}
}

static void
who_has_fewest_never_rests(void **state)
{
	(void)state;
	for (int n = 0; n < 1000; n += 7) {
		set(0, n, false);
		set(1, n + n % 100, n % 2 == 0);
		set(2, n, true);
		assert_false(turns_is_ahead(&turns[0]));
	}
}

static void
who_leaves_is_nobody(void **state)
{
	(void)state;
	set(0, 50, false);
	set(1, 0, false);
	set(2, NOBODY, false);
	assert_true(turns_is_ahead(&turns[0]));
	turns_leave(&turns[1]);
	assert_false(turns_is_ahead(&turns[0]));
	turns_count(&turns[1], 3); /* its last sessions end */
	assert_false(turns_is_ahead(&turns[0]));
}

static void
nothing_shared_nobody_to_wait_for(void **state)
{
	struct turns alone = {0};

	(void)state;
	turns_count(&alone, 5000);
	assert_false(turns_is_ahead(&alone));
}

static void
what_others_wrote_does_no_harm(void **state)
{
	static const uint32_t values[] = {1, UINT32_MAX, 1u << 31, (1u << 31) - 1, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		set(0, 1, false);
		set(2, NOBODY, false);
		atomic_store(&cells[1], values[i]);
		assert_false(turns_is_ahead(&turns[0]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_many_more_lets_others_go_first),
		cmocka_unit_test(who_has_fewest_never_rests),
		cmocka_unit_test(who_leaves_is_nobody),
		cmocka_unit_test(nothing_shared_nobody_to_wait_for),
		cmocka_unit_test(what_others_wrote_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
