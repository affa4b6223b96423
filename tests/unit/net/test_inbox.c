/* SPDX-License-Identifier: ISC */
#include "lib/net/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util/mem.h"

enum { LIMIT = 16 };

static char scratch[INBOX_MAX];

/* As a stream does it; false: full. */
static bool
come(struct inbox *b, struct str octets)
{
	while (octets.n > 0) {
		size_t room;
		char  *to = inbox_room(b, scratch, &room);

		if (to == NULL)
			return false;
		if (room > octets.n)
			room = octets.n;
		memcpy(to, octets.p, room);
		inbox_came(b, room);
		octets = str_skip(octets, room);
		inbox_keep(b);
		memset(scratch, 'X', sizeof scratch); /* whoever still looks there finds out */
	}
	return true;
}

/* "ok:text|bare:text|long|" */
static void
take_lines(struct inbox *b, struct buf *out)
{
	static const char *const names[] = {
		[LINE_OK] = "ok:", [LINE_LONG] = "long", [LINE_BARE] = "bare:"};
	struct str       line = STR_NONE;
	enum stream_line result;

	while ((result = inbox_line(b, LIMIT, &line)) != LINE_NONE) {
		buf_addz(out, names[result]);
		if (result != LINE_LONG)
			buf_add(out, line);
		buf_addc(out, '|');
	}
}

/* STR() is no constant for a static table. */
#define TEXT(z)                    \
	{                          \
		(z), sizeof(z) - 1 \
	}

static const struct {
	const char *name;
	struct str  input;
	struct str  lines;
} rows[] = {
	{"nothing", TEXT(""), TEXT("")},
	{"one", TEXT("EHLO a\r\n"), TEXT("ok:EHLO a|")},
	{"two", TEXT("EHLO a\r\nQUIT\r\n"), TEXT("ok:EHLO a|ok:QUIT|")},
	{"empty", TEXT("\r\n\r\nx\r\n"), TEXT("ok:|ok:|ok:x|")},
	{"unfinished", TEXT("QUIT"), TEXT("")},
	{"unfinished with CR", TEXT("QUIT\r"), TEXT("")},
	{"bare LF", TEXT("QUIT\nx\r\n"), TEXT("bare:QUIT|ok:x|")},
	{"LF alone", TEXT("\n"), TEXT("bare:|")},
	{"bare CR inside", TEXT("QU\rIT\r\n"), TEXT("bare:QU\rIT|")},
	{"CR CR LF", TEXT("QUIT\r\r\n"), TEXT("bare:QUIT\r|")},
	{"LF CR", TEXT("QUIT\n\r\n"), TEXT("bare:QUIT|ok:|")},
	{"NUL", TEXT("QU\0IT\r\n"), TEXT("bare:QU\0IT|")},
	{"NUL at the end", TEXT("QUIT\0\r\n"), TEXT("bare:QUIT\0|")},
	{"smuggled end of data", TEXT("x\n.\r\ny\r\n"), TEXT("bare:x|ok:.|ok:y|")},
	{"CR dot CR", TEXT("x\r\n.\r\r\n"), TEXT("ok:x|bare:.\r|")},
	{"just within the limit", TEXT("01234567890123\r\nx\r\n"), TEXT("ok:01234567890123|ok:x|")},
	{"just over the limit", TEXT("012345678901234\r\nx\r\n"), TEXT("long|ok:x|")},
	{"over by LF", TEXT("012345678901234\n\r\n"), TEXT("bare:012345678901234|ok:|")},
	{"long", TEXT("0123456789012345678901234567890123456789\r\nx\r\n"), TEXT("long|ok:x|")},
	{"long with bare CR", TEXT("0123456789012345678\r0123\r\nx\r\n"), TEXT("long|ok:x|")},
	{"long and unfinished", TEXT("0123456789012345678901234567890123456789"), TEXT("long|")},
	{"two long", TEXT("01234567890123456789\r\n01234567890123456789\r\n"), TEXT("long|long|")},
	{"eight bits", TEXT("\xff\xfe\x80\r\n"), TEXT("ok:\xff\xfe\x80|")},
};

static void
check(const char *name, struct str got, struct str want, size_t cut)
{
	if (!str_eq(got, want))
		fail_msg("%s, cut at %zu: %.*s", name, cut, (int)got.n, got.p);
}

static void
lines_do_not_depend_on_where_they_are_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t cut = 0; cut <= rows[i].input.n; cut++) {
			struct inbox b = {0};
			struct buf   out = BUF(4096);

			assert_true(come(&b, str_sub(rows[i].input, 0, cut)));
			take_lines(&b, &out);
			assert_true(come(&b, str_skip(rows[i].input, cut)));
			take_lines(&b, &out);
			check(rows[i].name, buf_str(&out), rows[i].lines, cut);
			inbox_free(&b);
			buf_free(&out);
		}
}

static void
lines_may_come_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct inbox b = {0};
		struct buf   out = BUF(4096);

		for (size_t at = 0; at < rows[i].input.n; at++) {
			assert_true(come(&b, str_sub(rows[i].input, at, 1)));
			take_lines(&b, &out);
		}
		check(rows[i].name, buf_str(&out), rows[i].lines, 1);
		inbox_free(&b);
		buf_free(&out);
	}
}

static void
what_nobody_takes_fills_it_up(void **state)
{
	struct inbox b = {0};
	char        *much = mem_array(2 * INBOX_MAX, 1);

	(void)state;
	assert_false(come(&b, (struct str){much, 2 * INBOX_MAX}));
	assert_int_equal(b.n, INBOX_MAX);
	assert_true(inbox_is_full(&b));
	inbox_take(&b, INBOX_MAX - INBOX_LINE_MAX);
	assert_false(inbox_is_full(&b));
	assert_true(come(&b, (struct str){much, INBOX_MAX - INBOX_LINE_MAX}));
	assert_true(inbox_is_full(&b));
	inbox_take(&b, INBOX_MAX);
	inbox_keep(&b);
	assert_null(b.p);
	inbox_free(&b);
	free(much);
}

static void
the_longest_line_always_fits(void **state)
{
	struct inbox b = {0};
	struct str   line;
	char        *much = mem_array(INBOX_LINE_MAX, 1);

	(void)state;
	memset(much, 'a', INBOX_LINE_MAX);
	memcpy(much + INBOX_LINE_MAX - 2, "\r\n", 2);
	/* In front of it lies what was taken before: the worst case. */
	assert_true(come(&b, (struct str){much, INBOX_MAX - INBOX_LINE_MAX - 1}));
	assert_true(come(&b, (struct str){much, 1000}));
	inbox_take(&b, INBOX_MAX - INBOX_LINE_MAX - 1);
	assert_true(come(&b, (struct str){much + 1000, INBOX_LINE_MAX - 1000}));
	assert_int_equal(inbox_line(&b, SIZE_MAX, &line), LINE_OK);
	assert_int_equal(line.n, INBOX_LINE_MAX - 2);
	inbox_free(&b);
	free(much);
}

static void
views_are_bounded_by_what_was_asked_for(void **state)
{
	struct inbox b = {0};

	(void)state;
	assert_int_equal(inbox_peek(&b, 5).n, 0);
	assert_true(come(&b, STR("hello world")));
	assert_true(str_eq(inbox_peek(&b, 5), STR("hello")));
	inbox_take(&b, 6);
	assert_true(str_eq(inbox_peek(&b, 100), STR("world")));
	inbox_free(&b);
}

/* An idle connection has no memory, a partial line little. */
static void
memory_is_kept_only_for_what_is_left(void **state)
{
	struct inbox b = {0};
	struct str   line;

	(void)state;
	assert_true(come(&b, STR("EHLO there\r\nMAIL")));
	assert_true(b.cap <= 1024 && !b.borrowed);
	assert_int_equal(inbox_line(&b, LIMIT, &line), LINE_OK);
	inbox_take(&b, 4);
	inbox_keep(&b);
	assert_null(b.p);
	assert_int_equal(b.cap, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_do_not_depend_on_where_they_are_cut),
		cmocka_unit_test(lines_may_come_octet_by_octet),
		cmocka_unit_test(what_nobody_takes_fills_it_up),
		cmocka_unit_test(the_longest_line_always_fits),
		cmocka_unit_test(views_are_bounded_by_what_was_asked_for),
		cmocka_unit_test(memory_is_kept_only_for_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
