/* SPDX-License-Identifier: ISC */
#include "cmd/setup_file.h"

#include "tests/unit/check.h"

/* clang-format off */
static const struct {
	const char *name, *text, *hostname, *domains, *want;
} rows[] = {
	{"empty", "", "m.a.example", "a.example", "hostname m.a.example\ndomains a.example\n"},
	{"comment only", "# mine\n", "m.a.example", "", "# mine\nhostname m.a.example\n"},
	{"nothing to do", "hostname x.example\nlisten :25", "", "", "hostname x.example\nlisten :25\n"},
	{"in its place", "log json\nhostname x.example\nlisten :25\n", "m.a.example", "", "log json\nhostname m.a.example\nlisten :25\n"},
	{"twice becomes once", "hostname x.example\nhostname y.example\n", "m.a.example", "", "hostname m.a.example\n"},
	{"not a word that begins so", "hostnames x\n", "m.a.example", "", "hostnames x\nhostname m.a.example\n"},
	{"indented", "\thostname x.example\n", "m.a.example", "", "hostname m.a.example\n"},
	{"domains are added", "domains b.example\n", "", "a.example c.example", "domains b.example\ndomains a.example c.example\n"},
	{"empty lines stay", "log json\n\nhostname x.example\n\n", "", "a.example", "log json\n\nhostname x.example\n\ndomains a.example\n"},
};
/* clang-format on */

static void
test_edit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF(4096);

		setup_file_edit(&out, str_of(rows[i].text), str_of(rows[i].hostname),
		                str_of(rows[i].domains));
		check_text(rows[i].name, buf_str(&out), rows[i].want);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_edit)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
