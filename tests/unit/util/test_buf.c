/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "lib/util/buf.h"
#include "lib/util/random.h"
#include "tests/unit/check.h"

static void
appends_of_every_kind(void **state UNUSED)
{
	struct buf b = BUF(200);

	buf_add(&b, STR("a"));
	buf_addz(&b, "bc");
	buf_addc(&b, ' ');
	buf_addn(&b, 0);
	buf_addc(&b, ' ');
	buf_addn(&b, UINT64_MAX);
	buf_addc(&b, ' ');
	buf_addi(&b, INT64_MIN);
	buf_addf(&b, " %s=%d", "x", -5);
	buf_addz(&b, NULL);
	check_text("all", buf_str(&b), "abc 0 18446744073709551615 -9223372036854775808 x=-5");
	assert_string_equal(buf_z(&b), "abc 0 18446744073709551615 -9223372036854775808 x=-5");
	buf_free(&b);
	assert_int_equal(b.limit, 200);
	assert_string_equal(buf_z(&b), "");
	buf_free(&b);
}

static void
long_formats_grow_the_buffer(void **state UNUSED)
{
	struct buf b = BUF(5000);

	for (int i = 0; i < 20; i++)
		buf_addf(&b, "%0*d", 100 + i, i);
	assert_int_equal(b.n, 20 * 100 + 190);
	assert_int_equal(strlen(buf_z(&b)), b.n);
	assert_false(b.over);
	buf_free(&b);
}

static void
nothing_goes_over_the_limit(void **state UNUSED)
{
	struct buf b = BUF(8);

	buf_addz(&b, "1234567");
	buf_addz(&b, "89");
	assert_true(b.over);
	check_text("refused whole", buf_str(&b), "1234567");
	buf_addc(&b, '8');
	check_text("exactly full", buf_str(&b), "12345678");
	assert_true(b.over);
	buf_clear(&b);
	assert_false(b.over);
	buf_addf(&b, "%s", "123456789");
	assert_true(b.over);
	check_text("format refused", buf_str(&b), "");
	buf_clear(&b);
	assert_null(buf_room(&b, 9));
	assert_true(b.over);
	assert_non_null(buf_room(&b, 8));
	buf_free(&b);
}

static void
room_is_committed_in_part(void **state UNUSED)
{
	struct buf b = BUF(SIZE_MAX);
	char      *room = buf_room(&b, 1000);

	memset(room, 'x', 3);
	buf_commit(&b, 3);
	check_text("three", buf_str(&b), "xxx");
	buf_free(&b);
}

static void
drops_and_truncates(void **state UNUSED)
{
	struct buf b = BUF(100);

	buf_addz(&b, "hello world");
	buf_drop(&b, 6);
	check_text("dropped", buf_str(&b), "world");
	buf_addz(&b, "!");
	buf_truncate(&b, 100);
	check_text("longer than it is", buf_str(&b), "world!");
	buf_drop(&b, 1);
	check_text("z", str_of(buf_z(&b)), "orld!");
	buf_free(&b);
}

/* Against a plain model: random appends and drops, as a stream does them. */
static void
a_queue_of_octets_keeps_their_order(void **state UNUSED)
{
	struct buf    b = BUF(1000);
	unsigned char written = 0, read = 0;

	random_hook(1);
	for (int round = 0; round < 20000; round++) {
		uint32_t add = random_below(300), drop;

		for (; add > 0 && b.n < b.limit; add--)
			buf_addc(&b, (char)written++);
		for (drop = random_below((uint32_t)b.n + 1); drop > 0; drop--) {
			assert_int_equal((unsigned char)b.p[0], read++);
			buf_drop(&b, 1);
		}
		assert_true(b.cap <= 2 * (b.limit + 1));
	}
	assert_false(b.over);
	random_hook(0);
	buf_free(&b);
}

/* Quadratic work on this would take minutes. */
static void
a_full_buffer_is_cheap_to_use_as_a_queue(void **state UNUSED)
{
	struct buf b = BUF(4 << 20);

	while (b.n < b.limit)
		buf_addc(&b, 'x');
	for (int i = 0; i < 8 << 20; i++) {
		buf_drop(&b, 1);
		buf_addc(&b, 'x');
	}
	assert_int_equal(b.n, b.limit);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_of_every_kind),
		cmocka_unit_test(long_formats_grow_the_buffer),
		cmocka_unit_test(nothing_goes_over_the_limit),
		cmocka_unit_test(room_is_committed_in_part),
		cmocka_unit_test(drops_and_truncates),
		cmocka_unit_test(a_queue_of_octets_keeps_their_order),
		cmocka_unit_test(a_full_buffer_is_cheap_to_use_as_a_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
