/* SPDX-License-Identifier: ISC */
/* Which record speaks for a domain: the tree walk of RFC 9989 section 4.10. */
#include "doctor/dmarc.h"

#include "tests/unit/check.h"
#include "tests/unit/doctor/answers.h"

/* clang-format off */
static const struct {
	const char *name, *zone, *domain;
	int         state;
	const char *at;
} rows[] = {
	{"own", "_dmarc.a.b.test TXT v=DMARC1; p=none", "a.b.test", DMARC_FOUND, "a.b.test"},
	{"parent", "_dmarc.b.test TXT v=DMARC1; p=none", "a.b.test", DMARC_FOUND, "b.test"},
	{"the highest of two", "_dmarc.b.test TXT v=DMARC1\n_dmarc.a.b.test TXT v=DMARC1", "x.a.b.test", DMARC_FOUND, "b.test"},
	{"psd=n ends it", "_dmarc.b.test TXT v=DMARC1\n_dmarc.a.b.test TXT v=DMARC1; psd=n", "x.a.b.test", DMARC_FOUND, "a.b.test"},
	{"below psd=y", "_dmarc.test TXT v=DMARC1; psd=y\n_dmarc.b.test TXT v=DMARC1", "x.b.test", DMARC_FOUND, "b.test"},
	{"psd=y alone", "_dmarc.test TXT v=DMARC1; psd=y; p=reject", "x.b.test", DMARC_FOUND, "test"},
	{"two at home", "_dmarc.b.test TXT v=DMARC1\n_dmarc.b.test TXT v=DMARC1; p=none", "b.test", DMARC_SEVERAL, ""},
	{"two above are none", "_dmarc.b.test TXT v=DMARC1\n_dmarc.b.test TXT v=DMARC1; p=none", "a.b.test", DMARC_NONE, ""},
	{"none", "b.test A 192.0.2.1", "a.b.test", DMARC_NONE, ""},
	{"case", "_dmarc.b.test TXT v=dmarc1; p=none", "b.test", DMARC_NONE, ""},
	{"other text beside it", "_dmarc.b.test TXT hello\n_dmarc.b.test TXT v=DMARC1; p=none", "b.test", DMARC_FOUND, "b.test"},
	{"jump to seven labels", "_dmarc.4.5.6.7.8.9.test TXT v=DMARC1", "1.2.3.4.5.6.7.8.9.test", DMARC_FOUND, "4.5.6.7.8.9.test"},
	{"nobody asks in between", "_dmarc.3.4.5.6.7.8.9.test TXT v=DMARC1", "1.2.3.4.5.6.7.8.9.test", DMARC_NONE, ""},
	{"no answer", "_dmarc.b.test TIMEOUT", "b.test", DMARC_NO_ANSWER, ""},
	{"no answer above", "_dmarc.b.test TIMEOUT", "a.b.test", DMARC_NO_ANSWER, ""},
};
/* clang-format on */

static void
test_walk(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answers a;
		struct facts  *f;
		struct dmarc   d;

		answers_init(&a);
		answers_add(&a, str_of(rows[i].zone));
		f = answers_facts(&a);
		dmarc_find(&d, f, str_of(rows[i].domain));
		check_int(rows[i].name, (int)d.state, rows[i].state);
		if (d.state == DMARC_FOUND)
			check_text(rows[i].name, d.at, rows[i].at);
		facts_destroy(f);
		answers_free(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
