/* SPDX-License-Identifier: ISC */
#include "lib/util/heap.h"
#include "lib/util/random.h"
#include "tests/unit/check.h"

enum { NODES = 500 };

static int64_t
smallest(const struct heap_node *nodes)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < NODES; i++)
		if (heap_has(&nodes[i]) && nodes[i].key < least)
			least = nodes[i].key;
	return least;
}

static void
the_smallest_is_first_whatever_moves(void **state UNUSED)
{
	struct heap_node nodes[NODES] = {0};
	struct heap      h = {0};

	random_hook(7);
	for (int i = 0; i < 20000; i++) {
		struct heap_node *node = &nodes[random_below(NODES)];

		if (random_below(3) == 0)
			heap_remove(&h, node);
		else
			heap_put(&h, node, (int64_t)random_below(1000) - 500);
		if (h.n == 0)
			assert_null(heap_min(&h));
		else
			assert_int_equal(heap_min(&h)->key, smallest(nodes));
	}
	random_hook(0);
	heap_free(&h);
}

static void
taking_the_first_sorts(void **state UNUSED)
{
	struct heap_node nodes[NODES] = {0};
	struct heap      h = {0};
	int64_t          last = INT64_MIN;

	for (size_t i = 0; i < NODES; i++)
		heap_put(&h, &nodes[i], (int64_t)(i * 7919 % NODES));
	for (size_t i = 0; i < NODES; i++) {
		struct heap_node *node = heap_min(&h);

		assert_true(node->key >= last);
		last = node->key;
		heap_remove(&h, node);
		assert_false(heap_has(node));
	}
	assert_null(heap_min(&h));
	heap_free(&h);
}

static void
a_node_in_no_heap_can_be_removed(void **state UNUSED)
{
	struct heap      h = {0};
	struct heap_node node = {0};

	heap_remove(&h, &node);
	assert_int_equal(h.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_is_first_whatever_moves),
		cmocka_unit_test(taking_the_first_sorts),
		cmocka_unit_test(a_node_in_no_heap_can_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
