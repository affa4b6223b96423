/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/log.h"
#include "smtpd/balancer.h"

#define S(z) {z, sizeof(z) - 1}

static const struct {
	const char *name;
	struct str  pieces[4]; /* sent one after the other */
	bool        through;
	const char *client, *behind; /* behind: what must still be in the socket */
} rows[] = {
	{"a header and what follows",
	 {S("PROXY TCP4 203.0.113.9 192.0.2.1 4000 25\r\nEHLO x\r\n")}, true, "203.0.113.9", "EHLO x\r\n"},
	{"a header in pieces", {S("PRO"), S("XY TCP4 203.0.113.9 192.0.2"), S(".1 4000 25\r"), S("\nEH")}, true,
	 "203.0.113.9", "EH"},
	{"a health check", {S("PROXY UNKNOWN\r\n")}, true, "", ""},
	{"no header", {S("EHLO x\r\n")}, false, "", ""},
	{"nothing", {{0}}, false, "", ""},
};

struct seen {
	struct loop *loop;
	bool         through;
	unsigned     index;
	int          fd;
	struct addr  client;
};

static void
on_through(void *arg, unsigned index, int fd, struct addr client)
{
	struct seen *seen = arg;

	seen->through = true;
	seen->index = index;
	seen->fd = fd;
	seen->client = client;
	loop_stop(seen->loop);
}

static void
quiet(struct str line UNUSED)
{
}

/* Pieces go out one a timer tick, so that each arrives alone; at last we hang up. */
struct sender {
	struct seen      *seen;
	const struct str *pieces;
	struct timer     *timer;
	size_t            n;
	int               fd;
};

static void
on_tick(void *arg)
{
	struct sender *s = arg;

	if (s->n < 4 && s->pieces[s->n].n > 0) {
		struct str piece = s->pieces[s->n++];

		assert_int_equal(write(s->fd, piece.p, piece.n), (ssize_t)piece.n);
		timer_set(s->timer, 2);
	} else if (s->n <= 4) {
		shutdown(s->fd, SHUT_WR);
		s->n = 5;
		timer_set(s->timer, 20);
	} else {
		loop_stop(s->seen->loop);
	}
}

static void
play(size_t row)
{
	struct balancers b;
	struct seen      seen = {.loop = loop_create(), .fd = -1};
	struct sender    s = {.seen = &seen, .pieces = rows[row].pieces};
	struct addr      peer;
	int              pair[2];
	char             rest[64];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_true(addr_parse(STR("10.9.9.9"), &peer));
	balancers_init(&b, seen.loop);
	b.through = on_through;
	b.arg = &seen;
	balancers_take(&b, 3, pair[0], peer);
	s.fd = pair[1];
	s.timer = timer_create_on(seen.loop, on_tick, &s);
	timer_set(s.timer, 1);
	loop_run(seen.loop);
	assert_int_equal(seen.through, rows[row].through);
	if (seen.through) {
		struct addr want = {0};
		ssize_t     n;

		assert_int_equal(seen.index, 3);
		if (rows[row].client[0] != '\0')
			assert_true(addr_parse(str_of(rows[row].client), &want));
		assert_int_equal(seen.client.family, want.family);
		assert_true(want.family == 0 || addr_equal(seen.client, want));
		while (s.n < 4 && s.pieces[s.n].n > 0) {
			struct str piece = s.pieces[s.n++];

			assert_int_equal(write(s.fd, piece.p, piece.n), (ssize_t)piece.n);
		}
		n = recv(seen.fd, rest, sizeof rest, MSG_DONTWAIT);
		assert_true(str_eq((struct str){rest, n > 0 ? (size_t)n : 0}, str_of(rows[row].behind)));
		close(seen.fd);
	}
	balancers_free(&b);
	assert_true(list_empty(&b.waiting));
	timer_destroy(s.timer);
	loop_destroy(seen.loop);
	close(pair[1]);
}

static void
headers_are_taken_off_the_socket(void **state)
{
	(void)state;
	log_hook(quiet);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("# %s\n", rows[i].name);
		play(i);
	}
	log_hook(NULL);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Over TCP, where the kernel heeds how much we want to be woken for, and wakes us for the end all the same. */
static void
who_hangs_up_in_the_middle_is_let_go_at_once(void **state)
{
	struct loop         *l = loop_create();
	struct balancers     b;
	struct timer        *tick = timer_create_on(l, stop, l);
	struct sockaddr_in   at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t            size = sizeof at;
	struct addr          peer = {0};
	int                  door = socket(AF_INET, SOCK_STREAM, 0);
	int                  fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	log_hook(quiet);
	assert_int_equal(bind(door, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&at, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	balancers_init(&b, l);
	balancers_take(&b, 0, accept(door, NULL, NULL), peer);
	assert_int_equal(write(fd, "PROXY TCP4 203.0", 16), 16);
	timer_set(tick, 50);
	loop_run(l);
	assert_int_equal(b.waiting.n, 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	/* 5 s in all: half of what a late header may take. */
	for (int i = 0; i < 100 && b.waiting.n > 0; i++) {
		timer_set(tick, 50);
		loop_run(l);
	}
	assert_int_equal(b.waiting.n, 0);
	balancers_free(&b);
	timer_destroy(tick);
	loop_destroy(l);
	close(fd);
	close(door);
	log_hook(NULL);
}

static void
who_came_by_a_listener_that_is_no_more_is_dropped(void **state)
{
	struct loop     *l = loop_create();
	struct balancers b;
	struct addr      peer = {0};
	int              gone[2], stays[2];
	char             octet;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, gone), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, stays), 0);
	balancers_init(&b, l);
	balancers_take(&b, 1, gone[0], peer);
	balancers_take(&b, 2, stays[0], peer);
	balancers_drop(&b, 1);
	assert_int_equal(b.waiting.n, 1);
	assert_int_equal(recv(gone[1], &octet, 1, 0), 0);
	assert_int_equal(recv(stays[1], &octet, 1, 0), -1);
	balancers_free(&b);
	loop_destroy(l);
	close(gone[1]);
	close(stays[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_taken_off_the_socket),
		cmocka_unit_test(who_hangs_up_in_the_middle_is_let_go_at_once),
		cmocka_unit_test(who_came_by_a_listener_that_is_no_more_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
