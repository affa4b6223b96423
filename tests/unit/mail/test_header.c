/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "lib/mail/header.h"

static void
messages_are_split(void **state)
{
	static const struct {
		const char *message, *head, *body;
	} rows[] = {
		{"A: b\r\n\r\nbody\r\n", "A: b\r\n", "body\r\n"},
		{"A: b\r\nC: d\r\n\r\n\r\n", "A: b\r\nC: d\r\n", "\r\n"},
		{"A: b\r\n\r\n", "A: b\r\n", ""},
		{"\r\nbody", "", "body"},
		{"A: b\r\n", "A: b\r\n", ""},
		{"A: b", "A: b", ""},
		{"", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str head, body;

		header_split(str_of(rows[i].message), &head, &body);
		assert_true(str_eq(head, str_of(rows[i].head)));
		assert_true(str_eq(body, str_of(rows[i].body)));
	}
}

static void
fields_are_cut(void **state)
{
	static const struct {
		const char *head, *name, *value, *raw, *rest;
		bool        bad;
	} rows[] = {
		{"A: b\r\nC: d\r\n", "A", " b", "A: b\r\n", "C: d\r\n", false},
		{"A: b\r\n c\r\n\td\r\nE: f\r\n", "A", " b\r\n c\r\n\td", "A: b\r\n c\r\n\td\r\n",
	         "E: f\r\n", false},
		{"A:b", "A", "b", "A:b", "", false},
		{"A \t: b\r\n", "A", " b", "A \t: b\r\n", "", false},
		{"A:\r\n", "A", "", "A:\r\n", "", false},
		{"A: b: c\r\n", "A", " b: c", "A: b: c\r\n", "", false},
		{"no field\r\nA: b\r\n", "", "", "no field\r\n", "A: b\r\n", true},
		{"From ann Mon Nov 23 10:07:11\r\nA: b\r\n", "", "",
	         "From ann Mon Nov 23 10:07:11\r\n", "A: b\r\n", true},
		{" folded\r\nA: b\r\n", "", "", " folded\r\n", "A: b\r\n", true},
		{": b\r\n", "", "", ": b\r\n", "", true},
		{"\xc3\xbc: b\r\n", "", "", "\xc3\xbc: b\r\n", "", true},
		{"word", "", "", "word", "", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str   rest = str_of(rows[i].head);
		struct field f;
		bool         bad = false;

		print_message("%s\n", rows[i].head);
		assert_true(header_next(&rest, &f, &bad));
		assert_true(str_eq(f.name, str_of(rows[i].name)));
		assert_true(str_eq(f.value, str_of(rows[i].value)));
		assert_true(str_eq(f.raw, str_of(rows[i].raw)));
		assert_true(str_eq(rest, str_of(rows[i].rest)));
		assert_int_equal(bad, rows[i].bad);
	}
}

static void
fields_are_found(void **state)
{
	const struct str head = STR("To: a\r\nSubject: s\r\nnonsense\r\ntO: b\r\n c\r\n");
	struct field     f;

	(void)state;
	assert_int_equal(header_count(head, STR("to")), 2);
	assert_int_equal(header_count(head, STR("cc")), 0);
	assert_int_equal(header_count(head, STR_NONE), 0);
	assert_true(header_find(head, STR("TO"), 1, &f));
	assert_true(str_eq(f.value, STR(" b\r\n c")));
	assert_false(header_find(head, STR("TO"), 2, &f));
}

static void
values_are_unfolded(void **state)
{
	static const struct {
		const char *value, *plain;
	} rows[] = {
		{" a b", "a b"},    {" a\r\n b\r\n\tc ", "a b\tc"}, {"\r\n a", "a"}, {"", ""},
		{" \r\n \r\n", ""},
	};
	struct buf b = BUF(100);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		header_unfold(&b, str_of(rows[i].value));
		assert_string_equal(buf_z(&b), rows[i].plain);
	}
	buf_free(&b);
}

/* `want`: the mailboxes joined with blanks, then "!" if the list is bad. */
static const struct {
	const char *value, *want;
} lists[] = {
	{" ann@example.com", "ann@example.com"},
	{" Ann <ann@example.com>", "ann@example.com"},
	{" \"Ann, the first\" <ann@example.com>", "ann@example.com"},
	{" \"a@b.example\" <ann@example.com>", "ann@example.com"},
	{" =?utf-8?q?J=C3=BCrg?= <j@example.com>", "j@example.com"},
	{" =?utf-8?B?SsO8cmc=?=\r\n =?utf-8?q?_M?= <j@example.com>", "j@example.com"},
	{" J\xc3\xbcrg <j@example.com>", "j@example.com"},
	{" j\xc3\xbcrg@b\xc3\xbc"
         "cher.example",
         "j\xc3\xbcrg@b\xc3\xbc"
         "cher.example"},
	{" Dr. A. B. Ann <ann@example.com>", "ann@example.com"},
	{" [Team] Ann <ann@example.com>", "ann@example.com"},
	{" ann@example.com (Ann (the first))", "ann@example.com"},
	{" (c)ann(c)@(c)example.com(c)", "ann@example.com"},
	{" Ann (a \\) b) <ann@example.com> (c)", "ann@example.com"},
	{" Ann\r\n <\r\n ann@example.com\r\n >", "ann@example.com"},
	{" a@x.example, B <b@y.example>,c@z.example", "a@x.example b@y.example c@z.example"},
	{" a@x.example,,\r\n , b@y.example,", "a@x.example b@y.example"},
	{" a@x.example; b@y.example", "a@x.example b@y.example"},
	{" Friends: a@x.example, B <b@y.example>;", "a@x.example b@y.example"},
	{" Friends: a@x.example;, Foes: b@y.example;", "a@x.example b@y.example"},
	{" undisclosed-recipients:;", ""},
	{" \"quoted local\"@example.com", "\"quoted local\"@example.com"},
	{" ann@[192.0.2.1]", "ann@[192.0.2.1]"},
	{" <>", ""},
	{" root", "root"},
	{" root (Cron Daemon)", "root"},
	{" Cron <root>", "root"},
	{"", ""},
	{" , ;", ""},
	{" ann @ example.com", "ann@example.com"},
	{" a.b@example.com", "a.b@example.com"},
	{" Ann ann@example.com", "!"},
	{" ann@example.com ann@evil.example", "!"},
	{" ann@example.com <evil@evil.example>", "!"},
	{" <ann@example.com> <evil@evil.example>", "!"},
	{" <ann@example.com> evil", "!"},
	{" a@x.example, <ann@example.com", "a@x.example !"},
	{" ann@example.com>", "!"},
	{" \"Ann <ann@example.com>", "!"},
	{" (Ann ann@example.com", "!"},
	{" ann@", "!"},
	{" @example.com", "!"},
	{" <@a.example:ann@example.com>", "!"},
	{" a..b@example.com", "!"},
	{" a . b@example.com", "!"},
	{" ann@example.com@evil.example", "!"},
	{" ann@exa_mple.com", "!"},
	{" :", "!"},
	{" a\001b@example.com", "!"},
	{" j\xff@example.com", "!"},
	{" ((((((((((((((((c)))))))))))))))) a@x.example", "a@x.example"},
	{" (((((((((((((((((c))))))))))))))))) a@x.example", "!"},
};

static void
mailboxes_are_walked(void **state)
{
	struct buf b = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct str     rest = str_of(lists[i].value);
		struct address a;
		bool           bad = false;

		buf_clear(&b);
		while (header_mailbox(&rest, &a, &bad)) {
			if (b.n > 0)
				buf_addc(&b, ' ');
			address_format(&b, a);
		}
		if (bad)
			buf_addz(&b, b.n > 0 ? " !" : "!");
		print_message("%s\n", lists[i].value);
		assert_string_equal(buf_z(&b), lists[i].want);
	}
	buf_free(&b);
}

static void
null_address_is_shown(void **state)
{
	struct str     rest = STR(" Ann <>, b@y.example");
	struct address a;
	bool           bad = false;

	(void)state;
	assert_true(header_mailbox(&rest, &a, &bad));
	assert_true(address_is_null(a));
	assert_true(header_mailbox(&rest, &a, &bad));
	assert_true(str_eq(a.local, STR("b")));
	assert_false(bad);
}

/* Processor time of one walk over `n` octets made of `unit`: of a machine that has much to do it says nothing. */
static double
walk_s(struct buf *b, size_t n, struct str unit)
{
	clock_t        start;
	struct address a;
	struct field   f;
	struct str     rest;
	bool           bad = false;

	buf_clear(b);
	while (b->n < n)
		buf_add(b, unit);
	start = clock();
	for (rest = buf_str(b); header_next(&rest, &f, &bad);)
		continue;
	for (rest = buf_str(b); header_mailbox(&rest, &a, &bad);)
		continue;
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void
walking_is_linear(void **state)
{
	static const char *const units[] = {
		"a ",   "\"a",   "(",       "()",    "<", "a:", "a@b,", "\\",
		"\"\"", "a\r\n", "A:\r\n ", "\r\n ", ",", "[",  "\"\\",
	};
	struct buf b = BUF(8 << 20);

	(void)state;
	/* A quadratic walk over a megabyte would take minutes. */
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		assert_true(walk_s(&b, 1 << 20, str_of(units[i])) < 10);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_split),   cmocka_unit_test(fields_are_cut),
		cmocka_unit_test(fields_are_found),     cmocka_unit_test(values_are_unfolded),
		cmocka_unit_test(mailboxes_are_walked), cmocka_unit_test(null_address_is_shown),
		cmocka_unit_test(walking_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
