/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>

#include "lib/util/time.h"
#include "tests/fake/fake_inner.h"

enum { ROUNDS_MAX = 1000000 }; /* more in one moment is an endless loop of the code under test */

struct timer {
	struct heap_node node;
	struct loop     *loop;
	void (*fn)(void *arg);
	void *arg;
};

struct watch {
	struct link  link;
	struct loop *loop;
	int          fd;
	unsigned     what;
	void (*fn)(void *arg, unsigned what);
	void *arg;
};

/* The hook of time.h has no argument, so the clock is one for all. */
static int64_t now_us;

static int64_t
wall_ms(void)
{
	return (int64_t)FAKE_START_S * 1000 + now_us / 1000;
}

static int64_t
mono_us(void)
{
	return 1000000 + now_us; /* 0 often means "never" */
}

struct loop *
loop_create(void)
{
	struct loop *l = mem_zero(sizeof *l);

	list_init(&l->deferred);
	list_init(&l->watches);
	list_init(&l->channels);
	list_init(&l->frames);
	now_us = 0;
	time_hook(wall_ms, mono_us);
	return l;
}

void
loop_destroy(struct loop *l)
{
	if (l == NULL)
		return;
	fake_peers_destroy(l);
	fake_frames_destroy(l);
	heap_free(&l->timers);
	time_hook(NULL, NULL);
	free(l);
}

static bool
run_deferred(struct loop *l)
{
	size_t n = l->deferred.n;
	bool   any = n > 0;

	while (n-- > 0 && !list_empty(&l->deferred)) {
		struct deferred *d = CONTAINER(list_pop(&l->deferred), struct deferred, link);

		d->pending = false;
		d->fn(d->arg);
	}
	return any;
}

static bool
run_timer(struct loop *l)
{
	struct heap_node *first = heap_min(&l->timers);
	struct timer     *t;

	if (first == NULL || first->key > now_us)
		return false;
	t = CONTAINER(first, struct timer, node);
	heap_remove(&l->timers, first);
	t->fn(t->arg);
	return true;
}

void
fake_run(struct loop *l)
{
	size_t rounds = 0;

	while (run_deferred(l) || run_timer(l))
		assert(++rounds < ROUNDS_MAX);
}

void
fake_wait(struct loop *l, int64_t ms)
{
	int64_t           end = now_us + ms * 1000;
	struct heap_node *first;

	fake_run(l);
	while ((first = heap_min(&l->timers)) != NULL && first->key <= end) {
		now_us = first->key;
		fake_run(l);
	}
	now_us = end;
}

void
loop_run(struct loop *l)
{
	struct heap_node *first;

	fake_run(l);
	while (!l->stopped && (first = heap_min(&l->timers)) != NULL) {
		now_us = first->key;
		fake_run(l);
	}
	l->stopped = false;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}

/* There is no event base; lib/dns must not be started in a test with the fake. */
struct event_base *
loop_base(struct loop *l UNUSED)
{
	return NULL;
}

struct timer *
timer_create_on(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct timer *t = mem_zero(sizeof *t);

	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	return t;
}

void
timer_set(struct timer *t, int64_t ms)
{
	heap_put(&t->loop->timers, &t->node, now_us + (ms > 0 ? ms * 1000 : 0));
}

void
timer_clear(struct timer *t)
{
	heap_remove(&t->loop->timers, &t->node);
}

bool
timer_is_set(const struct timer *t)
{
	return heap_has(&t->node);
}

void
timer_destroy(struct timer *t)
{
	if (t == NULL)
		return;
	timer_clear(t);
	free(t);
}

struct watch *
watch_open(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg)
{
	struct watch *w = mem_zero(sizeof *w);

	w->loop = l;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	list_push(&l->watches, &w->link);
	return w;
}

void
watch_set(struct watch *w, unsigned what)
{
	w->what = what;
}

void
watch_close(struct watch *w)
{
	if (w == NULL)
		return;
	list_remove(&w->loop->watches, &w->link);
	free(w);
}

void
fake_ready(struct loop *l, int fd, unsigned what)
{
	struct watch *w;

	LIST_EACH(&l->watches, w, struct watch, link) {
		if (w->fd != fd || (w->what & what) == 0)
			continue;
		w->fn(w->arg, w->what & what);
		break;
	}
	fake_run(l);
}

void
loop_defer(struct loop *l, struct deferred *d)
{
	if (d->pending)
		return;
	d->pending = true;
	list_push(&l->deferred, &d->link);
}

void
loop_defer_cancel(struct loop *l, struct deferred *d)
{
	if (d->pending)
		list_remove(&l->deferred, &d->link);
	d->pending = false;
}

void
loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	assert(l->signal_count < FAKE_SIGNALS);
	l->signals[l->signal_count].signo = signo;
	l->signals[l->signal_count].fn = fn;
	l->signals[l->signal_count++].arg = arg;
}

void
fake_signal(struct loop *l, int signo)
{
	for (size_t i = 0; i < l->signal_count; i++)
		if (l->signals[i].signo == signo)
			l->signals[i].fn(l->signals[i].arg, signo);
	fake_run(l);
}
