/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dkim/choose.h"
#include "lib/proc/config.h"

static struct dkim_key_conf key[] = {{.selector = {"s1", 2}, .type = KEY_RSA}};

static struct dkim_conf blocks[] = {
	{.domain = {"example.com", 11}, .keys = key, .n_keys = 1},
	{.domain = {"shop.example.com", 16}, .keys = key, .n_keys = 1},
	{.domain = {"empty.example.com", 17}},
	{.domain = {"only.example.org", 16}, .keys = key, .n_keys = 1},
	{.domain = {"xn--bcher-kva.example", 21}, .keys = key, .n_keys = 1},
	{.domain = {"2.1]", 4}, .keys = key, .n_keys = 1},
};

static const struct {
	const char *from, *signer, *why;
} rows[] = {
	{"example.com", "example.com", ""},
	{"shop.example.com", "shop.example.com", ""},
	{"a.shop.example.com", "shop.example.com", ""},
	{"a.b.c.example.com", "example.com", ""},
	{"empty.example.com", "example.com", ""},
	{"only.example.org", "only.example.org", ""},
	{"example.org", NULL, "no-key"},
	{"notexample.com", NULL, "no-key"},
	{"com", NULL, "no-key"},
	{"sub.xn--bcher-kva.example", "xn--bcher-kva.example", ""},
	{"[192.0.2.1]", NULL, "no-key"},
	{"", NULL, "no-from"},
};

static void
domains_are_chosen(void **state)
{
	const struct config c = {.dkim_sign = true, .dkim = blocks, .n_dkim = ARRAY_LEN(blocks)};
	struct buf          why = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct dkim_conf *d;

		print_message("%s\n", rows[i].from);
		buf_clear(&why);
		d = dkim_choose(&c, str_of(rows[i].from), &why);
		assert_int_equal(d != NULL, rows[i].signer != NULL);
		if (d != NULL)
			assert_true(str_eq(d->domain, str_of(rows[i].signer)));
		assert_string_equal(buf_z(&why), rows[i].why);
	}
	buf_free(&why);
}

static void
nothing_is_signed_when_switched_off(void **state)
{
	const struct config c = {.dkim_sign = false, .dkim = blocks, .n_dkim = ARRAY_LEN(blocks)};
	struct buf          why = BUF(1000);

	(void)state;
	assert_null(dkim_choose(&c, STR("example.com"), &why));
	assert_string_equal(buf_z(&why), "off");
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_are_chosen),
		cmocka_unit_test(nothing_is_signed_when_switched_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
