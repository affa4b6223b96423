/* SPDX-License-Identifier: ISC */
#include "queue/commit.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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
	bool             stop;
};

struct step *
job_step(struct job *job, enum step_kind kind, int fd)
{
	struct step *s;

	if (job->n_steps == job->cap) {
		job->cap = job->cap == 0 ? 4 : job->cap * 2;
		job->steps = mem_resize(job->steps, job->cap, sizeof *job->steps);
	}
	s = &job->steps[job->n_steps++];
	memset(s, 0, sizeof *s);
	s->kind = kind;
	s->fd = fd;
	return s;
}

void
job_clear(struct job *job)
{
	job->n_steps = 0;
	job->error = 0;
	job->failed = 0;
}

void
job_free(struct job *job)
{
	free(job->steps);
	job->steps = NULL;
	job->n_steps = job->cap = 0;
}

static int
write_all(const struct io *io, struct step *s)
{
	struct iovec *iov = s->iov;
	unsigned      left = s->n_iov;
	off_t         at = s->at;

	while (left > 0) {
		ssize_t n = io->write(s->fd, iov, (int)(left < IOV_MAX ? left : IOV_MAX), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		at += n;
		while (left > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			left--;
		}
		if (left > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int
run_step(const struct io *io, struct step *s)
{
	switch (s->kind) {
	case STEP_WRITE:
		return write_all(io, s);
	case STEP_SYNC:
		return io->sync(s->fd);
	case STEP_ALLOCATE:
		return io->allocate(s->fd, s->at);
	case STEP_RENAME:
		return io->rename(s->fd, s->from, s->to);
	case STEP_UNLINK:
		return io->unlink(s->fd, s->from);
	case STEP_SYNC_DIR:
		return io->sync_dir(s->fd);
	case STEP_SUM:
		return io_sum(io, s->fd, (uint64_t)s->at, &s->sum);
	case STEP_CLOSE:
		return close(s->fd);
	}
	return 0;
}

static void
run(const struct io *io, struct job *job)
{
	job->error = 0;
	for (unsigned i = 0; i < job->n_steps; i++) {
		if (run_step(io, &job->steps[i]) == 0 || job->steps[i].lenient)
			continue;
		job->error = errno != 0 ? errno : EIO;
		job->failed = i;
		return;
	}
}

/* A wake-up that is lost would be the last one; full is as good as woken. */
static void
wake(const struct commit *c)
{
	const uint64_t one = 1;

	while (write(c->wake, &one, sizeof one) < 0 && errno != EAGAIN)
		sched_yield();
}

static void *
work(void *arg)
{
	struct commit *c = arg;
	struct link   *k;
	bool           first;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while ((k = list_pop(&c->waiting)) == NULL && !c->stop)
			pthread_cond_wait(&c->more, &c->lock);
		if (k == NULL)
			break;
		pthread_mutex_unlock(&c->lock);
		run(c->io, CONTAINER(k, struct job, link));
		pthread_mutex_lock(&c->lock);
		list_push(&c->finished, k);
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

static void
collect(void *arg, unsigned what)
{
	struct commit *c = arg;
	uint64_t       count;

	(void)what;
	(void)!read(c->wake, &count, sizeof count);
	for (;;) {
		struct link *k;
		struct job  *job;

		pthread_mutex_lock(&c->lock);
		k = list_pop(&c->finished);
		pthread_mutex_unlock(&c->lock);
		if (k == NULL)
			return;
		job = CONTAINER(k, struct job, link);
		job->done(job);
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
		collect(c, 0);
	}
	watch_close(c->watch);
	close(c->wake);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->more);
	free(c);
}
