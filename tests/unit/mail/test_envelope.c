/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/mail/envelope.h"

static struct rcpt rcpts[] = {
	{{"ann@example.com", 15}, {NULL, 0}, 0},
	{{"\"a b\"@example.org", 17},
         {"rfc822;a b@example.org", 22},
         NOTIFY_FAILURE | NOTIFY_DELAY},
	{{"c@example.net", 13}, {NULL, 0}, NOTIFY_NEVER},
};

static const struct envelope full = {
	.from = {"me@example.com", 14},
	.rcpts = rcpts,
	.n_rcpts = ARRAY_LEN(rcpts),
	.accepted_ms = 1795428431402,
	.size = 1ull << 40,
	.client = {"2001:db8::1", 11},
	.helo = {"client.example", 14},
	.login = {"j\xc3\xbcrg", 5},
	.proto = {"ESMTPSA", 7},
	.envid = {"QQ+314159", 9},
	.ret = RET_HDRS,
	.smtputf8 = true,
	.eightbit = true,
	.hold = true,
	.hold_why = {"capture: no domain configured", 29},
	.hops = 3,
	.header_from = {"example.com", 11},
	.msgid = {"<1@example.com>", 15},
	.bh_canon = {"relaxed", 7},
	.bh = {"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", 44},
	.parent = {"0123456789abc", 13},
};

static void
text_comes_back(void **state)
{
	struct buf      one = BUF(4096), two = BUF(4096);
	struct envelope e;

	(void)state;
	envelope_format(&one, &full);
	assert_true(envelope_parse(&e, buf_str(&one)));
	assert_int_equal(e.n_rcpts, 3);
	assert_true(str_eq(e.rcpts[1].orcpt, rcpts[1].orcpt));
	assert_int_equal(e.rcpts[1].notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	assert_int_equal(e.accepted_ms, full.accepted_ms);
	assert_int_equal(e.size, full.size);
	assert_true(e.smtputf8 && e.eightbit && e.hold && e.ret == RET_HDRS && e.hops == 3);
	assert_true(str_eq(e.bh, full.bh) && str_eq(e.login, full.login));
	envelope_format(&two, &e);
	assert_string_equal(buf_z(&one), buf_z(&two));
	envelope_free(&e);
	buf_free(&one);
	buf_free(&two);
}

static void
empty_values_are_left_out(void **state)
{
	static struct rcpt    one[] = {{{"a@b.example", 11}, {NULL, 0}, 0}};
	const struct envelope e = {.rcpts = one, .n_rcpts = 1};
	struct envelope       back;
	struct buf            b = BUF(4096);

	(void)state;
	envelope_format(&b, &e);
	assert_string_equal(buf_z(&b), "from: \nto: a@b.example\n");
	assert_true(envelope_parse(&back, buf_str(&b)));
	assert_int_equal(back.from.n, 0);
	envelope_free(&back);
	buf_free(&b);
}

static void
no_value_forges_a_line(void **state)
{
	static struct rcpt one[] = {{{"a@b.example\nto: c@d.example", 27}, {"x\rto: e\0f", 9}, 0}};
	const struct envelope e = {.from = STR("x\nhold: yes\x7f"), .rcpts = one, .n_rcpts = 1};
	struct envelope       back;
	struct buf            b = BUF(4096);

	(void)state;
	envelope_format(&b, &e);
	assert_string_equal(buf_z(&b),
	                    "from: x\\x0ahold: yes\\x7f\n"
	                    "to: a@b.example\\x0ato: c@d.example\norcpt: x\\x0dto: e\\x00f\n");
	assert_true(envelope_parse(&back, buf_str(&b)));
	assert_int_equal(back.n_rcpts, 1);
	assert_false(back.hold);
	envelope_free(&back);
	buf_free(&b);
}

static void
damaged_text_is_refused(void **state)
{
	static const struct {
		const char *text;
		bool        ok;
	} rows[] = {
		{"from: a\nto: b\n", true},
		{"from: a\nfuture-key: x: y\nto: b\n", true},
		{"to: b\nfuture-flag:\n", true},
		{"from:a\nto:b\n", true},
		{"from: a\n", false},
		{"from: a\nto: b", false},
		{"from: a\nno key\nto: b\n", false},
		{": a\nto: b\n", false},
		{"\nto: b\n", false},
		{"to: \n", false},
		{"orcpt: x\nto: b\n", false},
		{"notify: never\nto: b\n", false},
		{"to: b\nnotify: never,delay\n", false},
		{"to: b\nnotify: \n", false},
		{"to: b\nsize: x\n", false},
		{"to: b\nsize: 18446744073709551616\n", false},
		{"to: b\naccepted-ms: 9223372036854775808\n", false},
		{"to: b\nhops: 4294967296\n", false},
		{"to: b\nret: some\n", false},
		{"", false},
		{"\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct envelope e;

		print_message("%s\n", rows[i].text);
		assert_int_equal(envelope_parse(&e, str_of(rows[i].text)), rows[i].ok);
		envelope_free(&e);
	}
}

static void
recipients_have_a_limit(void **state)
{
	struct buf      b = BUF(1 << 20);
	struct envelope e;

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		buf_addz(&b, "to: b\n");
	assert_true(envelope_parse(&e, buf_str(&b)));
	assert_int_equal(e.n_rcpts, 100000);
	envelope_free(&e);
	buf_addz(&b, "to: b\n");
	assert_false(envelope_parse(&e, buf_str(&b)));
	buf_free(&b);
}

static void
notify_words_are_known(void **state)
{
	static const struct {
		const char *text;
		bool        ok;
		const char *back;
	} rows[] = {
		{"NEVER", true, "never"},
		{"failure,DELAY,Success", true, "success,failure,delay"},
		{"delay", true, "delay"},
		{"delay,delay", true, "delay"},
		{"never,failure", false, NULL},
		{"", false, NULL},
		{"failure,", false, NULL},
		{"failure, delay", false, NULL},
		{"always", false, NULL},
	};
	struct buf b = BUF(100);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned bits;

		print_message("%s\n", rows[i].text);
		assert_int_equal(notify_parse(str_of(rows[i].text), &bits), rows[i].ok);
		if (!rows[i].ok)
			continue;
		buf_clear(&b);
		notify_format(&b, bits);
		assert_string_equal(buf_z(&b), rows[i].back);
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back),
		cmocka_unit_test(empty_values_are_left_out),
		cmocka_unit_test(no_value_forges_a_line),
		cmocka_unit_test(damaged_text_is_refused),
		cmocka_unit_test(recipients_have_a_limit),
		cmocka_unit_test(notify_words_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
