/* SPDX-License-Identifier: ISC */
/* disk_call - callbacks and events, which never come from inside a call. */
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"

enum { TICK_MAX_MS = 60 * 1000 }; /* the wall clock may be set meanwhile */

struct result_later {
	struct later      later;
	store_done_fn    *fn;
	void             *arg;
	enum store_result result;
};

struct change_later {
	struct later later;
	uint64_t     id;
	const char  *what;
	char         why[]; /* inside, because what is not said any more is freed as a whole */
};

void
disk_say(struct disk *d, struct later *l)
{
	list_push(&d->laters, &l->link);
	disk_speak_soon(d);
}

void
disk_settled(struct disk *d)
{
	struct link *k;

	while ((k = list_pop(&d->settling)) != NULL)
		disk_say(d, CONTAINER(k, struct later, link));
}

static void
say_result(struct disk *d, struct later *l)
{
	struct result_later *r = CONTAINER(l, struct result_later, later);
	struct result_later  copy = *r;

	(void)d;
	free(r);
	copy.fn(copy.arg, copy.result);
}

void
disk_say_result(struct disk *d, store_done_fn *fn, void *arg, enum store_result result)
{
	struct result_later *r;

	if (fn == NULL)
		return;
	r = mem_zero(sizeof *r);
	r->later.run = say_result;
	r->fn = fn;
	r->arg = arg;
	r->result = result;
	disk_say(d, &r->later);
}

static void
say_change(struct disk *d, struct later *l)
{
	struct change_later *c = CONTAINER(l, struct change_later, later);

	if (d->events->change != NULL)
		d->events->change(d->arg, c->id, c->what, str_of(c->why));
	free(c);
}

void
disk_say_change(struct disk *d, uint64_t id, const char *what, struct str why)
{
	struct change_later *c = mem_zero(sizeof *c + why.n + 1);

	c->later.run = say_change;
	c->id = id;
	c->what = what;
	if (why.n > 0)
		memcpy(c->why, why.p, why.n);
	disk_say(d, &c->later);
}

void
disk_speak_soon(struct disk *d)
{
	loop_defer(d->loop, &d->speak);
}

/* What a callback asks for while we speak is said in the next round, after the loop has turned. */
static void
speak(void *arg)
{
	struct disk *d = arg;
	struct link *k;

	if (d->closed != NULL)
		return;
	for (size_t n = d->laters.n; n > 0 && (k = list_pop(&d->laters)) != NULL; n--) {
		struct later *l = CONTAINER(k, struct later, link);

		l->run(d, l);
	}
	if (d->state_news) {
		d->state_news = false;
		if (d->events->state != NULL)
			d->events->state(d->arg, (enum store_state)d->state, d->state_why);
	}
	if (d->room_owed) {
		d->room_owed = false;
		if (d->events->room != NULL)
			d->events->room(d->arg);
	}
	for (size_t n = d->shelves.news.n; n > 0 && (k = list_pop(&d->shelves.news)) != NULL; n--)
		if (d->events->work != NULL)
			d->events->work(d->arg, shelf_name(CONTAINER(k, struct shelf, news)),
			                time_wall_ms());
	if (!list_empty(&d->laters) || !list_empty(&d->shelves.news))
		disk_speak_soon(d);
}

void
disk_set_tick(struct disk *d)
{
	struct heap_node *due = heap_min(&d->shelves.due), *claim = heap_min(&d->claims);
	int64_t           wait = TICK_MAX_MS, left;

	if (!list_empty(&d->shelves.news))
		disk_speak_soon(d);
	if ((due == NULL && claim == NULL) || d->closed != NULL) {
		timer_clear(d->tick);
		return;
	}
	if (due != NULL && (left = due->key - time_wall_ms()) < wait)
		wait = left;
	if (claim != NULL && (left = claim->key - time_mono_ms()) < wait)
		wait = left;
	timer_set(d->tick, wait < 0 ? 0 : wait);
}

static void
tick(void *arg)
{
	struct disk *d = arg;

	lease_expire(d);
	shelves_tick(&d->shelves, time_wall_ms());
	disk_set_tick(d);
}

void
disk_job_end(struct job *job)
{
	struct disk *d = job->arg;

	d->n_jobs--;
	job_free(job);
	free(job);
}

struct job *
disk_job(struct disk *d)
{
	struct job *job = mem_zero(sizeof *job);

	job->done = disk_job_end;
	job->arg = d;
	d->n_jobs++;
	return job;
}

void
disk_job_start(struct disk *d, struct job *job)
{
	commit_start(d->commit, job);
}

void
disk_start_calls(struct disk *d)
{
	list_init(&d->laters);
	list_init(&d->settling);
	d->speak = (struct deferred){.fn = speak, .arg = d};
	d->tick = timer_create_on(d->loop, tick, d);
}

void
disk_stop_calls(struct disk *d)
{
	struct link *k;

	timer_destroy(d->tick);
	disk_settled(d);
	loop_defer_cancel(d->loop, &d->speak);
	while ((k = list_pop(&d->laters)) != NULL)
		free(CONTAINER(k, struct later, link));
}
