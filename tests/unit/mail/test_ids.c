/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "lib/mail/ids.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

static int64_t now_ms = 1795428431402;

static int64_t
fake_wall(void)
{
	return now_ms;
}

static int64_t
fake_mono(void)
{
	return now_ms * 1000;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
ids_grow_and_never_repeat(void **state)
{
	struct ids ids = {.maker = 5};
	uint64_t   last = 0;

	(void)state;
	time_hook(fake_wall, fake_mono);
	for (size_t i = 0; i < 200000; i++) {
		uint64_t id = ids_next(&ids);

		if (i == 50000)
			now_ms -= 3600 * 1000; /* the clock is set back */
		assert_true(id > last);
		assert_int_equal(id >> 14 & 63, 5);
		last = id;
	}
	time_hook(NULL, NULL);
}

static void
makers_do_not_meet(void **state)
{
	struct ids a = {.maker = 0}, b = {.maker = 63};

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		assert_int_not_equal(ids_next(&a), ids_next(&b));
}

static void
text_comes_back(void **state)
{
	struct ids ids = {.maker = 9};
	struct buf b = BUF(64);

	(void)state;
	for (size_t i = 0; i < 10000; i++) {
		uint64_t id = ids_next(&ids), back = 0;

		buf_clear(&b);
		id_format(&b, id);
		assert_int_equal(b.n, ID_TEXT);
		assert_true(id_parse(buf_str(&b), &back));
		assert_int_equal(back, id);
		for (size_t n = 0; n <= ID_TEXT; n++)
			assert_true(id_has_prefix(id, str_sub(buf_str(&b), 0, n)));
		b.p[i % ID_TEXT] = b.p[i % ID_TEXT] == '7' ? '8' : '7';
		assert_false(id_has_prefix(id, buf_str(&b)));
	}
	buf_free(&b);
}

static void
ids_of_one_moment_differ_early(void **state)
{
	enum { N = 1000 };
	struct ids ids = {.maker = 1};
	uint64_t   heads[N];
	size_t     shared = 0;
	struct buf b = BUF(64);

	(void)state;
	for (size_t i = 0; i < N; i++) {
		heads[i] = 0;
		buf_clear(&b);
		id_format(&b, ids_next(&ids));
		for (size_t k = 0; k < 5; k++)
			heads[i] = heads[i] << 8 | (unsigned char)b.p[k];
	}
	qsort(heads, N, sizeof heads[0], by_number);
	for (size_t i = 1; i < N; i++)
		shared += heads[i] == heads[i - 1];
	/* Chance alone gives 0.015 pairs among a thousand of 32^5. */
	assert_true(shared <= 2);
	buf_free(&b);
}

static void
only_whole_ids_are_read(void **state)
{
	static const struct {
		const char *text;
		bool        ok;
	} rows[] = {
		{"0000000000001", true},
		{"oOoOoOoOoOoOI", true},
		{"zzzzzzzzzzzzf", true},
		{"ZZZZZZZZZZZZF", true},
		{"zzzzzzzzzzzzg", false},
		{"zzzzzzzzzzzzz", false},
		{"000000000001", false},
		{"00000000000001", false},
		{"000000000000u", false},
		{"00000000000-1", false},
		{"", false},
		{"0000000000000", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t id;

		print_message("%s\n", rows[i].text);
		assert_int_equal(id_parse(str_of(rows[i].text), &id), rows[i].ok);
	}
}

static void
look_alikes_are_the_same(void **state)
{
	uint64_t a, b;

	(void)state;
	assert_true(id_parse(STR("0000000000001"), &a));
	assert_true(id_parse(STR("oOoOoOoOoOoOl"), &b));
	assert_int_equal(a, b);
	assert_true(id_has_prefix(a, STR("oo0")));
	assert_false(id_has_prefix(a, STR("oo1")));
	assert_false(id_has_prefix(a, STR("00000000000011")));
}

static void
derived_ids_are_steady_and_apart(void **state)
{
	enum { PARENTS = 200, PARTS = 20, KINDS = 3, N = PARENTS * PARTS * KINDS };
	uint64_t  *all = mem_array(N, sizeof *all);
	struct ids ids = {.maker = 2};
	size_t     n = 0;

	(void)state;
	for (size_t p = 0; p < PARENTS; p++) {
		uint64_t parent = ids_next(&ids);

		for (unsigned part = 0; part < PARTS; part++)
			for (unsigned kind = 0; kind < KINDS; kind++) {
				all[n] = id_derive(parent, part, kind);
				assert_int_equal(all[n], id_derive(parent, part, kind));
				assert_true(all[n] >> 63 == 1 && parent >> 63 == 0);
				n++;
			}
	}
	qsort(all, N, sizeof *all, by_number);
	for (size_t i = 1; i < N; i++)
		assert_true(all[i] != all[i - 1]);
	free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_grow_and_never_repeat),
		cmocka_unit_test(makers_do_not_meet),
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(ids_of_one_moment_differ_early),
		cmocka_unit_test(only_whole_ids_are_read),
		cmocka_unit_test(look_alikes_are_the_same),
		cmocka_unit_test(derived_ids_are_steady_and_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
