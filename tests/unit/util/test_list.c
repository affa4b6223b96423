/* SPDX-License-Identifier: ISC */
#include "lib/util/list.h"
#include "tests/unit/check.h"

struct item {
	char        name;
	struct link link;
};

static struct str
names(const struct list *l, char *text)
{
	struct item *item;
	size_t       n = 0;

	LIST_EACH(l, item, struct item, link)
		text[n++] = item->name;
	return (struct str){text, n};
}

static void
order_is_that_of_pushing(void **state UNUSED)
{
	struct item items[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}};
	struct list l;
	char        text[8];

	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_first(&l));
	assert_null(list_pop(&l));
	for (size_t i = 0; i < 3; i++)
		list_push(&l, &items[i].link);
	list_push_front(&l, &items[3].link);
	check_text("all", names(&l, text), "dabc");
	list_remove(&l, &items[1].link);
	list_remove(&l, &items[1].link);
	check_text("without b", names(&l, text), "dac");
	assert_ptr_equal(list_pop(&l), &items[3].link);
	assert_int_equal(l.n, 2);
	assert_null(list_next(&l, &items[2].link));
}

static void
a_zeroed_list_is_empty_and_usable(void **state UNUSED)
{
	struct list l = {0};
	struct item a = {.name = 'a'};
	char        text[8];

	assert_null(list_first(&l));
	list_remove(&l, &a.link);
	list_push_front(&l, &a.link);
	check_text("one", names(&l, text), "a");
}

static void
the_current_object_may_go_during_a_walk(void **state UNUSED)
{
	struct item  items[] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};
	struct item *item;
	struct list  l = {0};
	char         text[8];

	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		list_push(&l, &items[i].link);
	LIST_EACH(&l, item, struct item, link)
		if (item->name != 'b')
			list_remove(&l, &item->link);
	check_text("left", names(&l, text), "b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_is_that_of_pushing),
		cmocka_unit_test(a_zeroed_list_is_empty_and_usable),
		cmocka_unit_test(the_current_object_may_go_during_a_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
