/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtpd/proxy.h"

#define S(z) {z, sizeof(z) - 1}
#define V2 "\r\n\r\n\0\r\nQUIT\n"

static const struct {
	const char       *name;
	struct str        in;
	enum proxy_result result;
	const char       *client; /* "": the balancer itself */
	uint16_t          port;
	size_t            behind; /* octets that are not the header's */
} rows[] = {
	{"version 1, IPv4", S("PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n"), PROXY_OK, "192.0.2.1", 40000, 0},
	{"version 1 and what follows", S("PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\nEHLO x\r\n"), PROXY_OK, "192.0.2.1", 40000, 8},
	{"version 1, IPv6", S("PROXY TCP6 2001:db8::1 2001:db8::25 1 25\r\n"), PROXY_OK, "2001:db8::1", 1, 0},
	{"version 1, mapped", S("PROXY TCP6 ::ffff:10.1.2.3 ::1 1 25\r\n"), PROXY_OK, "10.1.2.3", 1, 0},
	{"version 1, unknown", S("PROXY UNKNOWN\r\n"), PROXY_OK, "", 0, 0},
	{"version 1, unknown with words", S("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nx"), PROXY_OK, "", 0, 1},
	{"IPv6 said to be IPv4", S("PROXY TCP4 ::1 ::1 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"IPv4 said to be IPv6", S("PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"a port too large", S("PROXY TCP4 192.0.2.1 192.0.2.25 65536 25\r\n"), PROXY_BAD, "", 0, 0},
	{"no port", S("PROXY TCP4 192.0.2.1 192.0.2.25\r\n"), PROXY_BAD, "", 0, 0},
	{"a word too many", S("PROXY TCP4 192.0.2.1 192.0.2.25 1 2 3\r\n"), PROXY_BAD, "", 0, 0},
	{"two blanks", S("PROXY TCP4  192.0.2.1 192.0.2.25 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"no address", S("PROXY TCP4 localhost localhost 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"another protocol", S("PROXY UDP4 192.0.2.1 192.0.2.25 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"an endless line", S("PROXY TCP4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), PROXY_BAD, "", 0, 0},
	{"lower case", S("proxy TCP4 192.0.2.1 192.0.2.25 1 2\r\n"), PROXY_BAD, "", 0, 0},
	{"a client without a balancer", S("EHLO there\r\n"), PROXY_BAD, "", 0, 0},
	{"TLS without a balancer", S("\x16\x03\x01\x02\x00"), PROXY_BAD, "", 0, 0},
	{"version 2, IPv4", S(V2 "\x21\x11\x00\x0c" "\xc0\x00\x02\x01" "\xc0\x00\x02\x19" "\x9c\x40" "\x00\x19"), PROXY_OK, "192.0.2.1", 40000, 0},
	{"version 2 and what follows", S(V2 "\x21\x11\x00\x0c" "\xc0\x00\x02\x01" "\xc0\x00\x02\x19" "\x9c\x40" "\x00\x19" "EHLO"), PROXY_OK, "192.0.2.1", 40000, 4},
	{"version 2, IPv6", S(V2 "\x21\x21\x00\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" "\0\x07\0\x19"), PROXY_OK, "2001:db8::1", 7, 0},
	{"version 2, mapped", S(V2 "\x21\x21\x00\x24" "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x03" "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x01\x02\x04" "\0\x07\0\x19"), PROXY_OK, "10.1.2.3", 7, 0},
	{"version 2 with extensions", S(V2 "\x21\x11\x00\x10" "\xc0\x00\x02\x01" "\xc0\x00\x02\x19" "\x9c\x40" "\x00\x19" "\x04\x00\x01\x00"), PROXY_OK, "192.0.2.1", 40000, 0},
	{"version 2, local", S(V2 "\x20\x00\x00\x00"), PROXY_OK, "", 0, 0},
	{"version 2, unix socket", S(V2 "\x21\x31\x00\x00"), PROXY_BAD, "", 0, 0},
	{"version 2, too short for its family", S(V2 "\x21\x11\x00\x04" "\xc0\x00\x02\x01"), PROXY_BAD, "", 0, 0},
	{"version 2, enormous", S(V2 "\x21\x11\xff\xff"), PROXY_BAD, "", 0, 0},
	{"version 3", S(V2 "\x31\x11\x00\x00"), PROXY_BAD, "", 0, 0},
};

static void
headers_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy p;
		struct addr  client = {0};

		print_message("# %s\n", rows[i].name);
		assert_int_equal(proxy_parse(rows[i].in, &p), rows[i].result);
		if (rows[i].result != PROXY_OK)
			continue;
		if (rows[i].client[0] != '\0')
			assert_true(addr_parse(str_of(rows[i].client), &client));
		assert_int_equal(p.client.family, client.family);
		assert_true(addr_equal(p.client, client));
		assert_int_equal(p.client.port, rows[i].port);
		assert_int_equal(rows[i].in.n - p.used, rows[i].behind);
	}
}

static void
whole_headers_ask_for_more_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t whole = rows[i].in.n - rows[i].behind;

		for (size_t n = 0; rows[i].result == PROXY_OK && n < whole; n++) {
			struct proxy p;

			assert_int_equal(proxy_parse(str_sub(rows[i].in, 0, n), &p), PROXY_MORE);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read),
		cmocka_unit_test(whole_headers_ask_for_more_at_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
