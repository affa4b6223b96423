/* SPDX-License-Identifier: ISC */
#include "lib/net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/net/loop_inner.h"
#include "lib/util/str.h"

enum { SIGNALS_MAX = 8 };

struct signal_row {
	struct event ev;
	void (*fn)(void *arg, int signo);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct list        deferred;
	struct event       turn; /* runs `deferred` */
	bool               turning;
	bool               stopped;
	char              *scratch;
	struct list        orphans;
	void (*sweep)(struct link *orphan);
	struct signal_row signals[SIGNALS_MAX];
	size_t            signal_count;
};

struct timer {
	struct event ev;
	bool         set;
	void (*fn)(void *arg);
	void *arg;
};

struct watch {
	struct event ev;
	struct loop *loop;
	int          fd;
	unsigned     what;
	void (*fn)(void *arg, unsigned what);
	void *arg;
};

void
loop_event_add(struct event *ev, const struct timeval *in)
{
	if (event_add(ev, in) != 0)
		abort();
}

/*
 * Calls that are asked for by an ordinary callback run behind all callbacks of
 * this round, so that one round's writes go out together. Calls asked for by a
 * deferred call wait for the next round: two objects that keep deferring must
 * not keep the sockets waiting.
 */
static void
run_deferred(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct loop *l = arg;
	size_t       n = l->deferred.n;

	l->turning = true;
	while (n-- > 0 && !list_empty(&l->deferred) && !l->stopped) {
		struct deferred *d = CONTAINER(list_pop(&l->deferred), struct deferred, link);

		d->pending = false;
		d->fn(d->arg);
	}
	l->turning = false;
	if (!list_empty(&l->deferred))
		loop_event_add(&l->turn, &(struct timeval){0});
}

void
loop_defer(struct loop *l, struct deferred *d)
{
	if (d->pending)
		return;
	d->pending = true;
	list_push(&l->deferred, &d->link);
	if (!l->turning && l->deferred.n == 1)
		event_active(&l->turn, EV_TIMEOUT, 1);
}

void
loop_defer_cancel(struct loop *l, struct deferred *d)
{
	if (!d->pending)
		return;
	d->pending = false;
	list_remove(&l->deferred, &d->link);
}

struct loop *
loop_create(void)
{
	struct loop         *l = mem_zero(sizeof *l);
	struct event_config *config = event_config_new();
	struct sigaction     ignore = {.sa_handler = SIG_IGN};

	/* A ticket or reply written to a closed socket must be an error, not the end of the role. */
	sigaction(SIGPIPE, &ignore, NULL);
	if (config == NULL || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0 ||
	    (l->base = event_base_new_with_config(config)) == NULL)
		abort();
	event_config_free(config);
	list_init(&l->deferred);
	list_init(&l->orphans);
	event_assign(&l->turn, l->base, -1, 0, run_deferred, l);
	return l;
}

void
loop_destroy(struct loop *l)
{
	struct link *k;

	if (l == NULL)
		return;
	while ((k = list_pop(&l->orphans)) != NULL)
		l->sweep(k);
	for (size_t i = 0; i < l->signal_count; i++)
		event_del(&l->signals[i].ev);
	event_del(&l->turn);
	event_base_free(l->base);
	free(l->scratch);
	free(l);
}

void
loop_run(struct loop *l)
{
	if (!l->stopped)
		event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
	l->stopped = false;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
	event_base_loopbreak(l->base);
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

char *
loop_scratch(struct loop *l)
{
	if (l->scratch == NULL)
		l->scratch = mem_array(LOOP_SCRATCH, 1);
	return l->scratch;
}

struct list *
loop_orphans(struct loop *l, void (*sweep)(struct link *orphan))
{
	l->sweep = sweep;
	return &l->orphans;
}

static void
timer_fired(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct timer *t = arg;

	t->set = false;
	t->fn(t->arg);
}

struct timer *
timer_create_on(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = mem_zero(sizeof *t);

	t->fn = fn;
	t->arg = arg;
	event_assign(&t->ev, l->base, -1, 0, timer_fired, t);
	return t;
}

void
timer_set(struct timer *t, int64_t ms)
{
	struct timeval in = {0};

	if (ms > 0)
		in = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	t->set = true;
	loop_event_add(&t->ev, &in);
}

void
timer_clear(struct timer *t)
{
	if (t->set)
		event_del(&t->ev);
	t->set = false;
}

bool
timer_is_set(const struct timer *t)
{
	return t->set;
}

void
timer_destroy(struct timer *t)
{
	if (t == NULL)
		return;
	event_del(&t->ev);
	free(t);
}

static void
watch_fired(evutil_socket_t fd UNUSED, short what, void *arg)
{
	struct watch *w = arg;

	w->fn(w->arg,
	      ((what & EV_READ) ? WATCH_READ : 0u) | ((what & EV_WRITE) ? WATCH_WRITE : 0u));
}

struct watch *
watch_open(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg)
{
	struct watch *w = mem_zero(sizeof *w);

	w->loop = l;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	event_assign(&w->ev, l->base, fd, EV_PERSIST, watch_fired, w);
	return w;
}

void
watch_set(struct watch *w, unsigned what)
{
	short bits = (short)(((what & WATCH_READ) ? EV_READ : 0) |
	                     ((what & WATCH_WRITE) ? EV_WRITE : 0));

	if (what == w->what)
		return;
	if (w->what != 0)
		event_del(&w->ev);
	w->what = what;
	if (what == 0)
		return;
	event_assign(&w->ev, w->loop->base, w->fd, (short)(bits | EV_PERSIST), watch_fired, w);
	loop_event_add(&w->ev, NULL);
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	watch_set(w, 0);
	free(w);
}

static void
signal_came(evutil_socket_t signo, short what UNUSED, void *arg)
{
	struct signal_row *row = arg;

	row->fn(row->arg, (int)signo);
}

void
loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct signal_row *row = &l->signals[l->signal_count];

	assert(l->signal_count < SIGNALS_MAX);
	l->signal_count++;
	row->fn = fn;
	row->arg = arg;
	event_assign(&row->ev, l->base, signo, EV_SIGNAL | EV_PERSIST, signal_came, row);
	loop_event_add(&row->ev, NULL);
}
