/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/random.h"
#include "queue/order.h"
#include "queue/slab.h"

enum { MANY = 20000 };

static char things[MANY];

static size_t
count(const struct order *o)
{
	const struct order_item *item;
	uint64_t                 key = 0, last = 0;
	size_t                   n = 0;

	while ((item = order_from(o, key)) != NULL) {
		assert_true(n == 0 || item->key > last);
		last = item->key;
		key = last + 1;
		n++;
	}
	return n;
}

static size_t
room(const struct order *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_runs; i++)
		n += o->runs[i].cap;
	return n;
}

static void
numbers_in_any_order_come_back_sorted(void **state)
{
	struct order o = {0};

	(void)state;
	assert_null(order_from(&o, 0));
	for (uint64_t i = 0; i < MANY; i++)
		order_put(&o, i * 7919 % MANY + 1, &things[i * 7919 % MANY]);
	assert_int_equal(count(&o), MANY);
	for (uint64_t i = 0; i < MANY; i++)
		assert_ptr_equal(order_find(&o, i + 1), &things[i]);
	assert_null(order_find(&o, 0));
	assert_null(order_find(&o, MANY + 1));
	assert_false(order_remove(&o, 5, &things[7]));
	for (uint64_t i = 0; i < MANY; i++)
		assert_true(order_remove(&o, i * 104729 % MANY + 1, &things[i * 104729 % MANY]));
	assert_int_equal(o.n, 0);
	assert_int_equal(o.n_runs, 0);
	order_free(&o);
}

static void
rising_numbers_leave_no_gaps(void **state)
{
	struct order o = {0};

	(void)state;
	for (uint64_t i = 0; i < 64; i++) /* those that stand behind all others */
		order_put(&o, 1ull << 63 | i, &things[i]);
	for (uint64_t i = 1; i <= MANY; i++)
		order_put(&o, i, &things[i - 1]);
	assert_int_equal(count(&o), MANY + 64);
	assert_true(room(&o) < MANY + 64 + 3 * 256);
	order_free(&o);
}

static void
what_is_left_of_many_takes_little_room(void **state)
{
	struct order o = {0};
	size_t       left = 0;

	(void)state;
	for (uint64_t i = 1; i <= MANY; i++)
		order_put(&o, i, &things[i - 1]);
	for (uint64_t i = 1; i <= MANY; i++) {
		if (i % 100 == 0)
			left++;
		else
			assert_true(order_remove(&o, i, &things[i - 1]));
	}
	assert_int_equal(count(&o), left);
	assert_true(room(&o) <= 4 * left + 256);
	order_free(&o);
}

static void
the_same_number_may_stand_for_several(void **state)
{
	struct order o = {0};
	size_t       n = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		order_put(&o, 5 + i % 2, &things[(i * 7) % 1000]);
	assert_int_equal(o.n, 1000);
	assert_int_equal(order_from(&o, 0)->key, 5);
	assert_int_equal(order_from(&o, 6)->key, 6);
	assert_null(order_find(&o, 7));
	for (const struct order_item *i = order_from(&o, 0); i != NULL; i = order_next(&o, i))
		n++;
	assert_int_equal(n, 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_true(order_remove(&o, 5 + i % 2, &things[(i * 7) % 1000]));
	assert_null(order_from(&o, 0));
	order_free(&o);
}

/* Against a plain table, with walks that go on while it changes. */
static void
many_steps_agree_with_a_table(void **state)
{
	static bool  there[512];
	struct order o = {0};
	uint64_t     at = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t                 key = random_below(512);
		const struct order_item *item;

		if (there[key])
			assert_true(order_remove(&o, key, &things[key]));
		else
			order_put(&o, key, &things[key]);
		there[key] = !there[key];
		item = order_from(&o, at);
		while (at < 512 && !there[at])
			at++;
		if (item == NULL) {
			assert_int_equal(at, 512);
			at = 0;
		} else {
			assert_int_equal(item->key, at);
			at++;
		}
	}
	order_free(&o);
}

static void
slots_do_not_overlap_and_come_back(void **state)
{
	enum { N = 5000, SIZE = 96 };
	static unsigned char *slots[N];
	struct slab           s;

	(void)state;
	slab_init(&s, SIZE);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			slots[i] = slab_get(&s);
			for (size_t k = 0; k < SIZE; k++)
				assert_int_equal(slots[i][k], 0);
			memset(slots[i], (int)(i % 251 + 1), SIZE);
		}
		for (size_t i = 0; i < N; i++) {
			size_t at = (i * 7) % N;

			assert_int_equal(slots[at][0], at % 251 + 1);
			assert_int_equal(slots[at][SIZE - 1], at % 251 + 1);
			slab_put(&s, slots[at]);
		}
		assert_true(s.open.n <= 1);
	}
	slab_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_in_any_order_come_back_sorted),
		cmocka_unit_test(rising_numbers_leave_no_gaps),
		cmocka_unit_test(what_is_left_of_many_takes_little_room),
		cmocka_unit_test(the_same_number_may_stand_for_several),
		cmocka_unit_test(many_steps_agree_with_a_table),
		cmocka_unit_test(slots_do_not_overlap_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
