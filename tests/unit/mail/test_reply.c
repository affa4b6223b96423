/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "lib/mail/reply.h"

static const struct {
	const char *line;
	bool        ok;
	uint16_t    code;
	uint8_t     status[3];
	const char *text;
} parses[] = {
	{"250 2.0.0 queued as x", true, 250, {2, 0, 0}, "queued as x"},
	{"250", true, 250, {0}, ""},
	{"250 ", true, 250, {0}, ""},
	{"250 OK", true, 250, {0}, "OK"},
	{"250-OK", true, 250, {0}, "OK"},
	{"550 5.1.1", true, 550, {5, 1, 1}, ""},
	{"550 5.1.1  two blanks", true, 550, {5, 1, 1}, "two blanks"},
	{"450 4.7.999 slow", true, 450, {4, 7, 255}, "slow"},
	{"550 4.7.1 status of another class", true, 550, {0}, "4.7.1 status of another class"},
	{"354 3.0.0 no such class", true, 354, {0}, "3.0.0 no such class"},
	{"550 5.1 short", true, 550, {0}, "5.1 short"},
	{"550 5.1.1.1 long", true, 550, {0}, "5.1.1.1 long"},
	{"550 5.1.1000 wide", true, 550, {0}, "5.1.1000 wide"},
	{"550 5..1 hole", true, 550, {0}, "5..1 hole"},
	{"550 5.1.x letter", true, 550, {0}, "5.1.x letter"},
	{"550 \xff\xfe", true, 550, {0}, "\xff\xfe"},
	{"", false, 0, {0}, ""},
	{"25", false, 0, {0}, ""},
	{"199 low", false, 0, {0}, ""},
	{"600 high", false, 0, {0}, ""},
	{"2500 long", false, 0, {0}, ""},
	{"25x text", false, 0, {0}, ""},
	{"+25 text", false, 0, {0}, ""},
	{"hello", false, 0, {0}, ""},
};

static void
lines_become_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parses); i++) {
		struct reply r;

		print_message("%s\n", parses[i].line);
		assert_int_equal(reply_parse(str_of(parses[i].line), &r), parses[i].ok);
		if (!parses[i].ok)
			continue;
		assert_int_equal(r.code, parses[i].code);
		assert_memory_equal(r.status, parses[i].status, 3);
		assert_true(str_eq(r.text, str_of(parses[i].text)));
	}
}

static void
long_text_is_cut(void **state)
{
	struct reply r;
	char         line[3000];

	(void)state;
	memset(line, 'x', sizeof line);
	memcpy(line, "550 ", 4);
	assert_true(reply_parse((struct str){line, sizeof line}, &r));
	assert_int_equal(r.text.n, REPLY_TEXT_MAX);
}

static void
replies_become_lines(void **state)
{
	static const struct {
		struct reply r;
		const char  *line, *status;
	} rows[] = {
		{{250, {2, 0, 0}, {"ok", 2}}, "250 2.0.0 ok", "2.0.0"},
		{{250, {0}, {"ok", 2}}, "250 ok", "2.0.0"},
		{{451, {4, 3, 0}, {NULL, 0}}, "451 4.3.0", "4.3.0"},
		{{550, {0}, {NULL, 0}}, "550", "5.0.0"},
		{{550, {5, 7, 1}, {"a\r\n250 b\0c\x7f", 11}}, "550 5.7.1 a  250 b c ", "5.7.1"},
	};
	struct buf b = BUF(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		reply_format(&b, rows[i].r);
		assert_string_equal(buf_z(&b), rows[i].line);
		buf_clear(&b);
		reply_format_status(&b, rows[i].r);
		assert_string_equal(buf_z(&b), rows[i].status);
	}
	buf_free(&b);
}

static void
classes_are_told_apart(void **state)
{
	(void)state;
	assert_true(reply_is_ok(REPLY(250, 2, 0, 0, "")));
	assert_true(reply_is_temporary(REPLY(421, 4, 0, 0, "")));
	assert_true(reply_is_permanent(REPLY(554, 5, 0, 0, "")));
	assert_false(reply_is_ok(REPLY(354, 0, 0, 0, "")));
	assert_false(reply_is_permanent((struct reply){0}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_replies),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(replies_become_lines),
		cmocka_unit_test(classes_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
