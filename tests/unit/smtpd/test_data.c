/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/buf.h"
#include "smtpd/data.h"

#define S(z) {z, sizeof(z) - 1}

static const struct row {
	const char     *name;
	enum data_kind  kind;
	bool            repair;
	struct str      in, out;
	bool            ended;
	size_t          left; /* octets behind the end */
	enum data_fault fault;
	unsigned        line;
} rows[] = {
	{"one line", DATA_DOTTED, false, S("a\r\n.\r\n"), S("a\r\n"), true, 0, DATA_FINE, 0},
	{"nothing at all", DATA_DOTTED, false, S(".\r\n"), S(""), true, 0, DATA_FINE, 0},
	{"commands behind it stay", DATA_DOTTED, false, S("a\r\n.\r\nQUIT\r\n"), S("a\r\n"), true, 6, DATA_FINE, 0},
	{"a stuffed dot", DATA_DOTTED, false, S("..a\r\n.\r\n"), S(".a\r\n"), true, 0, DATA_FINE, 0},
	{"a stuffed line of one dot", DATA_DOTTED, false, S("..\r\n.\r\n"), S(".\r\n"), true, 0, DATA_FINE, 0},
	{"a dot that was not stuffed", DATA_DOTTED, false, S(".a\r\n.\r\n"), S("a\r\n"), true, 0, DATA_FINE, 0},
	{"dots within a line stay", DATA_DOTTED, false, S("a.b..c\r\n.\r\n"), S("a.b..c\r\n"), true, 0, DATA_FINE, 0},
	{"a dot and a blank end nothing", DATA_DOTTED, false, S(". \r\n.\r\n"), S(" \r\n"), true, 0, DATA_FINE, 0},
	{"empty lines", DATA_DOTTED, false, S("\r\n\r\na\r\n\r\n.\r\n"), S("\r\n\r\na\r\n\r\n"), true, 0, DATA_FINE, 0},
	{"no end yet", DATA_DOTTED, false, S("a\r\n."), S("a\r\n"), false, 0, DATA_FINE, 0},
	{"no end yet at CR", DATA_DOTTED, false, S("a\r\n.\r"), S("a\r\n"), false, 0, DATA_FINE, 0},

	/* smuggling: each of these has ended a message on some server */
	{"LF . LF", DATA_DOTTED, false, S("a\n.\nQUIT\r\n.\r\n"), S(""), true, 0, DATA_BARE_LF, 1},
	{"LF . CRLF", DATA_DOTTED, false, S("a\n.\r\nQUIT\r\n.\r\n"), S(""), true, 0, DATA_BARE_LF, 1},
	{"CRLF . LF", DATA_DOTTED, false, S("a\r\n.\nQUIT\r\n.\r\n"), S("a\r\n"), true, 0, DATA_BARE_LF, 2},
	{"CRLF . CR", DATA_DOTTED, false, S("a\r\n.\rQUIT\r\n.\r\n"), S("a\r\n"), true, 0, DATA_BARE_CR, 2},
	{"CR . CRLF", DATA_DOTTED, false, S("a\r.\r\nQUIT\r\n.\r\n"), S(""), true, 0, DATA_BARE_CR, 1},
	{"CR . CR", DATA_DOTTED, false, S("a\r.\rQUIT\r\n.\r\n"), S(""), true, 0, DATA_BARE_CR, 1},
	{"CR . LF", DATA_DOTTED, false, S("a\r.\nQUIT\r\n.\r\n"), S(""), true, 0, DATA_BARE_CR, 1},
	{"CR CR LF . CRLF", DATA_DOTTED, false, S("a\r\r\n.\r\nx"), S(""), true, 1, DATA_BARE_CR, 1},
	{"CRLF . CR CRLF", DATA_DOTTED, false, S("a\r\n.\r\r\n.\r\n"), S("a\r\n"), true, 0, DATA_BARE_CR, 2},
	{"LF CR . CRLF", DATA_DOTTED, false, S("a\n\r.\r\n.\r\n"), S(""), true, 0, DATA_BARE_LF, 1},
	{"CRLF NUL . CRLF", DATA_DOTTED, false, S("a\r\n\0.\r\n.\r\n"), S(""), true, 0, DATA_NUL, 0},
	{"CRLF . NUL CRLF", DATA_DOTTED, false, S("a\r\n.\0\r\n.\r\n"), S(""), true, 0, DATA_NUL, 0},
	{"CRLF . CR NUL LF", DATA_DOTTED, false, S("a\r\n.\r\0\n.\r\n.\r\n"), S(""), true, 0, DATA_BARE_CR, 0},
	{"a NUL behind the end is not ours", DATA_DOTTED, false, S("a\r\n.\r\n\0"), S("a\r\n"), true, 1, DATA_FINE, 0},
	{"a CR at the very end", DATA_DOTTED, false, S("a\r"), S("a\r"), false, 0, DATA_FINE, 0},

	/* repair for local programs: it ends lines, never messages */
	{"repair: a line feed", DATA_DOTTED, true, S("a\nb\r\n.\r\n"), S("a\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"repair: line feeds in a row", DATA_DOTTED, true, S("\n\n\n.\r\nx\r\n.\r\n"), S("\r\n\r\n\r\n.\r\nx\r\n"), true, 0, DATA_FINE, 0},
	{"repair: LF . LF ends nothing", DATA_DOTTED, true, S("a\n.\nb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"repair: LF . CRLF ends nothing", DATA_DOTTED, true, S("a\n.\r\nb\r\n.\r\n"), S("a\r\n.\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"repair: CRLF . LF ends nothing", DATA_DOTTED, true, S("a\r\n.\nb\r\n.\r\n"), S("a\r\n\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"repair: a dot behind LF is kept", DATA_DOTTED, true, S("a\n..b\r\n.\r\n"), S("a\r\n..b\r\n"), true, 0, DATA_FINE, 0},
	{"repair: a CR is still a fault", DATA_DOTTED, true, S("a\rb\r\n.\r\n"), S(""), true, 0, DATA_BARE_CR, 1},
	{"repair: a NUL is still a fault", DATA_DOTTED, true, S("a\n\0\r\n.\r\n"), S(""), true, 0, DATA_NUL, 0},

	/* chunks */
	{"counted: dots mean nothing", DATA_COUNTED, false, S(".\r\n..\r\n.\r\n"), S(".\r\n..\r\n.\r\n"), true, 0, DATA_FINE, 0},
	{"counted: the last line is completed", DATA_COUNTED, false, S("a\r\nb"), S("a\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"counted: a CR at the end", DATA_COUNTED, false, S("a\r"), S("a\r"), true, 0, DATA_BARE_CR, 1},
	{"counted: a bare CR", DATA_COUNTED, false, S("a\rb\r\n"), S(""), true, 0, DATA_BARE_CR, 1},
	{"counted: CR . CR", DATA_COUNTED, false, S("a\r.\r"), S(""), true, 0, DATA_BARE_CR, 1},
	{"counted: a bare line feed", DATA_COUNTED, false, S("a\nb\r\n"), S(""), true, 0, DATA_BARE_LF, 1},
	{"counted: repaired", DATA_COUNTED, true, S("a\nb\n"), S("a\r\nb\r\n"), true, 0, DATA_FINE, 0},
	{"counted: nothing", DATA_COUNTED, false, S(""), S(""), true, 0, DATA_FINE, 0},
};

static void
collect(void *arg, struct str run)
{
	buf_add(arg, run);
}

/* Feed in pieces cut at `a` and `b`; how much was taken. */
static size_t
feed(struct data *d, struct str in, size_t a, size_t b, struct buf *out)
{
	struct str pieces[] = {str_sub(in, 0, a), str_sub(in, a, b - a), str_skip(in, b)};
	size_t     taken = 0;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		/* A copy of just that size, so that a sanitizer sees a step over its end. */
		char  *copy = malloc(pieces[i].n + 1);
		size_t n;

		assert_non_null(copy);
		memcpy(copy, pieces[i].p, pieces[i].n);
		n = data_feed(d, (struct str){copy, pieces[i].n}, collect, out);
		taken += n;
		free(copy);
		if (n < pieces[i].n)
			break;
	}
	return taken;
}

static void
play(const struct row *row, size_t a, size_t b)
{
	struct buf  out = BUF(4096);
	struct data d;
	size_t      taken;

	data_init(&d, row->kind, row->repair);
	taken = feed(&d, row->in, a, b, &out);
	if (row->kind == DATA_COUNTED)
		data_finish(&d, collect, &out);
	assert_int_equal(d.ended, row->ended);
	assert_int_equal(row->in.n - taken, row->left);
	assert_int_equal(d.fault != DATA_FINE, row->fault != DATA_FINE);
	/* Where two faults stand close together, it depends on the cut which is seen first. */
	if (row->line > 0) {
		assert_int_equal(d.fault, row->fault);
		assert_int_equal(d.line, row->line);
	}
	if (row->fault == DATA_FINE)
		assert_true(str_eq(buf_str(&out), row->out));
	buf_free(&out);
}

static void
every_row_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("# %s\n", rows[i].name);
		for (size_t a = 0; a <= rows[i].in.n; a++)
			for (size_t b = a; b <= rows[i].in.n; b++)
				play(&rows[i], a, b);
	}
}

static void
lines_of_998_pass_and_of_999_do_not(void **state)
{
	static const size_t lengths[] = {997, 998, 999, 1000, 5000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct buf  in = BUF(8192), out = BUF(8192);
		struct data d;

		buf_addz(&in, "\r\n"); /* no header: there they may be longer */
		for (size_t n = 0; n < lengths[i]; n++)
			buf_addc(&in, 'x');
		buf_addz(&in, "\r\n.\r\n");
		for (size_t cut = 0; cut <= in.n; cut += 7) {
			data_init(&d, DATA_DOTTED, false);
			buf_clear(&out);
			(void)feed(&d, buf_str(&in), cut, cut + (in.n - cut) / 2, &out);
			assert_true(d.ended);
			assert_int_equal(d.fault, lengths[i] > 998 ? DATA_LONG_LINE : DATA_FINE);
		}
		buf_free(&in);
		buf_free(&out);
	}
}

static void
the_header_may_have_longer_lines(void **state)
{
	static const char *const after[] = {"\r\n.\r\n", "\r\n\r\n.\r\n", "\r\n\r\n\r\n.\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		struct buf  in = BUF(8192), out = BUF(8192);
		struct data d;

		buf_addz(&in, "A: b\r\n..");
		for (size_t n = 0; n < 2000; n++)
			buf_addc(&in, 'x');
		buf_addz(&in, after[i]);
		for (size_t cut = 0; cut <= in.n; cut += 7) {
			data_init(&d, DATA_DOTTED, false);
			buf_clear(&out);
			(void)feed(&d, buf_str(&in), cut, cut + (in.n - cut) / 2, &out);
			assert_true(d.ended);
			assert_int_equal(d.fault, DATA_FINE);
			assert_int_equal(d.in_head, i == 0);
		}
		buf_free(&in);
		buf_free(&out);
	}
}

static void
a_stuffed_dot_does_not_count(void **state)
{
	struct buf  in = BUF(8192), out = BUF(8192);
	struct data d;

	(void)state;
	buf_addz(&in, "\r\n..");
	for (size_t n = 0; n < 997; n++)
		buf_addc(&in, 'x');
	buf_addz(&in, "\r\n.\r\n");
	data_init(&d, DATA_DOTTED, false);
	(void)data_feed(&d, buf_str(&in), collect, &out);
	assert_int_equal(d.fault, DATA_FINE);
	assert_int_equal(out.n, 1002);
	buf_free(&in);
	buf_free(&out);
}

static void
runs_are_large(void **state)
{
	struct buf  in = BUF(65536), out = BUF(65536);
	struct data d;

	(void)state;
	for (size_t n = 0; n < 500; n++)
		buf_addz(&in, "a line of no great length, as there are many\r\n");
	data_init(&d, DATA_DOTTED, false);
	/* A limit of its own would show a second append: there is one for all lines. */
	buf_init(&out, in.n);
	assert_int_equal(data_feed(&d, buf_str(&in), collect, &out), in.n);
	assert_int_equal(out.n, in.n);
	buf_free(&in);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_the_same_however_it_is_cut),
		cmocka_unit_test(lines_of_998_pass_and_of_999_do_not),
		cmocka_unit_test(the_header_may_have_longer_lines),
		cmocka_unit_test(a_stuffed_dot_does_not_count),
		cmocka_unit_test(runs_are_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
