/* SPDX-License-Identifier: ISC */
#include "lib/net/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util/buf.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

struct fixture {
	struct loop *loop;
	struct buf   diary;
};

/* Writes its letter; what else it does is said by the other members. */
struct call {
	struct fixture *f;
	char            letter;
	struct deferred d;
	struct timer   *t;
	struct call    *then;   /* deferred from inside */
	struct call    *cancel; /* a deferred call or timer taken back */
	bool            stop;
	unsigned        repeat;
};

static void
called(void *arg)
{
	struct call *c = arg;

	buf_addc(&c->f->diary, c->letter);
	if (c->then != NULL)
		loop_defer(c->f->loop, &c->then->d);
	if (c->cancel != NULL) {
		loop_defer_cancel(c->f->loop, &c->cancel->d);
		timer_destroy(c->cancel->t);
		c->cancel->t = NULL;
	}
	if (c->repeat > 0 && c->repeat-- > 0)
		loop_defer(c->f->loop, &c->d);
	if (c->stop)
		loop_stop(c->f->loop);
}

static struct call
make(struct fixture *f, char letter)
{
	return (struct call){.f = f, .letter = letter};
}

/* The address is final now. */
static struct call *
ready(struct call *c)
{
	c->d = (struct deferred){.fn = called, .arg = c};
	c->t = timer_create_on(c->f->loop, called, c);
	return c;
}

static int
setup(void **state)
{
	struct fixture *f = mem_zero(sizeof *f);

	f->loop = loop_create();
	f->diary = BUF(4096);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	loop_destroy(f->loop);
	buf_free(&f->diary);
	free(f);
	return 0;
}

static void
run_ms(struct fixture *f, int64_t ms)
{
	struct call end = make(f, '.');

	ready(&end)->stop = true;
	timer_set(end.t, ms);
	loop_run(f->loop);
	timer_destroy(end.t);
}

static void
deferred_calls_come_in_order_and_once(void **state)
{
	struct fixture *f = *state;
	struct call     a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');

	ready(&a), ready(&b), ready(&c);
	loop_defer(f->loop, &b.d);
	loop_defer(f->loop, &a.d);
	loop_defer(f->loop, &b.d);
	loop_defer(f->loop, &c.d);
	loop_defer_cancel(f->loop, &c.d);
	loop_defer_cancel(f->loop, &c.d);
	assert_string_equal(buf_z(&f->diary), "");
	run_ms(f, 5);
	assert_string_equal(buf_z(&f->diary), "ba.");
	timer_destroy(a.t), timer_destroy(b.t), timer_destroy(c.t);
}

static void
a_call_deferred_by_a_callback_comes_after_it(void **state)
{
	struct fixture *f = *state;
	struct call     t = make(f, 't'), a = make(f, 'a'), b = make(f, 'b');

	ready(&t)->then = ready(&a);
	a.then = ready(&b);
	timer_set(t.t, 1);
	run_ms(f, 20);
	assert_string_equal(buf_z(&f->diary), "tab.");
	timer_destroy(t.t), timer_destroy(a.t), timer_destroy(b.t);
}

static void
a_deferred_call_can_take_back_another(void **state)
{
	struct fixture *f = *state;
	struct call     a = make(f, 'a'), b = make(f, 'b');

	ready(&a)->cancel = ready(&b);
	timer_set(b.t, 1);
	loop_defer(f->loop, &a.d);
	loop_defer(f->loop, &b.d);
	run_ms(f, 10);
	assert_string_equal(buf_z(&f->diary), "a.");
	timer_destroy(a.t);
}

/* One that defers itself for ever must not keep timers and sockets waiting. */
static void
deferring_again_lets_others_in(void **state)
{
	struct fixture *f = *state;
	struct call     a = make(f, 'a'), t = make(f, 't');
	ptrdiff_t       at;

	ready(&a)->repeat = 1000000;
	a.f->diary.limit = 16 * 1024 * 1024;
	ready(&t)->stop = true;
	timer_set(t.t, 5);
	loop_defer(f->loop, &a.d);
	loop_run(f->loop);
	at = str_find(buf_str(&f->diary), 't');
	assert_true(at > 0 && at < 1000000);
	loop_defer_cancel(f->loop, &a.d);
	timer_destroy(a.t), timer_destroy(t.t);
}

static void
timers_come_in_the_order_of_their_time(void **state)
{
	struct fixture *f = *state;
	struct call     a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');

	ready(&a), ready(&b), ready(&c);
	timer_set(a.t, 30);
	timer_set(b.t, 10);
	timer_set(c.t, 5);
	assert_true(timer_is_set(c.t));
	timer_clear(c.t);
	assert_false(timer_is_set(c.t));
	run_ms(f, 60);
	assert_string_equal(buf_z(&f->diary), "ba.");
	assert_false(timer_is_set(a.t));
	timer_destroy(a.t), timer_destroy(b.t), timer_destroy(c.t);
}

static void
setting_a_timer_again_moves_it(void **state)
{
	struct fixture *f = *state;
	struct call     a = make(f, 'a'), b = make(f, 'b');

	ready(&a), ready(&b);
	timer_set(a.t, 1);
	timer_set(a.t, 3600 * 1000);
	timer_set(b.t, 3600 * 1000);
	timer_set(b.t, -5);
	run_ms(f, 20);
	assert_string_equal(buf_z(&f->diary), "b.");
	timer_set(a.t, 5);
	run_ms(f, 40);
	assert_string_equal(buf_z(&f->diary), "b.a.");
	timer_destroy(a.t), timer_destroy(b.t);
	timer_destroy(NULL);
}

static void
stopping_before_running_ends_the_run_at_once(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->loop);
	loop_run(f->loop);
	run_ms(f, 1);
	assert_string_equal(buf_z(&f->diary), ".");
}

struct watcher {
	struct fixture *f;
	struct watch   *w;
	bool            close, mute;
};

static void
watched(void *arg, unsigned what)
{
	struct watcher *x = arg;

	buf_addf(&x->f->diary, "%s%s", (what & WATCH_READ) ? "r" : "",
	         (what & WATCH_WRITE) ? "w" : "");
	if (x->mute)
		watch_set(x->w, 0);
	if (x->close) {
		watch_close(x->w);
		x->w = NULL;
	}
}

static void
descriptors_are_watched(void **state)
{
	struct fixture *f = *state;
	struct watcher  x = {.f = f, .mute = true};
	int             fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	x.w = watch_open(f->loop, fds[0], watched, &x);
	run_ms(f, 1);
	assert_string_equal(buf_z(&f->diary), ".");
	watch_set(x.w, WATCH_WRITE);
	run_ms(f, 1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	watch_set(x.w, WATCH_READ);
	run_ms(f, 1);
	watch_set(x.w, WATCH_READ | WATCH_WRITE);
	run_ms(f, 1);
	assert_string_equal(buf_z(&f->diary), ".w.r.rw.");
	x.close = true;
	watch_set(x.w, WATCH_READ);
	run_ms(f, 1);
	assert_null(x.w);
	watch_close(NULL);
	close(fds[0]);
	close(fds[1]);
}

static void
signal_came(void *arg, int signo)
{
	struct fixture *f = arg;

	buf_addf(&f->diary, "%s", signo == SIGUSR1 ? "1" : "2");
}

static void
signals_become_callbacks(void **state)
{
	struct fixture *f = *state;

	loop_signal(f->loop, SIGUSR1, signal_came, f);
	loop_signal(f->loop, SIGUSR2, signal_came, f);
	raise(SIGUSR1);
	assert_string_equal(buf_z(&f->diary), "");
	run_ms(f, 5);
	raise(SIGUSR2);
	run_ms(f, 5);
	assert_string_equal(buf_z(&f->diary), "1.2.");
}

static void
writing_to_a_closed_pipe_is_no_death(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(write(fds[1], "x", 1), -1);
	close(fds[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(deferred_calls_come_in_order_and_once),
		T(a_call_deferred_by_a_callback_comes_after_it),
		T(a_deferred_call_can_take_back_another),
		T(deferring_again_lets_others_in),
		T(timers_come_in_the_order_of_their_time),
		T(setting_a_timer_again_moves_it),
		T(stopping_before_running_ends_the_run_at_once),
		T(descriptors_are_watched),
		T(signals_become_callbacks),
		T(writing_to_a_closed_pipe_is_no_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
