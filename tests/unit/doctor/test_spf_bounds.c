/* SPDX-License-Identifier: ISC */
/* SPF records that somebody wrote to break the parser: what is too much, too short or without an end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/spf.h"
#include "lib/util/mem.h"
#include "tests/unit/check.h"
#include "tests/unit/doctor/answers.h"

enum { TEXT_LIMIT = 16384, PTR_NAMES = 10, TREE_FACTS = 200 };

/* A copy of just that size, so that a sanitizer sees a step over its end. */
static struct str
tight(const char *text)
{
	size_t n = strlen(text);
	char  *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, text, n);
	return (struct str){copy, n};
}

static void
drop(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static void
terms_that_end_too_early(void **state)
{
	static const struct {
		const char *record;
		bool        good;
	} rows[] = {
		{"v=spf1", true},
		{"v=spf1 ", true},
		{"v=spf1 a", true},
		{"v=spf1 +", false},
		{"v=spf1 =", false},
		{"v=spf1 x=", true},
		{"v=spf1 x=%", false},
		{"v=spf1 x=%{", false},
		{"v=spf1 x=%{}", false},
		{"v=spf1 x=%{d", false},
		{"v=spf1 x=%{d}", true},
		{"v=spf1 x=%{d000}", false},
		{"v=spf1 x=%{d99999999999999999999}", false},
		{"v=spf1 redirect=", false},
		{"v=spf1 exp=%", false},
		{"v=spf1 include", false},
		{"v=spf1 include:", false},
		{"v=spf1 include:.", false},
		{"v=spf1 include:a.", false},
		{"v=spf1 include:a..", false},
		{"v=spf1 include:a.-", false},
		{"v=spf1 exists:%", false},
		{"v=spf1 a:", false},
		{"v=spf1 a/", false},
		{"v=spf1 a//", false},
		{"v=spf1 a/33", false},
		{"v=spf1 a//129", false},
		{"v=spf1 a/4294967297", false},
		{"v=spf1 ip4", false},
		{"v=spf1 ip4:", false},
		{"v=spf1 ip4:/", false},
		{"v=spf1 ip4:/0", false},
		{"v=spf1 ip4:[", false},
		{"v=spf1 ip6", false},
		{"v=spf1 ip6::", false},
		{"v=spf1 ip6::/", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spf_record *r = mem_zero(sizeof *r);
		struct str         txt = tight(rows[i].record);
		struct buf         why = BUF(TEXT_LIMIT);

		assert_true(spf_is_record(txt));
		check_int(rows[i].record, spf_parse(r, txt, &why), rows[i].good);
		buf_free(&why);
		drop(txt);
		free(r);
	}
}

static void
more_terms_than_there_is_room_for(void **state)
{
	static const struct {
		size_t terms;
		bool   good;
	} rows[] = {{1, true}, {SPF_TERMS_MAX - 1, true}, {SPF_TERMS_MAX, false}, {4000, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spf_record *r = mem_zero(sizeof *r);
		struct buf         txt = BUF(TEXT_LIMIT), why = BUF(TEXT_LIMIT);

		buf_addz(&txt, "v=spf1");
		for (size_t n = 0; n < rows[i].terms; n++)
			buf_addz(&txt, " a");
		assert_int_equal(spf_parse(r, buf_str(&txt), &why), rows[i].good);
		assert_string_equal(buf_z(&why), rows[i].good ? "" : "too many terms");
		assert_true(r->n < SPF_TERMS_MAX);
		buf_free(&txt);
		buf_free(&why);
		free(r);
	}
}

static void
expand(struct buf *out, struct str local, struct str spec)
{
	static const struct spf_question q = {.helo = {"h.example", 9}};
	struct spf_scope                 s = {NULL, &q, local, STR("example.com"), STR("example.com")};

	assert_true(spf_macro_expand(out, &s, spec));
}

static void
macros_keep_what_there_is(void **state)
{
	static const struct {
		const char *spec, *want;
	} rows[] = {
		{"%{d}", "example.com"},
		{"%{d1}", "com"},
		{"%{d2}", "example.com"},
		{"%{d3}", "example.com"},
		{"%{d128r}", "com.example"},
		{"%{d99999999999999999999}", "example.com"},
		{"%{l1r-}", "a"},
		{"%", "%"},
		{"a%", "a%"},
		{"%{", "%"},
		{"%{}", "%}"},
		{"%{d", "%d"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF(TEXT_LIMIT);
		struct str spec = tight(rows[i].spec);

		expand(&out, STR("a-b"), spec);
		check_text(rows[i].spec, buf_str(&out), rows[i].want);
		buf_free(&out);
		drop(spec);
	}
}

/* Of more parts than are kept, the first 128 are there, and nothing behind them is written. */
static void
macros_of_many_parts(void **state)
{
	struct buf local = BUF(TEXT_LIMIT), out = BUF(TEXT_LIMIT);

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		buf_addz(&local, "a-");
	expand(&out, buf_str(&local), STR("%{l-}"));
	assert_int_equal(out.n, 2 * 128 - 1);
	buf_clear(&out);
	expand(&out, buf_str(&local), STR("%{l128r-}"));
	assert_int_equal(out.n, 2 * 128 - 1);
	buf_free(&local);
	buf_free(&out);
}

/* RFC 7208 section 4.6.4: who has more names than ten has ten. */
static void
names_of_an_address_are_counted(void **state)
{
	(void)state;
	for (unsigned right = 1; right <= PTR_NAMES + 2; right++) {
		struct answers a;
		struct facts  *f;
		struct addr    ip;
		struct buf     found = BUF(TEXT_LIMIT);
		char           line[100];

		answers_init(&a);
		for (unsigned i = 1; i <= PTR_NAMES + 2; i++) {
			snprintf(line, sizeof line, "1.2.0.192.in-addr.arpa PTR h%u.example", i);
			answers_add(&a, str_of(line));
			snprintf(line, sizeof line, "h%u.example A 192.0.2.%u", i, i == right ? 1 : 99);
			answers_add(&a, str_of(line));
		}
		f = answers_facts(&a);
		assert_true(addr_parse(STR("192.0.2.1"), &ip));
		assert_true(spf_validated(&found, f, ip, STR_NONE));
		assert_int_equal(found.n > 0, right <= PTR_NAMES);
		facts_destroy(f);
		answers_free(&a);
		buf_free(&found);
	}
}

/* Every name includes four others that nobody has seen before. */
static void
branch(void *arg, struct fact *f)
{
	unsigned         *asked = arg;
	char              text[400];
	struct dns_record r = {.type = DNS_TXT, .ttl_s = 60};
	struct dns_answer a = {.status = DNS_OK, .records = &r, .n = 1};

	(*asked)++;
	assert_true(*asked <= TREE_FACTS);
	snprintf(text, sizeof text, "v=spf1 include:a.%s include:b.%s include:c.%s include:d.%s -all",
	         buf_z(&f->name), buf_z(&f->name), buf_z(&f->name), buf_z(&f->name));
	r.data = str_of(text);
	fact_put(f, &a);
}

static void
trees_without_an_end(void **state)
{
	unsigned            asked = 0;
	struct facts_source source = {.ask = branch, .arg = &asked};
	struct facts       *f = facts_create(&source);
	struct spf_question q = {.domain = STR("example.com"), .helo = STR("h.example")};
	struct spf_answer   answer;
	struct spf_walk     w;

	(void)state;
	assert_true(addr_parse(STR("192.0.2.1"), &q.ip));
	assert_int_equal(spf_check(f, &q, &answer), SPF_PERMERROR);
	assert_true(spf_walk(&w, f, STR("example.com"), STR("v=spf1 include:x.example.com -all")));
	assert_true(w.lookups > 10); /* far enough to say that it is too much */
	spf_answer_free(&answer);
	spf_walk_free(&w);
	facts_destroy(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terms_that_end_too_early),
		cmocka_unit_test(more_terms_than_there_is_room_for),
		cmocka_unit_test(macros_keep_what_there_is),
		cmocka_unit_test(macros_of_many_parts),
		cmocka_unit_test(names_of_an_address_are_counted),
		cmocka_unit_test(trees_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
