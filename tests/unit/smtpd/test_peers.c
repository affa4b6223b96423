/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtpd/peers.h"

static struct addr
at(const char *text)
{
	struct addr a;

	assert_true(addr_parse(str_of(text), &a));
	return a;
}

static void
addresses_are_told_apart(void **state)
{
	static const struct {
		const char *a, *b;
		bool        same;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:0:0:2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"::192.0.2.1", "192.0.2.1", false},
	};
	struct peers ps;

	(void)state;
	peers_init(&ps);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer *a = peers_client(&ps, at(rows[i].a));
		struct peer *b = peers_client(&ps, at(rows[i].b));

		if ((a == b) != rows[i].same)
			fail_msg("row %zu", i);
		peers_settle(&ps, a);
		if (b != a)
			peers_settle(&ps, b);
	}
	assert_int_equal(ps.all.n, 0);
	assert_ptr_not_equal(peers_login(&ps, STR("ann")), peers_login(&ps, STR("Ann")));
	assert_ptr_equal(peers_login(&ps, STR("ann")), peers_login(&ps, STR("ann")));
	peers_free(&ps);
}

static void
only_what_counts_is_remembered(void **state)
{
	struct peers ps;
	struct peer *p;

	(void)state;
	peers_init(&ps);
	p = peers_client(&ps, at("192.0.2.1"));
	p->connections = 1;
	peers_settle(&ps, p);
	assert_int_equal(ps.all.n, 1);
	peers_count_failure(&ps, p, 1000);
	p->connections = 0;
	peers_settle(&ps, p);
	assert_int_equal(ps.all.n, 1);
	assert_int_equal(peer_failures(p, 1000 + PEERS_MEMORY_MS - 1), 1);
	assert_int_equal(peer_failures(p, 1000 + PEERS_MEMORY_MS), 0);
	/* The next failure of anybody sweeps out what has been forgotten. */
	peers_count_failure(&ps, peers_login(&ps, STR("ann")), 1000 + PEERS_MEMORY_MS);
	assert_int_equal(ps.all.n, 1);
	peers_free(&ps);
	peers_settle(&ps, NULL);
}

static void
a_flood_of_names_fills_no_memory(void **state)
{
	struct peers ps;
	struct peer *held;

	(void)state;
	peers_init(&ps);
	held = peers_client(&ps, at("192.0.2.1"));
	held->connections = 1;
	peers_count_failure(&ps, held, 1);
	for (uint32_t i = 0; i < 3 * PEERS_FAILED_MAX; i++) {
		struct str name = {(const char *)&i, sizeof i};

		peers_count_failure(&ps, peers_login(&ps, name), 2);
	}
	assert_int_equal(ps.failed.n, PEERS_FAILED_MAX);
	assert_int_equal(ps.all.n, PEERS_FAILED_MAX + 1);
	assert_int_equal(held->failures, 0);
	assert_int_equal(held->connections, 1);
	peers_free(&ps);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_told_apart),
		cmocka_unit_test(only_what_counts_is_remembered),
		cmocka_unit_test(a_flood_of_names_fills_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
