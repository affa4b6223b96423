/* SPDX-License-Identifier: ISC */
/*
 * log - appends records in batches: one write and one sync for all who wait.
 *
 * While a batch is in the thread the next one gathers; there is no other
 * delay, but for states and ends, which wait for company: twice as long as a batch
 * takes, so that they keep no disk busy, and never over LATE_MS. A batch
 * that fails is never synced again: its messages are refused, and its states go
 * to a new segment with the same batch number, together with an end for each refused
 * message, which may well be on the disk all the same.
 */
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
	BATCH_BYTES = 8 * 1024 * 1024,
	ROOM_RETRY_MS = 1000,
	BROKEN_RETRY_MS = 30000,
	PAGE = 4096,
	ZERO_AHEAD = 1024 * 1024,
	ZERO_PIECE = 128 * 1024,
	SMALL_BATCH = 128 * 1024,
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
	if (!d->log.busy && !list_empty(&d->log.pending))
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

static void
encode(const struct disk *d, struct block *b, uint32_t at, uint32_t batch_off)
{
	const struct log     *l = &d->log;
	const struct segment *g = l->active;
	size_t                meta = (size_t)b->r.env_len + b->r.parts_len;
	uint32_t              body = record_inline(&b->r);

	b->off = at;
	b->r.seq = g->seq;
	b->r.batch = l->next_batch;
	b->r.batch_off = batch_off;
	b->r.meta_sum = meta == 0 ? 0 : record_sum(g->salt, b->data + RECORD_HEAD, meta);
	if ((b->r.flags & RECORD_BIG) == 0)
		b->r.body_sum =
			body == 0 ? 0 : record_sum(g->salt, b->data + RECORD_HEAD + meta, body);
	record_encode(b->data, &b->r, g->salt);
}

/* Move blocks from pending to running as far as they fit; the octets they take. */
static uint32_t
gather(struct disk *d)
{
	struct log  *l = &d->log;
	uint32_t     begin = l->active->used, at = begin;
	struct link *k;

	while ((k = list_first(&l->pending)) != NULL) {
		struct block *b = CONTAINER(k, struct block, link);

		/* The end of each segment is kept for its SEAL. */
		if ((uint64_t)at + b->span + RECORD_HEAD > l->active->size ||
		    (at > begin && at - begin + b->span > BATCH_BYTES))
			break;
		list_remove(&l->pending, k);
		list_push(&l->running, k);
		uncount(l, b);
		b->r.flags &= ~(unsigned)RECORD_LAST;
		encode(d, b, at, begin);
		at += b->span;
	}
	if (at > begin) {
		struct block *last = CONTAINER(l->running.head.prev, struct block, link);

		last->r.flags |= RECORD_LAST;
		encode(d, last, last->off, begin);
	}
	return at - begin;
}

/* The last record of a segment; it bears the number of the batch that did not fit. */
static void
add_seal(struct disk *d, struct segment *g)
{
	struct log   *l = &d->log;
	struct record r = {.type = RECORD_SEAL, .flags = RECORD_LAST, .seq = g->seq};
	struct step  *step;

	r.batch = l->next_batch;
	r.batch_off = g->used;
	record_encode(l->seal, &r, g->salt);
	l->seal_iov = (struct iovec){l->seal, sizeof l->seal};
	step = job_step(&l->job, STEP_WRITE, g->fd);
	step->at = g->used;
	step->iov = &l->seal_iov;
	step->n_iov = 1;
	job_step(&l->job, STEP_SYNC, g->fd);
	g->used += RECORD_HEAD;
	l->sealing = g;
}

/*
 * The spare becomes the active segment. False: there is none yet, or none to be had.
 */
static bool
switch_segment(struct disk *d)
{
	struct log *l = &d->log;

	if (l->spare == NULL) {
		if (l->making == NULL && !timer_is_set(l->retry))
			make_spare(d);
		return false;
	}
	if (l->active != NULL && !l->active->broken)
		add_seal(d, l->active);
	l->active = l->spare;
	l->active->first_batch = l->next_batch;
	l->spare = NULL;
	return true;
}

/*
 * How many zeros go behind a batch that ends at `end`. At least to the end of the
 * page, which the kernel would otherwise have to read first in a recycled file. And where the
 * blocks are allocated but were never written, each sync has to change the file system's
 * metadata, too, and takes half as long again: a small batch therefore writes a stretch
 * ahead, once for the many that follow. A large one would not get back what it costs.
 */
static uint32_t
zeros_behind(struct segment *g, uint32_t end, uint32_t bytes)
{
	uint32_t to = (end + PAGE - 1) / PAGE * PAGE;

	if (end > g->written && bytes <= SMALL_BATCH)
		to += ZERO_AHEAD;
	if (to > g->size)
		to = g->size;
	if (to > g->written)
		g->written = to;
	return to - end;
}

static void
add_write(struct disk *d, uint32_t bytes)
{
	struct log   *l = &d->log;
	uint32_t      zeros = zeros_behind(l->active, l->active->used + bytes, bytes);
	size_t        n_iov = l->running.n + zeros / ZERO_PIECE + 1;
	struct block *b;
	struct step  *step;
	unsigned      n = 0;

	if (l->iov_cap < n_iov) {
		l->iov_cap = (unsigned)n_iov + 16;
		l->iov = mem_resize(l->iov, l->iov_cap, sizeof *l->iov);
	}
	LIST_EACH(&l->running, b, struct block, link)
		l->iov[n++] = (struct iovec){b->data, b->span};
	for (uint32_t piece; zeros > 0; zeros -= piece) {
		piece = zeros < ZERO_PIECE ? zeros : ZERO_PIECE;
		l->iov[n++] = (struct iovec){l->zeros, piece};
	}
	step = job_step(&l->job, STEP_WRITE, segment_fd(&d->segments, l->active));
	step->at = l->active->used;
	step->iov = l->iov;
	step->n_iov = n;
	job_step(&l->job, STEP_SYNC, step->fd);
	l->active->used += bytes;
	l->active->last_batch = l->next_batch;
}

/* ---- the end of a batch ---- */

static void
sealed(struct disk *d)
{
	struct log *l = &d->log;

	segment_seal(&d->segments, l->sealing);
	hint_write(d, l->sealing, &l->hint);
	buf_free(&l->hint);
	l->sealing = NULL;
}

static void
succeeded(struct disk *d)
{
	struct log  *l = &d->log;
	struct link *k;

	if (l->sealing != NULL)
		sealed(d);
	l->failures = 0;
	l->next_batch++;
	d->n_commits++;
	while ((k = list_pop(&l->running)) != NULL) {
		struct block *b = CONTAINER(k, struct block, link);

		if (b->answered || !b->done(d, b, 0))
			free(b);
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
failed(struct disk *d, int error)
{
	struct log  *l = &d->log;
	struct list  again;
	struct link *k;

	list_init(&again);
	l->failures++;
	l->last_error = error;
	log_admit(d);
	log_error(ev("spool-write"), kv("segment", l->active != NULL ? l->active->seq : 0u),
	          kv("msg", strerror(error)));
	if (l->sealing != NULL) {
		l->sealing->broken = true;
		segment_seal(&d->segments, l->sealing);
		l->sealing = NULL;
	}
	if (l->active != NULL) {
		l->active->broken = true;
		segment_seal(&d->segments, l->active);
		l->active = NULL;
	}
	buf_free(&l->hint);
	while ((k = list_pop(&l->running)) != NULL) {
		struct block *b = CONTAINER(k, struct block, link);

		if (b->r.type == RECORD_MSG) {
			list_push(&again, &take_back(b->r.id)->link);
			refuse(d, b, error);
		} else {
			list_push(&again, k);
		}
	}
	if (l->failures >= 2)
		refuse_pending(d, error);
	/* In front of what has gathered meanwhile, in the old order. */
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

static void
finished(struct job *job)
{
	struct disk *d = job->arg;
	struct log  *l = &d->log;

	l->busy = false;
	l->late_ms = lateness(time_mono_us() - l->begun_us);
	for (unsigned i = 0; i < job->n_steps; i++)
		d->n_syncs += job->steps[i].kind == STEP_SYNC;
	if (job->error == 0)
		succeeded(d);
	else
		failed(d, job->error);
	log_update_state(d);
	put_room(d);
	if (l->failures < 2) {
		make_spare(d);
		if (l->pending_msgs > 0 || l->pending.n >= LATE_RECORDS || l->failures > 0 ||
		    d->closed != NULL)
			begin_soon(d);
		else if (l->pending.n > 0 && !timer_is_set(l->late))
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
	const struct block *b = CONTAINER(list_first(&l->pending), struct block, link);

	return l->active != NULL &&
	       (uint64_t)l->active->used + b->span + RECORD_HEAD <= l->active->size;
}

static void
log_begin(void *arg)
{
	struct disk *d = arg;
	struct log  *l = &d->log;
	uint32_t     bytes;

	if (l->busy || list_empty(&l->pending))
		return;
	job_clear(&l->job);
	if (!fits(l) && !switch_segment(d)) {
		if (l->no_spare) {
			refuse_pending(d, l->last_error);
			answer_early(d);
		}
		return;
	}
	timer_clear(l->late);
	bytes = gather(d);
	add_write(d, bytes);
	l->busy = true;
	l->begun_us = time_mono_us();
	l->job.done = finished;
	l->job.arg = d;
	commit_start(d->commit, &l->job);
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
	if (l->busy || l->failures >= 2)
		return;
	if (is_urgent(b) || l->pending.n >= LATE_RECORDS || d->closed != NULL)
		begin_soon(d);
	else if (!timer_is_set(l->late))
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

	return !l->busy && l->making == NULL && list_empty(&l->held) &&
	       (list_empty(&l->pending) || l->failures >= 2 || l->no_spare);
}

/* ---- birth and death ---- */

/* At the very end: the next start finds a whole segment with its hint. */
void
log_seal_now(struct disk *d)
{
	struct log *l = &d->log;

	if (l->busy || l->active == NULL || l->active->used == 0 || l->failures > 0)
		return;
	job_clear(&l->job);
	add_seal(d, l->active);
	l->active = NULL;
	l->busy = true;
	l->job.done = finished;
	l->job.arg = d;
	commit_start(d->commit, &l->job);
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
	list_init(&l->running);
	l->begin = (struct deferred){.fn = log_begin, .arg = d};
	l->late = timer_create_on(d->loop, late, d);
	l->late_ms = LATE_MS;
	l->retry = timer_create_on(d->loop, retry, d);
	l->hint = BUF(HINT_MAX);
	l->zeros = mem_zero(ZERO_PIECE);
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
	job_free(&l->job);
	job_free(&l->make_job);
	free(l->iov);
	free(l->zeros);
	buf_free(&l->hint);
}
