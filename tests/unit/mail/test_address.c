/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "lib/mail/address.h"

#define TEN       "abcdefghij"
#define SIXTY     TEN TEN TEN TEN TEN TEN
#define LABELS_60 SIXTY "." SIXTY "." SIXTY

static const struct {
	const char        *path;
	enum address_error error;
	const char        *local, *domain, *rest;
} paths[] = {
	{"<ann@example.com>", ADDRESS_OK, "ann", "example.com", ""},
	{"<ann@example.com> SIZE=10", ADDRESS_OK, "ann", "example.com", " SIZE=10"},
	{" \t<ann@example.com>x", ADDRESS_OK, "ann", "example.com", "x"},
	{"<>", ADDRESS_OK, "", "", ""},
	{"<> BODY=8BITMIME", ADDRESS_OK, "", "", " BODY=8BITMIME"},
	{"<\"ann b\"@example.com>", ADDRESS_OK, "\"ann b\"", "example.com", ""},
	{"<\"a>b\"@example.com>", ADDRESS_OK, "\"a>b\"", "example.com", ""},
	{"<\"a@b\"@example.com>", ADDRESS_OK, "\"a@b\"", "example.com", ""},
	{"<\"a\\\">\\\\\"@example.com>", ADDRESS_OK, "\"a\\\">\\\\\"", "example.com", ""},
	{"<ann@[192.0.2.1]>", ADDRESS_OK, "ann", "[192.0.2.1]", ""},
	{"<ann@[IPv6:2001:db8::1]>", ADDRESS_OK, "ann", "[IPv6:2001:db8::1]", ""},
	{"<user%victim.example@example.com>", ADDRESS_OK, "user%victim.example", "example.com", ""},
	{"<victim.example!user@example.com>", ADDRESS_OK, "victim.example!user", "example.com", ""},
	{"<j\xc3\xbcrg@b\xc3\xbc"
         "cher.example>",
         ADDRESS_OK, "j\xc3\xbcrg",
         "b\xc3\xbc"
         "cher.example",
         ""},
	{"<@a.example:ann@example.com>", ADDRESS_SOURCE_ROUTE, "ann", "example.com", ""},
	{"<@a.example,@b.example:ann@example.com> X", ADDRESS_SOURCE_ROUTE, "ann", "example.com",
         " X"},
	{"<@a.example>", ADDRESS_SYNTAX, "", "", ""},
	{"<@a.example:>", ADDRESS_SYNTAX, "", "", ""},
	{"<@a.example:root>", ADDRESS_SYNTAX, "", "", ""},
	{"<@a.example,b.example:ann@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<@:ann@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<root>", ADDRESS_NO_DOMAIN, "root", "", ""},
	{"<Postmaster> X", ADDRESS_NO_DOMAIN, "Postmaster", "", " X"},
	{"<ann@>", ADDRESS_SYNTAX, "", "", ""},
	{"<@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@example.com", ADDRESS_SYNTAX, "", "", ""},
	{"ann@example.com", ADDRESS_SYNTAX, "", "", ""},
	{"", ADDRESS_SYNTAX, "", "", ""},
	{"<<ann@example.com>>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@example.com@victim.example>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann bob@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"< ann@example.com >", ADDRESS_SYNTAX, "", "", ""},
	{"<ann..b@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<.ann@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann.@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@example..com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@example.com.>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@-example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@exam_ple.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@[192.0.2.300]>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@[192.0.2.1]x>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@[192.0.2.1>", ADDRESS_SYNTAX, "", "", ""},
	{"<\"ann@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<\"ann\"b@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann\x01@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<\"a\tb\"@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann\r\n@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann\x7f@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann\xff@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann\xc0\xaf@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann@ex\xed\xa0\x80.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<ann(c)@example.com>", ADDRESS_SYNTAX, "", "", ""},
	{"<" SIXTY "abcd@example.com>", ADDRESS_OK, SIXTY "abcd", "example.com", ""},
	{"<" SIXTY "abcde@example.com>", ADDRESS_TOO_LONG, "", "", ""},
	{"<" SIXTY "@" LABELS_60 ".abcdefghi>", ADDRESS_OK, SIXTY, LABELS_60 ".abcdefghi", ""},
	{"<" SIXTY "@" LABELS_60 ".abcdefghij>", ADDRESS_OK, SIXTY, LABELS_60 ".abcdefghij", ""},
	{"<" SIXTY "@" LABELS_60 ".abcdefghijk>", ADDRESS_TOO_LONG, "", "", ""},
};

static void
paths_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct str     rest = str_of(paths[i].path);
		struct address a;

		print_message("%s\n", paths[i].path);
		assert_int_equal(address_parse_path(&rest, &a), paths[i].error);
		if (paths[i].error == ADDRESS_SYNTAX || paths[i].error == ADDRESS_TOO_LONG)
			continue;
		assert_true(str_eq(a.local, str_of(paths[i].local)));
		assert_true(str_eq(a.domain, str_of(paths[i].domain)));
		assert_true(str_eq(rest, str_of(paths[i].rest)));
		assert_int_equal(address_is_null(a), paths[i].local[0] == '\0');
	}
}

static void
nul_is_refused(void **state)
{
	struct str     rest = STR("<ann\0@example.com>");
	struct address a;

	(void)state;
	assert_int_equal(address_parse_path(&rest, &a), ADDRESS_SYNTAX);
	assert_int_equal(address_parse(STR("ann@exa\0mple.com"), &a), ADDRESS_SYNTAX);
}

static void
kinds_are_noted(void **state)
{
	static const struct {
		const char *text;
		bool        utf8, literal, hidden;
	} rows[] = {
		{"ann@example.com", false, false, false},
		{"j\xc3\xbcrg@example.com", true, false, false},
		{"ann@b\xc3\xbc"
	         "cher.example",
	         true, false, false},
		{"ann@[192.0.2.1]", false, true, false},
		{"a%b@example.com", false, false, true},
		{"a!b@example.com", false, false, true},
		{"\"a@b\"@example.com", false, false, true},
		{"\"a%b\"@example.com", false, false, true},
		{"\"a b\"@example.com", false, false, false},
	};
	struct buf b = BUF(300);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct address a;

		print_message("%s\n", rows[i].text);
		assert_int_equal(address_parse(str_of(rows[i].text), &a), ADDRESS_OK);
		assert_int_equal(a.utf8, rows[i].utf8);
		assert_int_equal(a.literal, rows[i].literal);
		assert_int_equal(address_has_hidden_route(a), rows[i].hidden);
		buf_clear(&b);
		address_format(&b, a);
		assert_string_equal(buf_z(&b), rows[i].text);
	}
	buf_free(&b);
}

static void
domains_have_one_form(void **state)
{
	static const struct {
		const char *domain, *canonical;
	} rows[] = {
		{"example.com", "example.com"},
		{"Example.COM.", "example.com"},
		{"b\xc3\xbc"
	         "cher.example",
	         "xn--bcher-kva.example"},
		{"B\xc3\x9c"
	         "CHER.example",
	         "xn--bcher-kva.example"},
		{"bu\xcc\x88"
	         "cher.example",
	         "xn--bcher-kva.example"},                    /* not composed */
		{"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* sharp s stays itself */
		{"XN--Bcher-KVA.example", "xn--bcher-kva.example"},
		{"b\xc3\xbc"
	         "cher\xe3\x80\x82"
	         "example",
	         "xn--bcher-kva.example"}, /* ideographic stop */
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
		{"", NULL},
		{".", NULL},
		{"a..b", NULL},
		{"example.com..", NULL},
		{"-a.example", NULL},
		{"a b", NULL},
		{"\xff.example", NULL},
		{"\xe2\x98\x83.example\xe2\x80\xae", NULL}, /* a direction mark */
		{LABELS_60 "." SIXTY ".example", "" LABELS_60 "." SIXTY ".example"},
		{LABELS_60 "." SIXTY ".example.exa", NULL},
	};
	struct buf b = BUF(300);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_clear(&b);
		print_message("%s\n", rows[i].domain);
		assert_int_equal(domain_canonical(&b, str_of(rows[i].domain)),
		                 rows[i].canonical != NULL);
		if (rows[i].canonical != NULL)
			assert_string_equal(buf_z(&b), rows[i].canonical);
	}
	buf_free(&b);
}

static void
full_buffer_is_no_domain(void **state)
{
	struct buf b = BUF(5);

	(void)state;
	assert_false(domain_canonical(&b, STR("example.com")));
	buf_free(&b);
}

static void
patterns_match(void **state)
{
	static const struct {
		const char *address, *pattern;
		bool        matches;
	} rows[] = {
		{"ann@example.com", "example.com", true},
		{"ann@EXAMPLE.com", "Example.Com", true},
		{"ann@sub.example.com", "example.com", false},
		{"ann@notexample.com", "example.com", false},
		{"ann@example.com", "*.example.com", false},
		{"ann@sub.example.com", "*.example.com", true},
		{"ann@a.b.example.com", "*.example.com", true},
		{"ann@xexample.com", "*.example.com", false},
		{"ann@.example.com", "*.example.com", false},
		{"ann@example.com", "*@example.com", true},
		{"ann@sub.example.com", "*@example.com", false},
		{"ann@sub.example.com", "*@*.example.com", true},
		{"ann@example.com", "ann@example.com", true},
		{"ANN@example.com", "ann@example.com", true},
		{"\"ann\"@example.com", "ann@example.com", true},
		{"\"a\\nn\"@example.com", "ann@example.com", true},
		{"bob@example.com", "ann@example.com", false},
		{"annb@example.com", "ann@example.com", false},
		{"an@example.com", "ann@example.com", false},
		{"Ann@example.com", "\"Ann\"@example.com", true},
		{"ann@example.com", "\"Ann\"@example.com", false},
		{"\"a@b\"@example.com", "\"a@b\"@example.com", true},
		{"ann@anything.example", "*", true},
		{"ann@[192.0.2.1]", "*", true},
		{"ann@[192.0.2.1]", "[192.0.2.1]", true},
		{"ann@b\xc3\xbc"
	         "cher.example",
	         "xn--bcher-kva.example", true},
		{"ann@xn--bcher-kva.example",
	         "b\xc3\xbc"
	         "cher.example",
	         true},
		{"ann@x.xn--bcher-kva.example",
	         "*.b\xc3\xbc"
	         "cher.example",
	         true},
		{"ann@x.b\xc3\xbc"
	         "cher.example",
	         "*@*.B\xc3\x9c"
	         "cher.example",
	         true},
		{"ann@example.com", "", false},
		{"ann@example.com", "ann@", false},
		{"ann@example.com", "@example.com", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str     text = str_of(rows[i].address);
		ptrdiff_t      at = str_rfind(text, '@');
		struct address a = {.local = str_sub(text, 0, (size_t)at),
		                    .domain = str_skip(text, (size_t)at + 1)};

		print_message("%s against %s\n", rows[i].address, rows[i].pattern);
		assert_int_equal(address_matches(a, str_of(rows[i].pattern)), rows[i].matches);
	}
	assert_false(address_matches((struct address){0}, STR("*")));
}

static void
names_within_a_domain(void **state)
{
	static const struct {
		const char *name, *domain;
		bool        within;
	} rows[] = {
		{"example.com", "example.com", true},   {"a.example.com", "example.com", true},
		{"a.b.example.com", "EXAMPLE.com", true}, {"badexample.com", "example.com", false},
		{"com", "example.com", false},          {"example.com", "a.example.com", false},
		{"", "example.com", false},             {".example.com", "example.com", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("# %s in %s\n", rows[i].name, rows[i].domain);
		assert_int_equal(domain_is_within(str_of(rows[i].name), str_of(rows[i].domain)),
		                 rows[i].within);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read),           cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(kinds_are_noted),          cmocka_unit_test(domains_have_one_form),
		cmocka_unit_test(full_buffer_is_no_domain), cmocka_unit_test(patterns_match),
		cmocka_unit_test(names_within_a_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
