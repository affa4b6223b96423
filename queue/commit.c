/* SPDX-License-Identifier: ISC */
#include "queue/commit.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/mem.h"

enum { THREAD_STACK = 256 * 1024 };

struct commit {
	const struct io *io;
	struct watch    *watch;
	int              wake;
	bool             started;
	pthread_t        thread;
	pthread_mutex_t  lock; /* guards what follows */
	pthread_cond_t   more;
	struct list      waiting, finished;
	bool             failed; /* a job did, and nobody has been told yet */
	bool             stop;
};

/* A wake-up that is lost would be the last one; full is as good as woken. */
static void
wake(const struct commit *c)
{
	const uint64_t one = 1;

	while (write(c->wake, &one, sizeof one) < 0 && errno != EAGAIN)
		sched_yield();
}

/* The next job, waiting for one; NULL: there will be none. With the lock held. */
static struct job *
next_job(struct commit *c)
{
	while (!c->stop && (c->failed || list_empty(&c->waiting)))
		pthread_cond_wait(&c->more, &c->lock);
	return c->failed || list_empty(&c->waiting)
	               ? NULL
	               : CONTAINER(list_pop(&c->waiting), struct job, link);
}

static void *
work(void *arg)
{
	struct commit *c = arg;
	struct job    *job;
	bool           first;

	pthread_mutex_lock(&c->lock);
	while ((job = next_job(c)) != NULL) {
		pthread_mutex_unlock(&c->lock);
		job_run(job, c->io);
		pthread_mutex_lock(&c->lock);
		c->failed = job->error != 0;
		list_push(&c->finished, &job->link);
		/* The loop empties the list whole, so one wake-up is enough for several. */
		first = c->finished.n == 1;
		pthread_mutex_unlock(&c->lock);
		if (first)
			wake(c);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static struct job *
pop_finished(struct commit *c)
{
	struct link *k;

	pthread_mutex_lock(&c->lock);
	k = list_pop(&c->finished);
	pthread_mutex_unlock(&c->lock);
	return k == NULL ? NULL : CONTAINER(k, struct job, link);
}

/* What waited for the failed job to be told, and was not withdrawn, goes on. */
static void
go_on(struct commit *c)
{
	pthread_mutex_lock(&c->lock);
	c->failed = false;
	pthread_mutex_unlock(&c->lock);
	pthread_cond_signal(&c->more);
}

static void
collect(void *arg, unsigned what)
{
	struct commit *c = arg;
	struct job    *job;
	uint64_t       count;

	(void)what;
	(void)!read(c->wake, &count, sizeof count);
	while ((job = pop_finished(c)) != NULL) {
		bool failed = job->error != 0;

		job->done(job);
		if (failed)
			go_on(c);
	}
}

struct commit *
commit_create(struct loop *l, const struct io *io)
{
	struct commit *c = mem_zero(sizeof *c);

	c->io = io;
	list_init(&c->waiting);
	list_init(&c->finished);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(c->wake >= 0);
	c->watch = watch_open(l, c->wake, collect, c);
	watch_set(c->watch, WATCH_READ);
	return c;
}

/* Signals are for the loop: the thread is born with all of them blocked. */
static void
start_thread(struct commit *c)
{
	sigset_t       all, before;
	pthread_attr_t attr;
	int            error;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	error = pthread_create(&c->thread, &attr, work, c);
	assert(error == 0);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->started = true;
}

void
commit_start(struct commit *c, struct job *job)
{
	if (!c->started)
		start_thread(c);
	pthread_mutex_lock(&c->lock);
	list_push(&c->waiting, &job->link);
	pthread_mutex_unlock(&c->lock);
	pthread_cond_signal(&c->more); /* unlocked: else it wakes only to wait for the lock */
}

bool
commit_withdraw(struct commit *c, struct job *job)
{
	bool waits = false;

	pthread_mutex_lock(&c->lock);
	for (struct link *k = list_first(&c->waiting); k != NULL && !waits;
	     k = list_next(&c->waiting, k))
		waits = k == &job->link;
	if (waits)
		list_remove(&c->waiting, &job->link);
	pthread_mutex_unlock(&c->lock);
	return waits;
}

/* The thread has ended, with jobs behind one that failed perhaps: who started them hears of that first. */
static void
finish(struct commit *c)
{
	struct link *k;

	collect(c, 0);
	while ((k = list_pop(&c->waiting)) != NULL) {
		struct job *job = CONTAINER(k, struct job, link);

		job_run(job, c->io);
		job->done(job);
	}
}

void
commit_destroy(struct commit *c)
{
	if (c == NULL)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_cond_signal(&c->more);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
		finish(c);
	}
	watch_close(c->watch);
	close(c->wake);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->more);
	free(c);
}
