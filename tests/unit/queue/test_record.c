/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "queue/part.h"
#include "queue/record.h"

static const struct record sample = {
	.type = RECORD_MSG,
	.flags = RECORD_LAST | RECORD_DERIVED,
	.seq = 7,
	.batch_off = 64,
	.batch = 1ull << 40,
	.id = 0x8123456789abcdefull,
	.env_len = 100,
	.parts_len = 30,
	.body_len = 4096,
	.meta_sum = 11,
	.body_sum = 22,
};

static void
a_record_comes_back(void **state)
{
	uint8_t       head[RECORD_HEAD];
	struct record r;

	(void)state;
	record_encode(head, &sample, 99);
	assert_true(record_decode(&r, head, 7, 99));
	assert_memory_equal(&r, &sample, sizeof r);
	assert_false(record_decode(&r, head, 8, 99)); /* another segment */
	assert_false(record_decode(&r, head, 7, 98)); /* another use of the file */
}

static void
any_flipped_bit_is_seen(void **state)
{
	uint8_t       head[RECORD_HEAD];
	struct record r;

	(void)state;
	record_encode(head, &sample, 99);
	for (size_t bit = 0; bit < 48 * 8; bit++) {
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(record_decode(&r, head, 7, 99));
		head[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void
spans(void **state)
{
	static const struct {
		uint32_t env, parts, body;
		unsigned flags;
		uint64_t span;
	} rows[] = {
		{0, 0, 0, 0, 64},
		{1, 0, 0, 0, 128},
		{64, 0, 0, 0, 128},
		{60, 4, 1, 0, 192},
		{60, 4, 1000000, RECORD_BIG, 128},
		{UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, 12884901952ull},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(record_span(&(struct record){.env_len = rows[i].env,
		                                              .parts_len = rows[i].parts,
		                                              .body_len = rows[i].body,
		                                              .flags = rows[i].flags}),
		                 rows[i].span);
}

static void
parts_come_back(void **state)
{
	static const char *const rows[] = {
		"part: 0 wait 0 0 - example.com 0\n",
		"part: 3 wait 1763892431000 2 n [192.0.2.1] 0-3,7,9-10\nrcpt: 3 sent 250 2.0.0 ok\nrcpt: 9 wait 451 no\n",
		"part: 1 hold 0 0 - a.example 5\nwhy: capture: no domain configured\n",
		"part: 1 done 0 65535 - a.example 5\nrcpt: 5 failed 550 5.1.1 no\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str       rest = str_of(rows[i]);
		struct part_text p;
		struct buf       out = BUF(1000);

		assert_true(part_parse(&rest, &p));
		assert_int_equal(rest.n, 0);
		part_format(&out, &p);
		assert_string_equal(buf_z(&out), rows[i]);
		part_free(&p);
		buf_free(&out);
	}
}

static void
damaged_parts_are_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"x",
		"part: ",
		"part: 0 wait 0 0 - ",
		"part: 0 wait 0 0 - a.example 3-1\n",
		"part: 0 maybe 0 0 - a.example 1\n",
		"part: 0 wait 0 0 - a.example 0-4000000000\n",
		"part: 0 wait 0 0 - a.example 1\nrcpt: 2 sent 250\n",
		"part: 0 wait 0 99999 - a.example 1\n",
		"part: 0 wait 0 0 - a.example 1\nrcpt: 1 lost 250\n",
		"part: 0 wait 0 0 - a.example 1,,2\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str       rest = str_of(rows[i]);
		struct part_text p;

		if (part_parse(&rest, &p))
			fail_msg("%s", rows[i]);
	}
}

static void
changes_find_their_recipients(void **state)
{
	struct store_rcpt rcpts[] = {{.index = 2}, {.index = 5}, {.index = 9}};
	struct part_text  p = {.rcpts = rcpts, .n_rcpts = 3};
	struct store_rcpt changes[] = {
		{.index = 9, .state = RCPT_SENT},
		{.index = 4, .state = RCPT_SENT},
		{.index = 2, .state = RCPT_FAILED},
	};

	(void)state;
	part_apply(&p, changes, 3);
	assert_int_equal(rcpts[0].state, RCPT_FAILED);
	assert_int_equal(rcpts[1].state, RCPT_WAIT);
	assert_int_equal(rcpts[2].state, RCPT_SENT);
	assert_int_equal(part_waiting(&p), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back),
		cmocka_unit_test(any_flipped_bit_is_seen),
		cmocka_unit_test(spans),
		cmocka_unit_test(parts_come_back),
		cmocka_unit_test(damaged_parts_are_refused),
		cmocka_unit_test(changes_find_their_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
