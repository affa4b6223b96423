/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "tests/unit/check.h"

enum { NODES = 1000 };

struct item {
	size_t           number;
	struct hash_node node;
};

static struct item *
find(const struct hash *h, size_t number)
{
	struct hash_node *node = hash_first(h, hash_u64(number % 300));

	for (; node != NULL; node = hash_more(node)) {
		struct item *item = CONTAINER(node, struct item, node);

		if (item->number == number)
			return item;
	}
	return NULL;
}

static size_t
count(const struct hash *h)
{
	size_t n = 0;

	for (struct hash_node *node = hash_walk(h, NULL); node != NULL; node = hash_walk(h, node))
		n++;
	return n;
}

static void
what_was_put_is_found_until_removed(void **state UNUSED)
{
	static struct item items[NODES];
	struct hash        h = {0};

	assert_null(find(&h, 1));
	assert_null(hash_walk(&h, NULL));
	for (size_t i = 0; i < NODES; i++) {
		items[i].number = i;
		hash_put(&h, &items[i].node, hash_u64(i % 300));
	}
	assert_int_equal(count(&h), NODES);
	for (size_t i = 0; i < NODES; i++)
		assert_ptr_equal(find(&h, i), &items[i]);
	for (size_t i = 0; i < NODES; i += 2)
		hash_remove(&h, &items[i].node);
	hash_remove(&h, &items[0].node);
	for (size_t i = 0; i < NODES; i++)
		assert_ptr_equal(find(&h, i), i % 2 == 0 ? NULL : &items[i]);
	assert_int_equal(h.n, NODES / 2);
	assert_int_equal(count(&h), NODES / 2);
	hash_free(&h);
	assert_null(find(&h, 1));
}

static void
folded_values_ignore_ascii_case_at_any_length(void **state UNUSED)
{
	char lower[400], upper[400];

	memset(lower, 'x', sizeof lower);
	memset(upper, 'X', sizeof upper);
	for (size_t n = 0; n < sizeof lower; n++) {
		struct str a = {lower, n}, b = {upper, n};

		assert_true(hash_istr(a) == hash_istr(b));
		assert_true(n == 0 || hash_str(a) != hash_str(b));
		assert_true(n == 0 || hash_istr(a) != hash_istr((struct str){lower, n - 1}));
	}
	assert_true(hash_str(STR_NONE) == hash_str(STR("")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_found_until_removed),
		cmocka_unit_test(folded_values_ignore_ascii_case_at_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
