/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/route.h"

static struct route_conf lines[] = {
	{.domain = {"*", 1}, .host = {"smart.example.net", 17}, .port = 587, .tls = ROUTE_STARTTLS,
	 .user = {"me", 2}, .password = {"pw", 2}},
	{.domain = {"example.org", 11}, .host = {NULL, 0}}, /* direct, an exception */
	{.domain = {"*.example.org", 13}, .host = {"inner.example.net", 17}, .port = 465, .tls = ROUTE_TLS},
	{.domain = {"a.b.example.org", 15}, .host = {"192.0.2.9", 9}, .port = 2525},
	{.domain = {"*.b.example.org", 15}, .host = {"deep.example.net", 16}, .port = 25},
};

static const struct {
	const char *lane;
	size_t      n_lines;
	bool        direct;
	const char *host;
	unsigned    port;
	const char *key;
} rows[] = {
	{"example.com",       0, true,  "example.com",       26,   "mx example.com"},
	{"example.com",       5, false, "smart.example.net", 587,  "via smart.example.net 587 1 0 me"},
	{"example.org",       5, true,  "example.org",       26,   "mx example.org"},
	{"x.example.org",     5, false, "inner.example.net", 465,  "via inner.example.net 465 2 0 "},
	{"a.b.example.org",   5, false, "192.0.2.9",         2525, "via 192.0.2.9 2525 0 0 "},
	{"c.b.example.org",   5, false, "deep.example.net",  25,   "via deep.example.net 25 0 0 "},
	{"notexample.org",    5, false, "smart.example.net", 587,  "via smart.example.net 587 1 0 me"},
	{"[192.0.2.1]",       0, true,  "[192.0.2.1]",       26,   "mx [192.0.2.1]"},
	{"[192.0.2.1]",       5, false, "smart.example.net", 587,  "via smart.example.net 587 1 0 me"},
};

static void
the_most_exact_line_decides(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config c = {.routes = lines, .n_routes = rows[i].n_lines, .outbound.port = 26};
		struct route  r = route_find(&c, str_of(rows[i].lane));
		struct buf    key = BUF(512);

		route_key(&key, &r);
		if (r.direct != rows[i].direct || !str_eq(r.host, str_of(rows[i].host)) || r.port != rows[i].port)
			fail_msg("%s with %zu lines: %.*s:%u", rows[i].lane, rows[i].n_lines, (int)r.host.n,
			         r.host.p, r.port);
		if (!str_eq(buf_str(&key), str_of(rows[i].key)))
			fail_msg("%s: key %s", rows[i].lane, buf_z(&key));
		buf_free(&key);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_exact_line_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
