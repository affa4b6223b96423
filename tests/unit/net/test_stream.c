/* SPDX-License-Identifier: ISC */
#include "lib/net/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/stream_inner.h"
#include "lib/util/mem.h"
#include "tests/unit/net/ends.h"

struct fixture {
	struct loop *loop;
	struct end   a, b; /* a has connected to b */
};

static int
setup(void **state)
{
	struct fixture *f = mem_zero(sizeof *f);

	f->loop = loop_create();
	ends_connect(&f->a, &f->b, f->loop);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ends_free(&f->a, &f->b);
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static void
say(struct end *e, const char *text)
{
	stream_write(e->s, str_of(text));
}

static void
assert_got(const struct end *e, const char *text)
{
	assert_int_equal(e->got.n, strlen(text));
	assert_memory_equal(e->got.p, text, e->got.n);
}

static void
octets_pass_both_ways(void **state)
{
	struct fixture *f = *state;

	say(&f->a, "EHLO ");
	say(&f->a, "there\r\n");
	assert_int_equal(stream_unsent(f->a.s), 12);
	end_wait_octets(&f->b, 12);
	assert_got(&f->b, "EHLO there\r\n");
	assert_int_equal(stream_unsent(f->a.s), 0);
	say(&f->b, "250 hello\r\n");
	end_wait_octets(&f->a, 11);
	assert_got(&f->a, "250 hello\r\n");
	assert_string_equal(buf_z(&f->b.diary), "INPUT DRAINED ");
}

static void
addresses_are_known(void **state)
{
	struct fixture *f = *state;
	struct addr     to = stream_peer(f->a.s), here = stream_local(f->b.s);

	assert_true(addr_is_loopback(to));
	assert_true(addr_equal(to, here));
	assert_int_equal(to.port, here.port);
	assert_int_equal(stream_local(f->a.s).port, stream_peer(f->b.s).port);
	assert_null(stream_tls(f->a.s));
	assert_string_equal(stream_error(f->a.s), "no error");
}

static void
the_end_comes_after_the_input(void **state)
{
	struct fixture *f = *state;

	say(&f->a, "bye");
	stream_finish(f->a.s);
	f->a.s = NULL;
	end_wait(&f->b, "EOF");
	assert_got(&f->b, "bye");
	/* Our half is still open. */
	say(&f->b, "ok");
	end_wait(&f->b, "DRAINED");
	assert_string_equal(buf_z(&f->b.diary), "INPUT EOF DRAINED ");
}

static void
nothing_is_read_while_paused(void **state)
{
	struct fixture *f = *state;

	stream_pause(f->b.s);
	say(&f->a, "one");
	loop_run_ms(f->loop, 30);
	assert_string_equal(buf_z(&f->b.diary), "");
	assert_int_equal(stream_waiting(f->b.s), 0);
	stream_resume(f->b.s);
	end_wait_octets(&f->b, 3);
	assert_got(&f->b, "one");
}

/* TLS may have to write before it can read on; a socket that can be written would wake us for ever. */
static void
a_paused_stream_does_not_spin(void **state)
{
	struct fixture *f = *state;
	clock_t         before;

	stream_pause(f->b.s);
	f->b.s->read_writes = true;
	stream_arm(f->b.s);
	before = clock();
	loop_run_ms(f->loop, 200);
	assert_in_range((clock() - before) * 1000 / CLOCKS_PER_SEC, 0, 100);
	say(&f->a, "one");
	stream_resume(f->b.s);
	end_wait_octets(&f->b, 3);
}

static void
resuming_tells_of_input_that_waits(void **state)
{
	struct fixture *f = *state;

	f->b.lazy = true;
	say(&f->a, "one\r\ntwo\r\n");
	end_wait(&f->b, "INPUT");
	loop_run_ms(f->loop, 10);
	assert_string_equal(buf_z(&f->b.diary), "INPUT ");
	stream_pause(f->b.s);
	assert_int_equal(stream_waiting(f->b.s), 10);
	stream_resume(f->b.s);
	assert_string_equal(buf_z(&f->b.diary), "INPUT ");
	f->b.lazy = false;
	end_wait_octets(&f->b, 10);
	assert_string_equal(buf_z(&f->b.diary), "INPUT INPUT ");
}

static void
input_that_nobody_takes_is_bounded(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(1 << 20, 1);

	f->b.lazy = true;
	for (int i = 0; i < 8; i++)
		stream_write(f->a.s, (struct str){much, 1 << 20});
	loop_run_ms(f->loop, 100);
	assert_true(stream_waiting(f->b.s) <= 64 * 1024);
	assert_true(stream_unsent(f->a.s) > 0);
	f->b.lazy = false;
	stream_pause(f->b.s);
	stream_resume(f->b.s);
	end_wait_octets(&f->b, 8 << 20);
	assert_int_equal(f->b.got.n, 8 << 20);
	free(much);
}

static void
taking_a_little_makes_room(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(200000, 1);
	size_t          taken = 0;

	for (size_t i = 0; i < 200000; i++)
		much[i] = (char)(i % 251);
	f->b.lazy = true;
	stream_write(f->a.s, (struct str){much, 200000});
	while (taken < 200000) {
		struct str s;

		if (stream_waiting(f->b.s) == 0)
			loop_run_ms(f->loop, 1);
		s = stream_peek(f->b.s, 777);
		assert_memory_equal(s.p, much + taken, s.n);
		stream_take(f->b.s, s.n);
		taken += s.n;
		if (taken % 5 == 0)
			loop_run_ms(f->loop, 0);
	}
	free(much);
}

/* Each piece is taken in an event of its own. */
static void
gulps_are_small_when_asked(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(60000, 1);
	struct str      words;
	size_t          events = 0;

	memset(much, 'x', 60000);
	stream_gulp(f->b.s, 1000);
	stream_write(f->a.s, (struct str){much, 60000});
	end_wait_octets(&f->b, 60000);
	words = buf_str(&f->b.diary);
	while (str_word(&words).n > 0)
		events++;
	assert_true(events >= 60);
	stream_gulp(f->b.s, 0);
	buf_clear(&f->b.diary);
	stream_write(f->a.s, (struct str){much, 60000});
	end_wait_octets(&f->b, 120000);
	words = buf_str(&f->b.diary);
	for (events = 0; str_word(&words).n > 0;)
		events++;
	assert_true(events < 60);
	free(much);
}

static void
one_timeout_comes_once(void **state)
{
	struct fixture *f = *state;

	stream_timeout(f->a.s, 5);
	stream_timeout(f->a.s, 60000);
	loop_run_ms(f->loop, 30);
	assert_string_equal(buf_z(&f->a.diary), "CONNECTED ");
	stream_timeout(f->a.s, 10);
	end_wait(&f->a, "TIMEOUT");
	loop_run_ms(f->loop, 60);
	assert_string_equal(buf_z(&f->a.diary), "CONNECTED TIMEOUT ");
	stream_timeout(f->a.s, 10);
	stream_timeout(f->a.s, 0);
	loop_run_ms(f->loop, 30);
	assert_string_equal(buf_z(&f->a.diary), "CONNECTED TIMEOUT ");
}

static void
a_refused_connection_says_so(void **state)
{
	struct fixture *f = *state;
	struct addr     at;
	struct end      e;

	close(listen_anywhere(&at));
	end_init(&e, f->loop);
	e.s = stream_connect(f->loop, at, (struct addr){0}, end_event, &e);
	assert_string_equal(buf_z(&e.diary), "");
	end_wait(&e, "ERROR");
	assert_string_equal(stream_error(e.s), "connection refused");
	assert_string_equal(buf_z(&e.diary), "ERROR ");
	end_free(&e);
}

static void
an_impossible_connection_fails_later(void **state)
{
	struct fixture *f = *state;
	struct addr     to = {.family = 4, .ip = {127, 0, 0, 1}, .port = 25};
	struct addr     from = {.family = 4, .ip = {192, 0, 2, 77}};
	struct end      e;

	end_init(&e, f->loop);
	e.s = stream_connect(f->loop, to, from, end_event, &e);
	assert_string_equal(buf_z(&e.diary), "");
	end_wait(&e, "ERROR");
	assert_string_equal(stream_error(e.s), "cannot assign requested address");
	end_free(&e);
}

static void
the_local_address_can_be_chosen(void **state)
{
	struct fixture *f = *state;
	struct addr     at, from = {.family = 4, .ip = {127, 0, 0, 9}};
	int             fd = listen_anywhere(&at);
	struct end      e;

	end_init(&e, f->loop);
	e.s = stream_connect(f->loop, at, from, end_event, &e);
	end_wait(&e, "CONNECTED");
	assert_true(addr_equal(stream_local(e.s), from));
	end_free(&e);
	close(fd);
}

static void
a_stream_may_be_closed_in_its_event(void **state)
{
	struct fixture *f = *state;

	f->b.close_on[STREAM_INPUT] = true;
	say(&f->a, "x");
	end_wait(&f->b, "INPUT");
	loop_run_ms(f->loop, 10);
	assert_null(f->b.s);
	end_wait(&f->a, "EOF");
}

static void
a_stream_may_be_finished_in_its_event(void **state)
{
	struct fixture *f = *state;

	f->b.finish_on[STREAM_INPUT] = true;
	say(&f->b, "421 bye\r\n");
	say(&f->a, "x");
	end_wait(&f->a, "EOF");
	assert_got(&f->a, "421 bye\r\n");
}

static void
nothing_comes_after_close(void **state)
{
	struct fixture *f = *state;

	say(&f->a, "x");
	say(&f->b, "y");
	stream_timeout(f->b.s, 1);
	stream_close(f->b.s);
	f->b.s = NULL;
	loop_run_ms(f->loop, 20);
	assert_string_equal(buf_z(&f->b.diary), "");
}

static void
finishing_sends_all_that_was_written(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(4 << 20, 1);

	f->b.lazy = true;
	stream_pause(f->b.s);
	stream_write(f->a.s, (struct str){much, 4 << 20});
	stream_finish(f->a.s);
	f->a.s = NULL;
	loop_run_ms(f->loop, 20);
	assert_string_equal(buf_z(&f->a.diary), "CONNECTED ");
	f->b.lazy = false;
	stream_resume(f->b.s);
	end_wait(&f->b, "EOF");
	assert_int_equal(f->b.got.n, 4 << 20);
	free(much);
}

/* Closing with unread input makes the kernel send RST, which would overtake the reply. */
static void
the_last_words_arrive_though_input_waits(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(100000, 1);

	f->b.lazy = true;
	f->b.finish_on[STREAM_INPUT] = true;
	say(&f->b, "554 no\r\n");
	stream_write(f->a.s, (struct str){much, 100000});
	end_wait(&f->a, "EOF");
	assert_got(&f->a, "554 no\r\n");
	free(much);
}

static void
a_loop_with_unfinished_streams_can_be_destroyed(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(4 << 20, 1);

	stream_pause(f->b.s);
	stream_write(f->a.s, (struct str){much, 4 << 20});
	stream_finish(f->a.s);
	f->a.s = NULL;
	loop_run_ms(f->loop, 5);
	free(much);
}

static void
what_a_server_says_before_it_closes_is_heard(void **state)
{
	struct fixture *f = *state;
	int             fds[2];
	struct end      e;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	end_init(&e, f->loop);
	e.s = stream_accept(f->loop, fds[0], end_event, &e);
	assert_int_equal(write(fds[1], "421 busy\r\n", 10), 10);
	close(fds[1]);
	say(&e, "EHLO there\r\n"); /* cannot be delivered any more */
	end_wait(&e, "EOF");
	assert_got(&e, "421 busy\r\n");
	end_free(&e);
}

static void
a_reset_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct addr     at;
	int             listening = listen_anywhere(&at), fd;
	struct linger   now = {.l_onoff = 1, .l_linger = 0};
	struct end      e;

	end_init(&e, f->loop);
	e.s = stream_connect(f->loop, at, (struct addr){0}, end_event, &e);
	end_wait(&e, "CONNECTED");
	fd = accept(listening, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
	end_wait(&e, "ERROR");
	assert_string_equal(stream_error(e.s), "connection reset by peer");
	say(&e, "more");
	loop_run_ms(f->loop, 10);
	assert_string_equal(buf_z(&e.diary), "CONNECTED ERROR ");
	end_free(&e);
	close(listening);
}

static void
another_owner_gets_the_later_events(void **state)
{
	struct fixture *f = *state;
	struct end      other;

	end_init(&other, f->loop);
	other.s = f->b.s;
	stream_handler(f->b.s, end_event, &other);
	f->b.s = NULL;
	say(&f->a, "x");
	end_wait(&other, "INPUT");
	assert_string_equal(buf_z(&f->b.diary), "");
	end_free(&other);
}

/* Each write waits for the loop, so one turn costs one packet. */
static void
writes_of_one_turn_leave_together(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 100; i++)
		say(&f->a, "250 2.1.5 fine\r\n");
	end_wait_octets(&f->b, 1600);
	assert_string_equal(buf_z(&f->b.diary), "INPUT ");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(octets_pass_both_ways),
		T(addresses_are_known),
		T(the_end_comes_after_the_input),
		T(nothing_is_read_while_paused),
		T(a_paused_stream_does_not_spin),
		T(resuming_tells_of_input_that_waits),
		T(input_that_nobody_takes_is_bounded),
		T(taking_a_little_makes_room),
		T(gulps_are_small_when_asked),
		T(one_timeout_comes_once),
		T(a_refused_connection_says_so),
		T(an_impossible_connection_fails_later),
		T(the_local_address_can_be_chosen),
		T(a_stream_may_be_closed_in_its_event),
		T(a_stream_may_be_finished_in_its_event),
		T(nothing_comes_after_close),
		T(finishing_sends_all_that_was_written),
		T(the_last_words_arrive_though_input_waits),
		T(a_loop_with_unfinished_streams_can_be_destroyed),
		T(what_a_server_says_before_it_closes_is_heard),
		T(a_reset_is_an_error),
		T(another_owner_gets_the_later_events),
		T(writes_of_one_turn_leave_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
