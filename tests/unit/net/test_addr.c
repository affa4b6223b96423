/* SPDX-License-Identifier: ISC */
#include "lib/net/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

static struct addr
must_parse(const char *text)
{
	struct addr a;

	if (!addr_parse(str_of(text), &a))
		fail_msg("%s", text);
	return a;
}

static void
check_text(const char *name, struct buf *got, const char *want)
{
	if (strcmp(buf_z(got), want) != 0)
		fail_msg("%s: %s", name, buf_z(got));
	buf_free(got);
}

static const struct {
	const char *text;
	const char *formatted; /* NULL: not an address */
} addresses[] = {
	{"192.0.2.1", "192.0.2.1"},
	{"0.0.0.0", "0.0.0.0"},
	{"255.255.255.255", "255.255.255.255"},
	{"::1", "::1"},
	{"[::1]", "::1"},
	{"2001:DB8::0001", "2001:db8::1"},
	{"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
	{"::ffff:10.1.2.3", "10.1.2.3"},
	{"::FFFF:a01:203", "10.1.2.3"},
	{"[::ffff:10.1.2.3]", "10.1.2.3"},
	{"::10.1.2.3", "::10.1.2.3"},
	{"64:ff9b::10.1.2.3", "64:ff9b::a01:203"},
	{"", NULL},
	{"1", NULL},
	{"192.0.2", NULL},
	{"192.0.2.1.5", NULL},
	{"192.0.2.256", NULL},
	{"192.0.2.01", NULL},
	{"0x7f.0.0.1", NULL},
	{"2130706433", NULL},
	{" 192.0.2.1", NULL},
	{"192.0.2.1 ", NULL},
	{"[192.0.2.1]", NULL},
	{"[::1", NULL},
	{"::1]", NULL},
	{"[]", NULL},
	{"::1%eth0", NULL},
	{"fe80::1%1", NULL},
	{":::", NULL},
	{"1::2::3", NULL},
	{"12345::", NULL},
	{"example.com", NULL},
	{"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
	{"0000:0000:0000:0000:0000:ffff:192.168.100.200", "192.168.100.200"},
};

static void
addresses_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct addr a;
		struct buf  out = BUF(128);
		bool        ok = addr_parse(str_of(addresses[i].text), &a);

		if (ok != (addresses[i].formatted != NULL))
			fail_msg("%s", addresses[i].text);
		if (!ok)
			continue;
		addr_format(&out, a);
		check_text(addresses[i].text, &out, addresses[i].formatted);
		assert_int_equal(a.port, 0);
	}
	assert_false(addr_parse((struct str){"10.0.0.1\0", 9}, &(struct addr){0}));
	assert_false(addr_parse(STR_NONE, &(struct addr){0}));
}

static const struct {
	const char *text;
	const char *formatted;
} ports[] = {
	{"192.0.2.1:25", "192.0.2.1:25"},
	{"192.0.2.1", "192.0.2.1:587"},
	{"[::1]:25", "[::1]:25"},
	{"[::1]", "[::1]:587"},
	{"::1", "[::1]:587"},
	{"2001:db8::25", "[2001:db8::25]:587"},
	{":25", "[::]:25"},
	{"127.0.0.1@5353", "127.0.0.1:5353"},
	{"::1@5353", "[::1]:5353"},
	{"[::1]@5353", "[::1]:5353"},
	{"[::ffff:192.0.2.1]:25", "192.0.2.1:25"},
	{"0.0.0.0:0", "0.0.0.0:0"},
	{"192.0.2.1:65535", "192.0.2.1:65535"},
	{"192.0.2.1:65536", NULL},
	{"192.0.2.1:", NULL},
	{"192.0.2.1:+25", NULL},
	{"192.0.2.1:25x", NULL},
	{"192.0.2.1:25:26", NULL},
	{"192.0.2.1@", NULL},
	{"@25", NULL},
	{"[::1]25", NULL},
	{"[::1]:", NULL},
	{"[192.0.2.1]:25", NULL},
	{":", NULL},
	{"", NULL},
	{"smtp", NULL},
	{"localhost:25", NULL},
};

static void
addresses_with_ports_are_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		struct addr a;
		struct buf  out = BUF(128);
		bool        ok = addr_parse_port(str_of(ports[i].text), 587, &a);

		if (ok != (ports[i].formatted != NULL))
			fail_msg("%s", ports[i].text);
		if (!ok)
			continue;
		addr_format_port(&out, a);
		check_text(ports[i].text, &out, ports[i].formatted);
	}
}

enum { LOOPBACK = 1, LINK_LOCAL = 2, PRIVATE = 4, ANY = 8 };

static const struct {
	const char *text;
	unsigned    kind;
} kinds[] = {
	{"127.0.0.1", LOOPBACK},
	{"127.255.255.255", LOOPBACK},
	{"128.0.0.1", 0},
	{"126.255.255.255", 0},
	{"::1", LOOPBACK},
	{"::2", 0},
	{"::ffff:127.0.0.1", LOOPBACK},
	{"169.254.1.1", LINK_LOCAL},
	{"169.255.1.1", 0},
	{"fe80::1", LINK_LOCAL},
	{"febf:ffff::1", LINK_LOCAL},
	{"fec0::1", 0},
	{"10.0.0.0", PRIVATE},
	{"10.255.255.255", PRIVATE},
	{"11.0.0.0", 0},
	{"172.15.255.255", 0},
	{"172.16.0.0", PRIVATE},
	{"172.31.255.255", PRIVATE},
	{"172.32.0.0", 0},
	{"192.168.0.0", PRIVATE},
	{"192.169.0.0", 0},
	{"100.63.255.255", 0},
	{"100.64.0.0", PRIVATE},
	{"100.127.255.255", PRIVATE},
	{"100.128.0.0", 0},
	{"fc00::", PRIVATE},
	{"fdff::1", PRIVATE},
	{"fe00::", 0},
	{"fbff::", 0},
	{"0.0.0.0", ANY},
	{"0.0.0.1", 0},
	{"::", ANY},
	{"::ffff:0.0.0.0", ANY},
	{"::ffff:10.1.2.3", PRIVATE},
	{"8.8.8.8", 0},
	{"2001:db8::1", 0},
};

static const struct {
	const char *text;
	bool        no_host;
} nobody[] = {
	{"0.0.0.0", true},   {"0.1.2.3", true},         {"1.0.0.0", false}, {"223.255.255.255", false},
	{"224.0.0.1", true}, {"255.255.255.255", true}, {"::", true},       {"ff02::1", true},
	{"fe80::1", false},  {"2001:db8::1", false},    {"::1", false},
};

static void
special_addresses_are_known(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct addr a = must_parse(kinds[i].text);
		unsigned    kind = (addr_is_loopback(a) ? LOOPBACK : 0u) |
		                (addr_is_any(a) ? ANY : 0u) |
		                (addr_is_link_local(a) ? LINK_LOCAL : 0u) |
		                (addr_is_private(a) ? PRIVATE : 0u);

		if (kind != kinds[i].kind)
			fail_msg("%s: %u", kinds[i].text, kind);
	}
	assert_false(addr_is_any((struct addr){0}));
	for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
		struct addr a;

		assert_true(addr_parse(str_of(nobody[i].text), &a));
		if (addr_is_no_host(a) != nobody[i].no_host)
			fail_msg("%s", nobody[i].text);
	}
	assert_false(addr_is_loopback((struct addr){0}));
}

static const struct {
	const char *text;
	const char *formatted; /* NULL: no network */
	const char *in, *out;
} networks[] = {
	{"10.1.2.0/24", "10.1.2.0/24", "10.1.2.255", "10.1.3.0"},
	{"10.1.2.0/24", "10.1.2.0/24", "::ffff:10.1.2.7", "::10.1.2.7"},
	{"10.1.2.3", "10.1.2.3/32", "10.1.2.3", "10.1.2.2"},
	{"0.0.0.0/0", "0.0.0.0/0", "255.1.2.3", "::1"},
	{"::/0", "::/0", "2001:db8::1", "10.1.2.3"},
	{"128.0.0.0/1", "128.0.0.0/1", "128.0.0.0", "127.255.255.255"},
	{"10.1.2.128/25", "10.1.2.128/25", "10.1.2.129", "10.1.2.127"},
	{"10.1.2.4/31", "10.1.2.4/31", "10.1.2.5", "10.1.2.6"},
	{"2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
	{"2001:db8::/33", "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
	{"fe80::/10", "fe80::/10", "febf::1", "fec0::"},
	{"::1", "::1/128", "::1", "::2"},
	{"::ffff:10.0.0.0/104", "10.0.0.0/8", "10.9.9.9", "11.0.0.0"},
	{"::ffff:0.0.0.0/96", "0.0.0.0/0", "8.8.8.8", "::1"},
	{"::ffff:10.1.2.3", "10.1.2.3/32", "10.1.2.3", "10.1.2.4"},
	{"::ffff:10.1.2.3/24", NULL, NULL, NULL},
	{"10.1.2.3/24", NULL, NULL, NULL},
	{"10.1.2.0/33", NULL, NULL, NULL},
	{"10.1.2.0/", NULL, NULL, NULL},
	{"10.1.2.0/-1", NULL, NULL, NULL},
	{"10.1.2.0/24/24", NULL, NULL, NULL},
	{"10.1.2/24", NULL, NULL, NULL},
	{"/24", NULL, NULL, NULL},
	{"", NULL, NULL, NULL},
	{"2001:db8::1/64", NULL, NULL, NULL},
	{"2001:db8::/129", NULL, NULL, NULL},
	{"[2001:db8::]/32", NULL, NULL, NULL},
	{"10.1.2.0/255.255.255.0", NULL, NULL, NULL},
};

static void
networks_hold_their_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(networks); i++) {
		struct cidr c;
		struct buf  out = BUF(128);
		bool        ok = cidr_parse(str_of(networks[i].text), &c);

		if (ok != (networks[i].formatted != NULL))
			fail_msg("%s", networks[i].text);
		if (!ok)
			continue;
		cidr_format(&out, &c);
		check_text(networks[i].text, &out, networks[i].formatted);
		if (!cidr_has(&c, must_parse(networks[i].in)))
			fail_msg("%s not in %s", networks[i].in, networks[i].text);
		if (cidr_has(&c, must_parse(networks[i].out)))
			fail_msg("%s in %s", networks[i].out, networks[i].text);
	}
	assert_false(cidr_has(&(struct cidr){0}, (struct addr){0}));
}

static void
equality_is_of_the_address_alone(void **state)
{
	struct addr a = must_parse("10.1.2.3"), b = must_parse("::ffff:10.1.2.3");

	(void)state;
	b.port = 25;
	assert_true(addr_equal(a, b));
	assert_false(addr_equal(a, must_parse("10.1.2.4")));
	assert_false(addr_equal(a, must_parse("::10.1.2.3")));
	assert_false(addr_equal(must_parse("::1"), must_parse("::2")));
}

static void
kernel_addresses_go_there_and_back(void **state)
{
	static const char *const rows[] = {"192.0.2.1:25", "[2001:db8::1]:65535", "[::]:0",
	                                   "0.0.0.0:1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sockaddr_storage ss;
		struct addr             a, b;

		assert_true(addr_parse_port(str_of(rows[i]), 0, &a));
		assert_int_equal(addr_to_sockaddr(a, &ss), a.family == 4
		                                                   ? sizeof(struct sockaddr_in)
		                                                   : sizeof(struct sockaddr_in6));
		assert_true(addr_from_sockaddr((struct sockaddr *)&ss, &b));
		assert_true(addr_equal(a, b));
		assert_int_equal(a.port, b.port);
	}
}

static void
a_mapped_kernel_address_becomes_ipv4(void **state)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
	struct sockaddr     other = {.sa_family = AF_UNIX};
	struct addr         a;

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.9", &sa.sin6_addr), 1);
	assert_true(addr_from_sockaddr((struct sockaddr *)&sa, &a));
	assert_int_equal(a.family, 4);
	assert_int_equal(a.port, 25);
	assert_true(addr_equal(a, must_parse("192.0.2.9")));
	assert_false(addr_from_sockaddr(&other, &a));
	assert_int_equal(a.family, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(addresses_with_ports_are_read_and_written),
		cmocka_unit_test(special_addresses_are_known),
		cmocka_unit_test(networks_hold_their_addresses),
		cmocka_unit_test(equality_is_of_the_address_alone),
		cmocka_unit_test(kernel_addresses_go_there_and_back),
		cmocka_unit_test(a_mapped_kernel_address_becomes_ipv4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
