/* SPDX-License-Identifier: ISC */
/*
 * loop - one event loop a process: timers, descriptors, deferred calls, signals.
 *
 * tests/fake has a second implementation of this header with virtual time.
 * Every start has a handle whose destroy cancels it; after that its callback
 * never comes. A callback never comes from inside the call that asked for it.
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

struct loop *loop_create(void);
void         loop_destroy(struct loop *l);
void         loop_run(struct loop *l);  /* until loop_stop() */
void         loop_stop(struct loop *l); /* after the running callback */

/* For lib/dns and lib/net only: unbound lives in the same base. */
struct event_base *loop_base(struct loop *l);

/* A timer is made once, and set and cleared often. Setting it again moves it. */
struct timer *timer_create_on(struct loop *l, void (*fn)(void *arg), void *arg);
void          timer_set(struct timer *t, int64_t ms);
void          timer_clear(struct timer *t);
bool          timer_is_set(const struct timer *t);
void          timer_destroy(struct timer *t); /* NULL is allowed */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/* Level-triggered. The descriptor stays the caller's. */
struct watch *watch_open(struct loop *l, int fd, void (*fn)(void *arg, unsigned what), void *arg);
void          watch_set(struct watch *w, unsigned what); /* WATCH_* bits; 0: nothing for now */
void          watch_close(struct watch *w);              /* NULL is allowed */

/* A call when the running callback has returned; asked twice before that, it comes once. */
struct deferred {
	struct link link;
	void (*fn)(void *arg);
	void *arg;
	bool  pending;
};
void loop_defer(struct loop *l, struct deferred *d);
void loop_defer_cancel(struct loop *l, struct deferred *d);

/* For the rest of the loop's life; fn runs as an ordinary callback, not in the handler. */
void loop_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

#endif
