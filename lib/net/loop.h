/* SPDX-License-Identifier: ISC */
/*
 * loop - one event loop a process: timers, descriptors, deferred calls, signals.
 *
 * tests/fake has a second implementation of this header with virtual time.
 * Every start has a handle whose destroy cancels it; after that its callback
 * never comes. A callback never comes from inside the call that asked for it.
 * Nothing here fails: a process without memory, or without a place in epoll, ends
 * as mem.h says. Handles are destroyed before their loop. A callback may destroy
 * its own handle, and any other.
 */
#ifndef LIB_NET_LOOP_H
#define LIB_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/util/list.h"

struct loop;
struct timer;
struct watch;
struct event_base;

struct loop *loop_create(void);           /* SIGPIPE is ignored from now on */
void         loop_destroy(struct loop *l); /* NULL is allowed */
void         loop_run(struct loop *l);     /* until loop_stop(); may be run again after that */
void         loop_stop(struct loop *l);    /* after the running callback; before loop_run(): that returns at once */

/* For lib/dns and lib/net only: unbound lives in the same base. */
struct event_base *loop_base(struct loop *l);

/*
 * A timer is made once, and set and cleared often. It fires once, `ms` milliseconds after it was set
 * by the monotonic clock (0 or less: when the loop next turns); setting it again moves it. In its
 * callback it is not set, and may be set again.
 */
struct timer *timer_create_on(struct loop *l, void (*fn)(void *arg), void *arg);
void          timer_set(struct timer *t, int64_t ms);
void          timer_clear(struct timer *t);
bool          timer_is_set(const struct timer *t);
void          timer_destroy(struct timer *t); /* NULL is allowed */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/*
 * Level-triggered: `fn` comes, with what of it holds, for as long as it holds; an error or hangup counts
 * as whatever was asked for. Asks for nothing at first. The descriptor stays the caller's, who closes the
 * watch before it.
 */
struct watch *watch_open(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg);
void          watch_set(struct watch *w, unsigned what); /* WATCH_* bits; 0: nothing for now */
void          watch_close(struct watch *w);              /* NULL is allowed */

/*
 * A call when the running callbacks of this round have returned; asked twice before that, it comes
 * once. What one deferred call asks for comes in the next round, so two that keep asking do not keep the
 * sockets waiting. The caller fills in `fn` and `arg`, and keeps the object until the call or its cancel.
 */
struct deferred {
	struct link link;
	void (*fn)(void *arg);
	void *arg;
	bool  pending; /* the loop's own */
};
void loop_defer(struct loop *l, struct deferred *d);
void loop_defer_cancel(struct loop *l, struct deferred *d);

/* For the rest of the loop's life; fn runs as an ordinary callback, not in the handler. */
void loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

#endif
