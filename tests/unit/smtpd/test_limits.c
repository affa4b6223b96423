/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/shared.h"
#include "smtpd/limits.h"

#define MINUTE     INT64_C(60000)
#define HOUR       (60 * MINUTE)
#define KEY_SECRET 4711
#define MOST       10

enum { OCTETS = 1 << 20 };

/* Two processes that share a table, as the supervisor sets them up. */
struct pair {
	int           fd;
	struct limits a, b;
};

static struct addr
at(const char *text)
{
	struct addr a;

	assert_true(addr_parse(str_of(text), &a));
	return a;
}

static void
open_pair(struct pair *p)
{
	p->fd = shared_create("test", OCTETS);
	assert_true(p->fd >= 0);
	limits_init(&p->a);
	limits_init(&p->b);
	assert_true(limits_share(&p->a, p->fd, 0, 2, KEY_SECRET));
	assert_true(limits_share(&p->b, p->fd, 1, 2, KEY_SECRET));
}

static void
close_pair(struct pair *p)
{
	limits_free(&p->a);
	limits_free(&p->b);
	close(p->fd);
}

static size_t
octets_in_use(int fd)
{
	size_t at = 0, n, sum = 0;

	while ((n = shared_next(fd, &at, OCTETS)) > 0) {
		sum += n;
		at += n;
	}
	return sum;
}

/* 8 MiB of it are mapped: who comes must not touch what nobody has used. */
static void
a_table_costs_what_is_used_of_it(void **state)
{
	struct pair p;
	size_t      before;

	(void)state;
	open_pair(&p);
	atomic_store(limits_cells(&p.a), 1);
	before = octets_in_use(p.fd);
	assert_int_equal(before, sysconf(_SC_PAGESIZE));
	for (int life = 0; life < 3; life++) {
		struct limits next;

		limits_init(&next);
		assert_true(limits_share(&next, p.fd, 1, 2, KEY_SECRET));
		limits_free(&next);
	}
	assert_int_equal(octets_in_use(p.fd), before);
	close_pair(&p);
}

static void
keys_are_told_apart(void **state)
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
	struct limits ls;

	(void)state;
	limits_init(&ls);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((limits_client(&ls, at(rows[i].a), 0).row ==
		     limits_client(&ls, at(rows[i].b), 0).row) != rows[i].same)
			fail_msg("row %zu", i);
	assert_ptr_not_equal(limits_login(&ls, STR("ann"), 0).row,
	                     limits_login(&ls, STR("Ann"), 0).row);
	assert_ptr_equal(limits_login(&ls, STR("ann"), 0).row,
	                 limits_login(&ls, STR("ann"), 0).row);
	limits_free(&ls);
}

static void
connections_count_once_for_all_processes(void **state)
{
	struct pair  p;
	struct limit a, b;

	(void)state;
	open_pair(&p);
	a = limits_client(&p.a, at("192.0.2.1"), 0);
	b = limits_client(&p.b, at("192.0.2.1"), 0);
	for (int i = 0; i < MOST; i++)
		assert_true(i % 2 ? limit_enter(&p.a, a, MOST) : limit_enter(&p.b, b, MOST));
	assert_false(limit_enter(&p.a, a, MOST));
	assert_false(limit_enter(&p.b, b, MOST));
	assert_int_equal(limit_connections(&p.b, b), MOST);
	limit_leave(&p.a, a);
	assert_true(limit_enter(&p.b, b, MOST));
	assert_true(limit_enter(&p.b, b, 0));
	/* One who is not there leaves: nobody gets less than nothing. */
	for (int i = 0; i < 2 * MOST; i++)
		limit_leave(&p.a, a);
	assert_int_equal(limit_connections(&p.a, a), 7);
	close_pair(&p);
}

static void
failures_and_messages_count_once_for_all_processes(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p);
	for (unsigned i = 0; i < 4; i++) {
		struct limits *ls = i % 2 ? &p.a : &p.b;

		assert_int_equal(limit_fail(limits_login(ls, STR("ann"), 5), 5), i + 1);
		assert_int_equal(limit_send(limits_login(ls, STR("ann"), 5), 5), i + 1);
	}
	assert_int_equal(limit_failures(limits_login(&p.a, STR("bob"), 5), 5), 0);
	close_pair(&p);
}

static void
a_dead_process_is_forgotten_when_its_successor_comes(void **state)
{
	struct pair   p;
	struct limits next;
	struct limit  l;

	(void)state;
	open_pair(&p);
	for (int i = 0; i < 1000; i++) {
		struct addr client = {.family = 4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};

		assert_true(limit_enter(&p.a, limits_client(&p.a, client, 0), 0));
		assert_true(limit_enter(&p.b, limits_client(&p.b, client, 0), 0));
	}
	l = limits_client(&p.b, at("10.0.1.1"), 0);
	assert_int_equal(limit_connections(&p.b, l), 2);
	(void)limit_fail(l, 0);
	limits_init(&next);
	assert_true(limits_share(&next, p.fd, 0, 2, KEY_SECRET));
	for (int i = 0; i < 1000; i++) {
		struct addr client = {.family = 4, .ip = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};

		assert_int_equal(limit_connections(&next, limits_client(&next, client, 0)), 1);
	}
	/* What he did is not forgotten with it. */
	assert_int_equal(limit_failures(l, 0), 1);
	limits_free(&next);
	close_pair(&p);
}

static void
failures_are_forgotten_after_an_hour(void **state)
{
	struct limits ls;
	struct limit  l;

	(void)state;
	limits_init(&ls);
	l = limits_client(&ls, at("192.0.2.1"), 1000);
	assert_int_equal(limit_fail(l, 1000), 1);
	assert_int_equal(limit_fail(l, 2000), 2);
	assert_int_equal(limit_failures(l, 2000 + LIMITS_MEMORY_MS - 1), 2);
	assert_int_equal(limit_failures(l, 2000 + LIMITS_MEMORY_MS), 0);
	assert_int_equal(limit_fail(l, 2000 + LIMITS_MEMORY_MS), 1);
	limits_free(&ls);
}

static void
messages_of_the_last_hour_are_counted(void **state)
{
	static const struct {
		int64_t  minute;
		unsigned count;
	} rows[] = {
		{0, 1},   {1, 2},   {9, 3},   {49, 4},  {120, 1}, {121, 2},
		{150, 3}, {190, 2}, {600, 1}, {500, 1}, {501, 2},
	};
	struct limits ls;

	(void)state;
	limits_init(&ls);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t now = 1000 * HOUR + rows[i].minute * MINUTE;

		if (limit_send(limits_login(&ls, STR("app1"), now), now) != rows[i].count)
			fail_msg("row %zu", i);
	}
	limits_free(&ls);
}

/* Far more keys than rows: of who is connected nothing is lost, and the newest are known. */
static void
a_flood_of_names_drives_out_no_connection(void **state)
{
	struct pair  p;
	struct limit held;

	(void)state;
	open_pair(&p);
	held = limits_client(&p.a, at("192.0.2.1"), 1000);
	assert_true(limit_enter(&p.a, held, 1));
	(void)limit_fail(held, 1000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct str   name = {(const char *)&i, sizeof i};
		struct limit l = limits_login(&p.b, name, 2000 + i);

		assert_non_null(l.row);
		assert_int_equal(limit_fail(l, 2000 + i), 1);
		assert_int_equal(limit_failures(limits_login(&p.a, name, 2000 + i), 2000 + i), 1);
	}
	assert_false(limit_enter(&p.b, limits_client(&p.b, at("192.0.2.1"), 3000), 1));
	assert_int_equal(limit_failures(held, 3000), 1);
	close_pair(&p);
}

/* A table that is full of connections lets nobody new in, and lets nobody guess fast either. */
static void
a_full_table_keeps_the_limits(void **state)
{
	struct limits ls;
	struct limit  l;
	unsigned      entered = 0, refused = 0;

	(void)state;
	limits_init(&ls);
	for (uint32_t i = 0; i < 20000; i++) {
		l = limits_login(&ls, (struct str){(const char *)&i, sizeof i}, i);
		if (limit_enter(&ls, l, 1))
			entered++;
		else
			refused++;
	}
	assert_true(refused > 0);
	assert_true(entered > 2000 && entered <= 256 * LIMITS_WAYS);
	for (uint32_t i = 20000;
	     (l = limits_login(&ls, (struct str){(const char *)&i, sizeof i}, i)).row != NULL; i++)
		;
	assert_int_equal(limit_fail(l, 0), LIMITS_NO_ROOM);
	assert_int_equal(limit_failures(l, 0), LIMITS_NO_ROOM);
	assert_int_equal(limit_send(l, 0), 0);
	assert_true(limit_may_tell(l, 0));
	assert_int_equal(limit_connections(&ls, l), 0);
	limit_leave(&ls, l);
	limits_free(&ls);
}

static void
a_refusal_is_told_once_a_minute_by_all_together(void **state)
{
	struct pair  p;
	struct limit a, b;

	(void)state;
	open_pair(&p);
	a = limits_client(&p.a, at("192.0.2.1"), 0);
	b = limits_client(&p.b, at("192.0.2.1"), 0);
	assert_true(limit_may_tell(a, HOUR));
	assert_false(limit_may_tell(b, HOUR + 1000));
	assert_true(limit_may_tell(b, HOUR + MINUTE));
	close_pair(&p);
}

/* A sibling that somebody has taken over writes what he likes. */
static void
any_octets_in_the_table_do_no_harm(void **state)
{
	struct pair p;
	size_t      octets;
	char       *table;

	(void)state;
	open_pair(&p);
	table = shared_map(p.fd, &octets);
	assert_non_null(table);
	srandom(1);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < octets; i++)
			table[i] = round == 0 ? (char)0xff : (char)(random() >> 8);
		for (int64_t now = 0; now < 3 * HOUR; now += MINUTE) {
			struct limit l = limits_client(&p.a, at("192.0.2.1"), now);

			if (limit_enter(&p.a, l, MOST))
				limit_leave(&p.a, l);
			(void)limit_fail(l, now);
			(void)limit_send(limits_login(&p.b, STR("ann"), now), now);
			(void)limit_may_tell(l, now);
		}
	}
	/* A successor has its own column to itself all the same. */
	assert_true(limits_share(&p.a, p.fd, 0, 2, KEY_SECRET));
	munmap(table, octets);
	close_pair(&p);
}

static void
a_table_that_is_none_is_refused(void **state)
{
	struct limits ls;
	int           fd, loose[2];

	(void)state;
	limits_init(&ls);
	fd = shared_create("test", OCTETS);
	assert_false(limits_share(&ls, fd, 2, 2, KEY_SECRET));
	assert_false(limits_share(&ls, fd, 0, LIMITS_COLUMNS_MAX + 1, KEY_SECRET));
	close(fd);
	fd = shared_create("test", 64);
	assert_false(limits_share(&ls, fd, 0, 2, KEY_SECRET));
	close(fd);
	/* One whose size somebody could change. */
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, OCTETS), 0);
	assert_false(limits_share(&ls, fd, 0, 2, KEY_SECRET));
	close(fd);
	assert_int_equal(pipe(loose), 0);
	assert_false(limits_share(&ls, loose[0], 0, 2, KEY_SECRET));
	assert_int_equal(limit_fail(limits_login(&ls, STR("still there"), 0), 0), 1);
	limits_free(&ls);
}

/* Enters and leaves again and again; counts in `over` how often more than MOST were inside. */
static void
contend(int fd, unsigned column, _Atomic unsigned *inside, _Atomic unsigned *over)
{
	struct limits ls;

	limits_init(&ls);
	if (!limits_share(&ls, fd, column, 4, KEY_SECRET))
		_exit(1);
	for (uint32_t i = 0; i < 400000; i++) {
		struct limit l = limits_login(&ls, STR("contended"), i);
		uint32_t     other = i * 4 + column;
		struct str   name = {(const char *)&other, sizeof other};

		/* Others come and go in all buckets meanwhile. */
		if (i % 20 == 0) {
			(void)limit_fail(limits_login(&ls, name, i), i);
			(void)limit_fail(limits_login(&ls, STR("hasty"), i), i);
		}
		if (!limit_enter(&ls, l, 2))
			continue;
		/* Long enough for another to come in, were there a gap. */
		++*inside;
		for (unsigned k = 0; k < 20; k++)
			if (*inside > 2)
				++*over;
		--*inside;
		limit_leave(&ls, l);
	}
	_exit(0);
}

static void
processes_that_contend_never_get_more_than_the_limit(void **state)
{
	int               fd = shared_create("test", OCTETS), status;
	_Atomic unsigned *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct limits     ls;

	(void)state;
	/* The row is there: two that make it in the same instant are allowed to miss each other. */
	limits_init(&ls);
	assert_true(limits_share(&ls, fd, 3, 4, KEY_SECRET));
	assert_true(limit_enter(&ls, limits_login(&ls, STR("contended"), 0), 2));
	counts[0] = 1;
	/* Who is connected is not driven out by those who come and go. */
	assert_true(limit_enter(&ls, limits_login(&ls, STR("hasty"), 1), 1));
	for (unsigned i = 0; i < 3; i++)
		if (fork() == 0)
			contend(fd, i, &counts[0], &counts[1]);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(counts[1], 0);
	assert_int_equal(limit_connections(&ls, limits_login(&ls, STR("contended"), 0)), 1);
	/* Few are lost where all change one cell. */
	assert_true(limit_failures(limits_login(&ls, STR("hasty"), 1), 1) > 30000);
	limits_free(&ls);
	munmap(counts, 4096);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_told_apart),
		cmocka_unit_test(a_table_costs_what_is_used_of_it),
		cmocka_unit_test(connections_count_once_for_all_processes),
		cmocka_unit_test(failures_and_messages_count_once_for_all_processes),
		cmocka_unit_test(a_dead_process_is_forgotten_when_its_successor_comes),
		cmocka_unit_test(failures_are_forgotten_after_an_hour),
		cmocka_unit_test(messages_of_the_last_hour_are_counted),
		cmocka_unit_test(a_flood_of_names_drives_out_no_connection),
		cmocka_unit_test(a_full_table_keeps_the_limits),
		cmocka_unit_test(a_refusal_is_told_once_a_minute_by_all_together),
		cmocka_unit_test(any_octets_in_the_table_do_no_harm),
		cmocka_unit_test(a_table_that_is_none_is_refused),
		cmocka_unit_test(processes_that_contend_never_get_more_than_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
