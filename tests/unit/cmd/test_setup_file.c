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

		setup_file_edit(&out, str_of(rows[i].text),
		                &(struct setup_lines){str_of(rows[i].hostname),
		                                      str_of(rows[i].domains), STR_NONE});
		check_text(rows[i].name, buf_str(&out), rows[i].want);
		buf_free(&out);
	}
}

static void
a_public_address_goes_into_a_block_of_its_own(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text, *want;
	} blocks[] = {
		{"", "outbound { public-ip 192.0.2.1 2001:db8::1 }\n"},
		{"log json\n", "log json\noutbound { public-ip 192.0.2.1 2001:db8::1 }\n"},
		{"outbound { port 26 }\n", "outbound { port 26 }\n"},
		{"outbound{\n\tport 26\n}\n", "outbound{\n\tport 26\n}\n"},
		{"#outbound { port 26 }", "#outbound { port 26 }\noutbound { public-ip 192.0.2.1 2001:db8::1 }\n"},
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		struct buf out = BUF(4096);

		setup_file_edit(&out, str_of(blocks[i].text),
		                &(struct setup_lines){.public_ips = STR("192.0.2.1 2001:db8::1")});
		check_text(blocks[i].text, buf_str(&out), blocks[i].want);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edit),
		cmocka_unit_test(a_public_address_goes_into_a_block_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
