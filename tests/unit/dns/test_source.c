/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/dns/context.h"

static struct source
empty(void)
{
	return (struct source){.hosts = BUF(10000), .anchor = BUF(10000)};
}

static void
servers_are_read_from_resolv_conf(void **state)
{
	struct source s = empty();
	struct buf    text = BUF(1000);

	(void)state;
	source_nameservers(&s, STR("# made by hand\nsearch example.com\nnameserver 192.0.2.53\n"
	                           "nameserver\t2001:db8::53 # second\nnameserver\nnameserver oops\n"
	                           "options edns0\nnameserver 127.0.0.53"));
	for (size_t i = 0; i < s.n_servers; i++) {
		addr_format_port(&text, s.servers[i]);
		buf_addc(&text, ' ');
	}
	assert_string_equal(buf_z(&text), "192.0.2.53:53 [2001:db8::53]:53 127.0.0.53:53 ");
	buf_free(&text);
	source_free(&s);
}

static void
names_are_read_from_the_hosts_file(void **state)
{
	struct source s = empty();

	(void)state;
	source_hosts(&s, STR("127.0.0.1\tlocalhost\n"
	                     "10.1.2.3 smart smart.example.com # the relay\n"
	                     "::1 ip6-localhost\n"
	                     "not-an-address name\n"
	                     "10.1.2.4\n"
	                     "10.1.2.5 bad\"name good-name bad;name\n"
	                     "#10.1.2.6 commented\n"));
	assert_string_equal(buf_z(&s.hosts), "localhost. A 127.0.0.1\n"
	                                     "smart. A 10.1.2.3\n"
	                                     "smart.example.com. A 10.1.2.3\n"
	                                     "ip6-localhost. AAAA ::1\n"
	                                     "good-name. A 10.1.2.5\n");
	source_free(&s);
}

static void
given_servers_need_no_file(void **state)
{
	struct addr     server = {.family = 4, .ip = {127, 0, 0, 1}, .port = 5353};
	struct dns_conf conf = {.servers = &server, .n_servers = 1, .dnssec = DNSSEC_OFF};
	struct source   s;
	struct buf      why = BUF(1000);

	(void)state;
	assert_true(source_read(&s, &conf, &why));
	assert_int_equal(s.n_servers, 1);
	assert_int_equal(s.servers[0].port, 5353);
	assert_int_equal(s.hosts.n, 0);
	assert_int_equal(s.anchor.n, 0);
	source_free(&s);
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_are_read_from_resolv_conf),
		cmocka_unit_test(names_are_read_from_the_hosts_file),
		cmocka_unit_test(given_servers_need_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
