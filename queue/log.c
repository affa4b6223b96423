/* SPDX-License-Identifier: ISC */
/*
 * log - appends records in batches: one write and one sync for all who wait.
 *
 * While a batch is in the thread the next one gathers; there is no other
 * delay, but for states and ends, which wait for company: twice as long as a batch
 * takes, so that they keep no disk busy, and never over LATE_MS. While batches are small
 * the next one lies ready for the thread all the time, and is taken back for each
 * message that joins it: else the disk would rest until two processes had
 * woken each other. Large ones gain more by the company that comes meanwhile. A batch
 * that fails is never synced again: its messages are refused, and its states go
 * to a new segment with the same batch number, together with an end for each refused
 * message, which may well be on the disk all the same.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"

enum {
	LATE_MS = 50,
	LATE_MIN_MS = 2,
	LATE_BATCHES = 2,
	LATE_RECORDS = 100,
	LOOK_MS = 20,
	ROOM_RETRY_MS = 1000,
	BROKEN_RETRY_MS = 30000,
	FEW_BLOCKS = 8,
	HINT_MAX = 16 * 1024 *
	           1024, /* a segment with more gets no hint: it is read whole at the next start */
};

struct block *
block_create(enum record_type type, uint64_t id, size_t env, size_t parts, size_t body)
{
	struct record r = {.type = type, .id = id};
	struct block *b;
	size_t        used = RECORD_HEAD + env + parts + body, span;

	r.env_len = (uint32_t)env;
	r.parts_len = (uint32_t)parts;
	r.body_len = (uint32_t)body;
	span = (size_t)record_span(&r);
	b = malloc(sizeof *b + span);
	if (b == NULL)
		abort();
	memset(b, 0, sizeof *b);
	memset(b->data + used, 0, span - used);
	b->r = r;
	b->span = (uint32_t)span;
	return b;
}

void
block_unref_warm(struct disk *d, struct msg *m)
{
	struct block *b = m->warm;

	if (b == NULL)
		return;
	m->warm = NULL;
	list_remove(&d->warm, &b->warm);
	d->warm_bytes -= b->span;
	free(b);
}

/* ---- what the caller is told of the log's health ---- */

/* Segments are allocated before use, so what a batch writes changes nothing here. */
static uint64_t
free_bytes(const struct disk *d)
{
	struct statvfs st;

	return fstatvfs(d->dirfd, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

/* Asked at most every LOOK_MS while all is well: it comes after each batch. */
static bool
is_low(struct disk *d)
{
	int64_t now = time_mono_ms();

	if (d->state == STORE_OPEN && now - d->log.looked_ms < LOOK_MS)
		return false;
	d->log.looked_ms = now;
	return free_bytes(d) < d->conf.floor_bytes;
}

void
log_update_state(struct disk *d)
{
	struct log *l = &d->log;
	int         state = STORE_OPEN;
	char        why[sizeof d->state_why] = "";

	if (l->failures >= 2 || l->no_spare) {
		bool full = l->last_error == ENOSPC || l->last_error == EDQUOT;

		state = full ? STORE_NO_ROOM : STORE_BROKEN;
		snprintf(why, sizeof why,
		         full ? "the spool's file system is full" : "cannot write to the spool: %s",
		         strerror(l->last_error));
	} else if (l->spare == NULL && d->state < 0) {
		return; /* the first segments are being made */
	} else if (is_low(d)) {
		state = STORE_NO_ROOM;
		snprintf(why, sizeof why, "less than %llu MiB are free on the spool's file system",
		         (unsigned long long)(d->conf.floor_bytes >> 20));
	}
	if (state != STORE_OPEN && !timer_is_set(l->retry) && d->closed == NULL)
		timer_set(l->retry, state == STORE_BROKEN ? BROKEN_RETRY_MS : ROOM_RETRY_MS);
	if (state == d->state)
		return;
	d->state = state;
	memcpy(d->state_why, why, sizeof why);
	d->state_news = true;
	disk_speak_soon(d);
}

/* ---- segments ---- */

static void begin_soon(struct disk *d);

static void
spare_made(struct job *job)
{
	struct disk    *d = job->arg;
	struct log     *l = &d->log;
	struct segment *g = l->making;

	l->making = NULL;
	l->no_spare = !segment_made(&d->segments, g, job);
	if (!l->no_spare)
		l->spare = g;
	else
		l->last_error = job->error;
	log_update_state(d);
	begin_soon(d);
	if (l->no_spare)
		reclaim_check(d);
}

static void
make_spare(struct disk *d)
{
	struct log *l = &d->log;

	if (l->spare != NULL || l->making != NULL || d->closed != NULL)
		return;
	job_clear(&l->make_job);
	l->make_job.done = spare_made;
	l->make_job.arg = d;
	l->making = segment_make(&d->segments, &l->make_job);
	commit_start(d->commit, &l->make_job);
}

/* Full or broken: look again whether it still is. Files kept for later are given back before mail is refused for long. */
static void
retry(void *arg)
{
	struct disk *d = arg;

	if (free_bytes(d) < d->conf.floor_bytes) {
		struct job *job = disk_job(d);

		segments_trim(&d->segments, job);
		disk_job_start(d, job);
	}
	if (list_empty(&d->log.pending) && d->log.failures > 1)
		d->log.failures = 1; /* nothing to try with but new mail */
	make_spare(d);
	log_update_state(d);
	begin_soon(d);
}

/* ---- a batch ---- */

static void
begin_soon(struct disk *d)
{
	if (!list_empty(&d->log.pending))
		loop_defer(d->loop, &d->log.begin);
}

static bool
is_urgent(const struct block *b)
{
	return b->r.type == RECORD_MSG || b->r.type == RECORD_MOVE;
}

static void
count(struct log *l, const struct block *b)
{
	l->pending_msgs += is_urgent(b) ? 1u : 0u;
	l->pending_bytes += b->span;
}

static void
uncount(struct log *l, const struct block *b)
{
	l->pending_msgs -= is_urgent(b) ? 1u : 0u;
	l->pending_bytes -= b->span;
}

/*
 * The spare becomes the active segment. False: there is none yet, or none to be had.
 */
static bool
switch_segment(struct disk *d, struct batch *b)
{
	struct log *l = &d->log;

	if (l->spare == NULL) {
		if (l->making == NULL && !timer_is_set(l->retry))
			make_spare(d);
		return false;
	}
	if (l->active != NULL && !l->active->broken)
		batch_seal(b, l->active);
	l->active = l->spare;
	l->active->first_batch = l->next_batch;
	l->spare = NULL;
	return true;
}

/* What the batch took is not pending any more, or is again. */
static void
fill(struct disk *d, struct batch *b)
{
	struct log   *l = &d->log;
	struct block *block;

	batch_fill(b, &l->pending, l->active, segment_fd(&d->segments, l->active), l->zeros);
	LIST_EACH(&b->blocks, block, struct block, link)
		uncount(l, block);
}

static void
undo(struct disk *d, struct batch *b)
{
	struct log   *l = &d->log;
	struct block *block;

	LIST_EACH(&b->blocks, block, struct block, link)
		count(l, block);
	batch_undo(b, &l->pending);
	l->next_batch = b->number;
}

/* The one that is not in use. */
static struct batch *
spare_batch(struct log *l)
{
	struct batch *b = &l->batches[l->running == &l->batches[0]];

	batch_clear(b, l->next_batch);
	return b;
}

/* ---- the end of a batch ---- */

static void
sealed(struct disk *d, struct segment *g)
{
	struct log *l = &d->log;

	segment_seal(&d->segments, g);
	hint_write(d, g, &l->hint);
	buf_free(&l->hint);
}

static void
succeeded(struct disk *d, struct batch *b)
{
	struct link *k;

	if (b->sealing != NULL)
		sealed(d, b->sealing);
	d->log.failures = 0;
	d->n_commits++;
	while ((k = list_pop(&b->blocks)) != NULL) {
		struct block *block = CONTAINER(k, struct block, link);

		if (block->answered || !block->done(d, block, 0))
			free(block);
	}
}

static bool
taken_back(struct disk *d, struct block *b, int error)
{
	struct found f = {.type = RECORD_DONE, .id = b->r.id};

	(void)error;
	hint_add(&d->log.hint, &f);
	return false;
}

static void
refuse(struct disk *d, struct block *b, int error)
{
	if (!b->done(d, b, error))
		free(b);
}

/* What was refused may be on the disk: an end in the next segment takes it back. */
static struct block *
take_back(uint64_t id)
{
	struct block *end = block_create(RECORD_DONE, id, 0, 0, 0);

	end->done = taken_back;
	return end;
}

/* Nobody knows when there will be a segment again: who still waits is told now. With reports nobody waits. */
static void
refuse_pending(struct disk *d, int error)
{
	struct log   *l = &d->log;
	struct block *b;

	LIST_EACH(&l->pending, b, struct block, link) {
		if (b->r.type != RECORD_MSG ||
		    (l->no_spare && (b->r.flags & RECORD_DERIVED) != 0))
			continue;
		list_remove(&l->pending, &b->link);
		uncount(l, b);
		refuse(d, b, error);
	}
}

static void
give_up_segment(struct disk *d, struct segment *g)
{
	if (g == NULL)
		return;
	g->broken = true;
	segment_seal(&d->segments, g);
}

/* Its messages are refused; `again` gets what must be written elsewhere, in the old order. */
static void
refuse_batch(struct disk *d, struct batch *b, struct list *again)
{
	struct link *k;

	while ((k = list_pop(&b->blocks)) != NULL) {
		struct block *block = CONTAINER(k, struct block, link);

		if (block->r.type == RECORD_MSG) {
			list_push(again, &take_back(block->r.id)->link);
			refuse(d, block, d->log.last_error);
		} else {
			list_push(again, k);
		}
	}
}

/* What lay ready behind it has not been begun (commit.h): it waits like all that has gathered meanwhile. */
static void
failed(struct disk *d, struct batch *b, int error)
{
	struct log  *l = &d->log;
	struct list  again;
	struct link *k;

	if (l->next != NULL) {
		bool in_time = commit_withdraw(d->commit, &l->next->job);

		assert(in_time);
		undo(d, l->next);
		l->next = NULL;
	}
	list_init(&again);
	l->next_batch = b->number;
	l->failures++;
	l->last_error = error;
	log_admit(d);
	log_error(ev("spool-write"), kv("segment", l->active != NULL ? l->active->seq : 0u),
	          kv("msg", strerror(error)));
	give_up_segment(d, b->sealing);
	give_up_segment(d, l->active);
	l->active = NULL;
	buf_free(&l->hint);
	refuse_batch(d, b, &again);
	if (l->failures >= 2)
		refuse_pending(d, error);
	/* In front of what has gathered meanwhile. */
	while (again.n > 0) {
		k = again.head.prev;
		list_remove(&again, k);
		list_push_front(&l->pending, k);
		count(l, CONTAINER(k, struct block, link));
	}
}

/* The longer a batch takes, the longer a state waits for one. */
static int64_t
lateness(int64_t batch_us)
{
	int64_t ms = LATE_BATCHES * batch_us / 1000;

	return ms < LATE_MIN_MS ? LATE_MIN_MS : ms < LATE_MS ? ms : LATE_MS;
}

/* Is there something that waits for a batch and not for company? */
static bool
is_wanted(const struct disk *d)
{
	const struct log *l = &d->log;

	return l->pending_msgs > 0 || l->pending.n >= LATE_RECORDS || l->failures > 0 ||
	       d->closed != NULL;
}

/* The one that ended makes room for the next, which the thread has perhaps begun already. */
static void
advance(struct log *l)
{
	int64_t now = time_mono_us();

	l->late_ms = lateness(now - l->running->begun_us);
	l->running = l->next;
	l->next = NULL;
	if (l->running != NULL)
		l->running->begun_us = now;
}

static void
finished(struct job *job)
{
	struct disk  *d = job->arg;
	struct log   *l = &d->log;
	struct batch *b = l->running;

	for (unsigned i = 0; i < job->n_steps; i++)
		d->n_syncs += job->steps[i].kind == STEP_SYNC;
	if (job->error == 0)
		succeeded(d, b);
	else
		failed(d, b, job->error);
	advance(l);
	log_update_state(d);
	put_room(d);
	if (l->failures < 2) {
		make_spare(d);
		if (is_wanted(d))
			begin_soon(d);
		else if (l->pending.n > 0 && l->running == NULL && !timer_is_set(l->late))
			timer_set(l->late, l->late_ms);
	}
	reclaim_check(d);
	disk_set_tick(d);
}

/*
 * No room for ends, and none until a segment dies, which needs those very ends.
 * Removing a segment whose messages are all finished is as good as writing that
 * down, so the ends count as told now, and are written when there is room. Moves
 * would hold such a segment back: they are given up.
 */
static void
answer_early(struct disk *d)
{
	struct block *b;

	LIST_EACH(&d->log.pending, b, struct block, link) {
		if (b->r.type == RECORD_MOVE) {
			list_remove(&d->log.pending, &b->link);
			uncount(&d->log, b);
			reclaim_give_up(d, b);
			continue;
		}
		if (b->r.type != RECORD_DONE || b->answered)
			continue;
		b->answered = true;
		(void)b->done(d, b, 0);
	}
}

static bool
fits(const struct log *l)
{
	return l->active != NULL &&
	       batch_fits(l->active, CONTAINER(list_first(&l->pending), struct block, link));
}

static void
start(struct disk *d, struct batch *b)
{
	d->log.next_batch++;
	b->begun_us = time_mono_us();
	b->job.done = finished;
	b->job.arg = d;
	commit_start(d->commit, &b->job);
}

/*
 * A small batch runs: what waits lies ready behind it. It may be there already, and the
 * thread may have begun it.
 */
static void
follow(struct disk *d)
{
	struct log *l = &d->log;
	size_t      gathered = l->pending.n + (l->next != NULL ? l->next->blocks.n : 0);

	if (l->running->blocks.n > FEW_BLOCKS || l->failures > 0 || !is_wanted(d))
		return;
	if (l->next != NULL) {
		if (!commit_withdraw(d->commit, &l->next->job))
			return;
		undo(d, l->next);
		l->next = NULL;
	}
	if (gathered > FEW_BLOCKS || !fits(l))
		return;
	timer_clear(l->late);
	l->next = spare_batch(l);
	fill(d, l->next);
	start(d, l->next);
}

static void
log_begin(void *arg)
{
	struct disk  *d = arg;
	struct log   *l = &d->log;
	struct batch *b;

	if (list_empty(&l->pending))
		return;
	if (l->running != NULL) {
		follow(d);
		return;
	}
	b = spare_batch(l);
	if (!fits(l) && !switch_segment(d, b)) {
		if (l->no_spare) {
			refuse_pending(d, l->last_error);
			answer_early(d);
		}
		return;
	}
	timer_clear(l->late);
	fill(d, b);
	l->running = b;
	start(d, b);
}

/* A report is the end of old mail: it helps to make room. */
static bool
must_wait(const struct disk *d, const struct block *b)
{
	return b->r.type == RECORD_MSG && (b->r.flags & RECORD_DERIVED) == 0 &&
	       reclaim_is_behind(d);
}

void
log_admit(struct disk *d)
{
	struct log  *l = &d->log;
	struct link *k;

	if (list_empty(&l->held) || reclaim_is_behind(d))
		return;
	l->held_bytes = 0;
	while ((k = list_pop(&l->held)) != NULL) {
		list_push(&l->pending, k);
		count(l, CONTAINER(k, struct block, link));
	}
	begin_soon(d);
}

void
log_add(struct disk *d, struct block *b)
{
	struct log *l = &d->log;

	if (must_wait(d, b)) {
		list_push(&l->held, &b->link);
		l->held_bytes += b->span;
		return;
	}
	list_push(&l->pending, &b->link);
	count(l, b);
	if (l->failures >= 2)
		return;
	if (is_urgent(b) || l->pending.n >= LATE_RECORDS || d->closed != NULL)
		begin_soon(d);
	else if (l->running == NULL && !timer_is_set(l->late))
		timer_set(l->late, l->late_ms);
}

void
log_flush(struct disk *d)
{
	log_admit(d);
	begin_soon(d);
}

bool
log_idle(const struct disk *d)
{
	const struct log *l = &d->log;

	return l->running == NULL && l->making == NULL && list_empty(&l->held) &&
	       (list_empty(&l->pending) || l->failures >= 2 || l->no_spare);
}

/* ---- birth and death ---- */

/* At the very end: the next start finds a whole segment with its hint. */
void
log_seal_now(struct disk *d)
{
	struct log *l = &d->log;

	if (l->running != NULL || l->active == NULL || l->active->used == 0 || l->failures > 0)
		return;
	l->running = spare_batch(l);
	batch_seal(l->running, l->active);
	l->active = NULL;
	start(d, l->running);
}

static void
late(void *arg)
{
	begin_soon(arg);
}

void
log_open(struct disk *d)
{
	struct log *l = &d->log;

	list_init(&l->pending);
	list_init(&l->held);
	for (size_t i = 0; i < ARRAY_LEN(l->batches); i++)
		batch_init(&l->batches[i]);
	l->begin = (struct deferred){.fn = log_begin, .arg = d};
	l->late = timer_create_on(d->loop, late, d);
	l->late_ms = LATE_MS;
	l->retry = timer_create_on(d->loop, retry, d);
	l->hint = BUF(HINT_MAX);
	l->zeros = mem_zero(BATCH_ZEROS);
	make_spare(d);
}

void
log_close(struct disk *d)
{
	struct log  *l = &d->log;
	struct link *k;

	loop_defer_cancel(d->loop, &l->begin);
	timer_destroy(l->late);
	timer_destroy(l->retry);
	while ((k = list_pop(&l->pending)) != NULL || (k = list_pop(&l->held)) != NULL)
		free(CONTAINER(k, struct block, link));
	for (size_t i = 0; i < ARRAY_LEN(l->batches); i++)
		batch_free(&l->batches[i]);
	job_free(&l->make_job);
	free(l->zeros);
	buf_free(&l->hint);
}
