/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proc/trust_nets.h"

static const struct {
	const char *net, *hole, *left;
} holes[] = {
	{"192.0.2.0/24", "198.51.100.1", "192.0.2.0/24 "},
	{"192.0.2.0/24", "2001:db8::1", "192.0.2.0/24 "},
	{"192.0.2.4/30", "192.0.2.5", "192.0.2.6/31 192.0.2.4/32 "},
	{"192.0.2.4/31", "192.0.2.4", "192.0.2.5/32 "},
	{"192.0.2.4/32", "192.0.2.4", ""},
	{"172.17.0.0/28", "172.17.0.1", "172.17.0.8/29 172.17.0.4/30 172.17.0.2/31 172.17.0.0/32 "},
	{"fd00::/126", "fd00::1", "fd00::2/127 fd00::/128 "},
};

static void
a_hole_leaves_the_rest_of_the_network(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
		struct cidr  net, *nets = NULL;
		struct addr  hole;
		size_t       n = 0;
		struct buf   b = BUF(4096);

		assert_true(cidr_parse(str_of(holes[i].net), &net));
		assert_true(addr_parse(str_of(holes[i].hole), &hole));
		trust_nets_without(&nets, &n, net, hole);
		for (size_t k = 0; k < n; k++) {
			cidr_format(&b, &nets[k]);
			buf_addc(&b, ' ');
		}
		assert_string_equal(buf_z(&b), holes[i].left);
		buf_free(&b);
		free(nets);
	}
}

/* Every address of a /24 is in exactly one of the pieces, but the gateway in none. */
static void
the_pieces_cover_the_network_once(void **state)
{
	struct cidr  net, *nets = NULL;
	struct addr  a = {.family = 4, .ip = {10, 9, 8, 0}}, hole;
	size_t       n = 0;

	(void)state;
	assert_true(cidr_parse(STR("10.9.8.0/24"), &net));
	assert_true(addr_parse(STR("10.9.8.77"), &hole));
	trust_nets_without(&nets, &n, net, hole);
	for (unsigned i = 0; i < 256; i++) {
		unsigned hits = 0;

		a.ip[3] = (uint8_t)i;
		for (size_t k = 0; k < n; k++)
			hits += cidr_has(&nets[k], a);
		assert_int_equal(hits, i == 77 ? 0 : 1);
	}
	free(nets);
}

static void
gateways_are_read_from_the_kernel(void **state)
{
	static const char v4[] =
	        "Iface\tDestination\tGateway \tFlags\n"
	        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n"
	        "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n"
	        "bad\n";
	static const char v6[] =
	        "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 "
	        "00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
	        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
	        "fd000000000000000000000000000001 00000400 00000002 00000000 00000003 eth0\n";
	struct buf   b = BUF(256);
	size_t       n;
	struct addr *list = trust_nets_gateways(STR(v4), STR(v6), &n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		addr_format(&b, list[i]);
		buf_addc(&b, ' ');
	}
	assert_string_equal(buf_z(&b), "172.17.0.1 fd00::1 ");
	buf_free(&b);
	free(list);
}

static void
here_no_public_and_no_loopback_network_is_meant(void **state)
{
	size_t       n;
	struct cidr *nets = trust_nets_container(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(addr_is_private(nets[i].addr));
		assert_false(addr_is_loopback(nets[i].addr));
	}
	free(nets);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hole_leaves_the_rest_of_the_network),
		cmocka_unit_test(the_pieces_cover_the_network_once),
		cmocka_unit_test(gateways_are_read_from_the_kernel),
		cmocka_unit_test(here_no_public_and_no_loopback_network_is_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
