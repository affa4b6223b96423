/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "lib/util/random.h"
#include "lib/util/str.h"
#include "tests/unit/check.h"

static void
hooked_answers_repeat(void **state UNUSED)
{
	uint64_t first;

	random_hook(42);
	first = random_u64();
	assert_true(random_u64() != first);
	random_hook(42);
	assert_true(random_u64() == first);
	random_hook(0);
	assert_true(random_u64() != random_u64());
}

static void
all_sizes_are_filled_and_no_more(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 7, 128, 129, 2000};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		unsigned char got[2001], seen[2000] = {0};

		got[sizes[i]] = 0xa5;
		for (int again = 0; again < 20; again++) {
			random_bytes(got, sizes[i]);
			for (size_t k = 0; k < sizes[i]; k++)
				seen[k] |= got[k];
		}
		assert_int_equal(got[sizes[i]], 0xa5);
		assert_null(memchr(seen, 0, sizes[i]));
	}
}

static void
numbers_below_a_limit_are_fair(void **state UNUSED)
{
	unsigned seen[6] = {0};

	for (int i = 0; i < 60000; i++)
		seen[random_below(ARRAY_LEN(seen))]++;
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		assert_in_range(seen[i], 9000, 11000);
	assert_int_equal(random_below(1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hooked_answers_repeat),
		cmocka_unit_test(all_sizes_are_filled_and_no_more),
		cmocka_unit_test(numbers_below_a_limit_are_fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
