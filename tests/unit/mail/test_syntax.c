/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/mail/syntax.h"

#define ROW(literal, ok)                               \
	{                                              \
		{(literal), sizeof(literal) - 1}, (ok) \
	}

struct row {
	struct str s;
	bool       ok;
};

static void
check(const struct row *rows, size_t n, bool (*is)(struct str s))
{
	for (size_t i = 0; i < n; i++) {
		print_message("%.*s\n", (int)rows[i].s.n, rows[i].s.p);
		assert_int_equal(is(rows[i].s), rows[i].ok);
	}
}

static void
utf8_is_checked(void **state)
{
	static const struct row rows[] = {
		ROW("", true),
		ROW("plain", true),
		ROW("\xc3\xbc", true),
		ROW("\xe2\x82\xac", true),
		ROW("\xf0\x9f\x98\x80", true),
		ROW("\xf4\x8f\xbf\xbf", true),
		ROW("\xc0\xaf", false),         /* overlong */
		ROW("\xe0\x80\xaf", false),     /* overlong */
		ROW("\xed\xa0\x80", false),     /* surrogate */
		ROW("\xf4\x90\x80\x80", false), /* past the end */
		ROW("\xff", false),
		ROW("\x80", false),
		ROW("a\xc3", false),
		ROW("\xe2\x82", false),
		ROW("\xc3(", false),
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), syntax_is_utf8);
}

static void
locals_are_checked(void **state)
{
	static const struct row rows[] = {
		ROW("ann", true),
		ROW("a.b-c+d=e_f", true),
		ROW("!#$%&'*+-/=?^_`{|}~", true),
		ROW("\"a b\"", true),
		ROW("\"a\\\"b\"", true),
		ROW("\"\"", true),
		ROW("j\xc3\xbcrg", true),
		ROW("", false),
		ROW(".a", false),
		ROW("a.", false),
		ROW("a..b", false),
		ROW("a b", false),
		ROW("a\0b", false),
		ROW("a\r\nb", false),
		ROW("\"a", false),
		ROW("\"a\"b", false),
		ROW("\"a\\\"", false),
		ROW("\"a\tb\"", false),
		ROW("\"a\\\nb\"", false),
		ROW("a@b", false),
		ROW("a,b", false),
		ROW("(a)", false),
		ROW("a\x7f", false),
		ROW("a\xff", false),
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), syntax_local);
}

static void
domains_are_checked(void **state)
{
	static const struct row rows[] = {
		ROW("example.com", true),
		ROW("localhost", true),
		ROW("x--y.example", true),
		ROW("b\xc3\xbc"
	            "cher.example",
	            true),
		ROW("123.example", true),
		ROW("", false),
		ROW(".example", false),
		ROW("example.", false),
		ROW("a..b", false),
		ROW("-a.example", false),
		ROW("a-.example", false),
		ROW("a_b.example", false),
		ROW("a b.example", false),
		ROW("a\0.example", false),
		ROW("[192.0.2.1]", false),
		ROW("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg.example",
	            true),
		ROW("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg.example",
	            false),
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), syntax_domain);
}

static void
literals_are_checked(void **state)
{
	static const struct row rows[] = {
		ROW("[192.0.2.1]", true),
		ROW("[IPv6:2001:db8::1]", true),
		ROW("[ipv6:::1]", true),
		ROW("[IPv6:::ffff:192.0.2.1]", true),
		ROW("[]", false),
		ROW("[192.0.2]", false),
		ROW("[192.0.2.256]", false),
		ROW("[2001:db8::1]", false),
		ROW("[IPv6:192.0.2.1]", false),
		ROW("[x400:a]", false),
		ROW("[192.0.2.1", false),
		ROW("192.0.2.1", false),
		ROW("[192.0.2.1\0]", false),
	};

	(void)state;
	check(rows, ARRAY_LEN(rows), syntax_literal);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(utf8_is_checked),
		cmocka_unit_test(locals_are_checked),
		cmocka_unit_test(domains_are_checked),
		cmocka_unit_test(literals_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
