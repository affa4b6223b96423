/* SPDX-License-Identifier: ISC */
/* The 203 cases of the RFC 7208 test suite (tests/corpus/spf), and ours for structure and repair. */
#include "doctor/spf.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/check.h"
#include "tests/unit/doctor/answers.h"

enum { LINE_LIMIT = 8192, SUITE_CASES = 203 };

static void
unquote(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n) {
			char hex[3] = {s.p[i + 1], s.p[i + 2], '\0'};

			buf_addc(out, (char)strtoul(hex, NULL, 16));
			i += 2;
		} else {
			buf_addc(out, s.p[i]);
		}
	}
}

static bool
is_listed(const char *name, struct str list)
{
	struct str one;

	while (str_cut(&list, ',', &one))
		if (str_eq(one, str_of(name)))
			return true;
	return false;
}

/* NAME|IP|HELO|MAIL FROM|RESULTS|EXPLANATION */
static void
run_case(struct answers *a, struct str line)
{
	struct str          field[6] = {0};
	struct buf          text[6];
	struct spf_question q = {0};
	struct spf_answer   answer;
	struct facts       *facts = answers_facts(a);
	enum spf_result     r;
	ptrdiff_t           at;
	struct str          explain;

	for (size_t i = 0; i < 6; i++) {
		buf_init(&text[i], LINE_LIMIT);
		(void)str_cut(&line, '|', &field[i]);
		unquote(&text[i], field[i]);
	}
	assert_true(addr_parse(buf_str(&text[1]), &q.ip));
	q.helo = buf_str(&text[2]);
	if ((at = str_rfind(buf_str(&text[3]), '@')) >= 0) {
		q.local = str_sub(buf_str(&text[3]), 0, (size_t)at);
		q.domain = str_skip(buf_str(&text[3]), (size_t)at + 1);
	} else {
		q.domain = buf_str(&text[3]);
	}
	r = spf_check(facts, &q, &answer);
	if (!is_listed(spf_result_name(r), field[4])) {
		print_error("%s: %s (%s), wanted %.*s\n", buf_z(&text[0]), spf_result_name(r),
		            buf_z(&answer.why), (int)field[4].n, field[4].p);
		fail();
	}
	explain = buf_str(&answer.explain);
	if (explain.n == 0 && r == SPF_FAIL)
		explain = STR("DEFAULT");
	if (field[5].n > 0)
		check_text(buf_z(&text[0]), explain, buf_z(&text[5]));
	spf_answer_free(&answer);
	facts_destroy(facts);
	for (size_t i = 0; i < 6; i++)
		buf_free(&text[i]);
}

static void
test_suite(void **state)
{
	FILE          *f = fopen(CORPUS "/spf/cases.txt", "r");
	char          *line = NULL;
	size_t         room = 0, cases = 0;
	ssize_t        n;
	struct answers a;

	(void)state;
	assert_non_null(f);
	answers_init(&a);
	while ((n = getline(&line, &room, f)) > 0) {
		struct str s = {line, (size_t)n - 1};
		struct buf plain = BUF(LINE_LIMIT);

		if (str_eq(s, STR("zone"))) {
			buf_clear(&a.text);
		} else if (str_starts(s, STR("rr "))) {
			unquote(&plain, str_skip(s, 3));
			/* a line end inside of a record would end it for answers.c: any control octet does */
			for (size_t i = 0; i < plain.n; i++)
				if (plain.p[i] == '\n')
					plain.p[i] = '\r';
			answers_add(&a, buf_str(&plain));
		} else if (str_starts(s, STR("case "))) {
			run_case(&a, str_skip(s, 5));
			cases++;
		}
		buf_free(&plain);
	}
	assert_int_equal(cases, SUITE_CASES);
	answers_free(&a);
	free(line);
	fclose(f);
}

/* clang-format off */
static const char tree_zone[] =
	"inc.example TXT v=spf1 include:a.example include:b.example -all\n"
	"a.example TXT v=spf1 a mx ~all\n"
	"a.example A 192.0.2.1\n"
	"a.example MX 10 a.example\n"
	"b.example TXT v=spf1 exists:gone.example ip4:192.0.2.0/24 ?all\n"
	"loop.example TXT v=spf1 include:loop2.example -all\n"
	"loop2.example TXT v=spf1 include:loop.example -all\n"
	"red.example TXT v=spf1 ip4:192.0.2.9 redirect=b.example\n";

static const struct {
	const char *name, *domain, *record;
	unsigned    lookups, voids;
	char        all;
	bool        loop, broken, ptr, wide, macros;
} walks[] = {
	{"plain", "x.example", "v=spf1 ip4:192.0.2.1 -all", 0, 0, '-', false, false, false, false, false},
	{"behind an early match", "x.example", "v=spf1 ip4:192.0.2.1 include:inc.example ~all", 6, 1, '~', false, false, false, false, false},
	{"after all nothing counts", "x.example", "v=spf1 ?all include:inc.example", 0, 0, '?', false, false, false, false, false},
	{"loop", "loop.example", "v=spf1 include:loop2.example -all", 2, 0, '-', true, true, false, false, false},
	{"redirect's word", "red.example", "v=spf1 ip4:192.0.2.9 redirect=b.example", 2, 1, '?', false, false, false, false, false},
	{"no word", "x.example", "v=spf1 ip4:192.0.2.9", 0, 0, 0, false, false, false, false, false},
	{"all the world", "x.example", "v=spf1 +all", 0, 0, '+', false, false, false, false, false},
	{"ptr", "x.example", "v=spf1 ptr -all", 1, 0, '-', false, false, true, false, false},
	{"wide v4", "x.example", "v=spf1 ip4:10.0.0.0/15 -all", 0, 0, '-', false, false, false, true, false},
	{"not wide v4", "x.example", "v=spf1 ip4:10.0.0.0/16 -all", 0, 0, '-', false, false, false, false, false},
	{"wide v6", "x.example", "v=spf1 ip6:2001:db8::/31 -all", 0, 0, '-', false, false, false, true, false},
	{"not wide v6", "x.example", "v=spf1 ip6:2001:db8::/32 -all", 0, 0, '-', false, false, false, false, false},
	{"macro", "x.example", "v=spf1 exists:%{i}.x.example -all", 1, 0, '-', false, false, false, false, true},
	{"include of nothing", "x.example", "v=spf1 include:gone.example -all", 1, 1, '-', false, true, false, false, false},
	{"no term", "x.example", "v=spf1 ipv4:192.0.2.1 -all", 0, 0, 0, false, true, false, false, false},
};

static const struct {
	const char *name, *records[3], *add[2], *want;
} repairs[] = {
	{"none", {0}, {"192.0.2.1", "2001:db8::1"}, "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"},
	{"missing address", {"v=spf1 mx ~all"}, {"192.0.2.1"}, "v=spf1 ip4:192.0.2.1 mx ~all"},
	{"there already", {"v=spf1 ip4:192.0.2.1 -all"}, {"192.0.2.1"}, "v=spf1 ip4:192.0.2.1 -all"},
	{"two records", {"v=spf1 mx -all", "v=spf1 include:b.example ~all"}, {0}, "v=spf1 mx include:b.example ~all"},
	{"all the world", {"v=spf1 mx +all"}, {0}, "v=spf1 mx ~all"},
	{"quotes", {"\"v=spf1 mx\\ -all\""}, {0}, "v=spf1 mx -all"},
	{"ptr", {"v=spf1 ptr a -all"}, {0}, "v=spf1 a -all"},
	{"no term", {"v=spf1 ipv4:192.0.2.9 a -all"}, {0}, "v=spf1 a -all"},
	{"redirect", {"v=spf1 redirect=b.example"}, {"192.0.2.1"}, "v=spf1 ip4:192.0.2.1 redirect=b.example"},
	{"two of a modifier", {"v=spf1 a exp=e.example redirect=b.example exp=f.example redirect=c.example"}, {0},
	 "v=spf1 a exp=e.example redirect=b.example"},
	{"nothing at the end", {"v=spf1 a"}, {0}, "v=spf1 a ~all"},
};
/* clang-format on */

static void
test_walk(void **state)
{
	struct answers a;

	(void)state;
	answers_init(&a);
	buf_addz(&a.text, tree_zone);
	for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
		struct facts   *f = answers_facts(&a);
		struct spf_walk w;

		assert_true(spf_walk(&w, f, str_of(walks[i].domain), str_of(walks[i].record)));
		check_int(walks[i].name, w.lookups, walks[i].lookups);
		check_int(walks[i].name, w.voids, walks[i].voids);
		check_int(walks[i].name, w.all, walks[i].all);
		check_int(walks[i].name, w.loop, walks[i].loop);
		check_int(walks[i].name, w.broken, walks[i].broken);
		check_int(walks[i].name, w.ptr, walks[i].ptr);
		check_int(walks[i].name, w.wide, walks[i].wide);
		check_int(walks[i].name, w.macros, walks[i].macros);
		spf_walk_free(&w);
		facts_destroy(f);
	}
	answers_free(&a);
}

static void
test_repair(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(repairs); i++) {
		struct buf  out = BUF(LINE_LIMIT);
		struct str  records[3];
		struct addr add[2];
		size_t      n = 0, n_add = 0;

		for (; n < 3 && repairs[i].records[n] != NULL; n++)
			records[n] = str_of(repairs[i].records[n]);
		for (; n_add < 2 && repairs[i].add[n_add] != NULL; n_add++)
			assert_true(addr_parse(str_of(repairs[i].add[n_add]), &add[n_add]));
		spf_repair(&out, records, n, add, n_add);
		check_text(repairs[i].name, buf_str(&out), repairs[i].want);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suite),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_repair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
