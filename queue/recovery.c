/* SPDX-License-Identifier: ISC */
/*
 * recovery - from the files of a spool back to the index.
 *
 * Batches are numbered without gaps over the whole log, and each record says
 * where its batch begins and which one ends it. So a hole can be judged: one inside
 * the newest batch was never acknowledged and is passed over (its whole records are
 * kept: mail that came though nobody was told is better than mail lost). Any other
 * is damage to mail we answered for, and is reported, never passed over in silence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "queue/part.h"
#include "queue/scan.h"

enum { ENVELOPE_LOOK = 4096 };

static void
report_hole(struct scan *s, uint32_t from, uint32_t to)
{
	s->damages++;
	log_error(ev("spool-damage"), kv("segment", s->g->seq), kv("at", from),
	          kv("bytes", to - from),
	          kv("msg", "this part of the queue cannot be read: mail in it may be lost"));
}

static void
measure(struct disk *d, struct scan *s)
{
	struct segment *g = s->g;
	uint32_t        loss = scan_loss_begin(s);
	uint64_t        before = d->log.next_batch - 1;

	for (size_t i = 0; i < s->n_holes; i++)
		if (s->holes[i].from < loss)
			report_hole(s, s->holes[i].from, s->holes[i].to);
	for (size_t i = 0; i < s->n_seen; i++) {
		const struct sight *v = &s->seen[i];

		if (!scan_counts(s, v))
			continue;
		if (g->first_batch == 0 || v->r.batch < g->first_batch)
			g->first_batch = v->r.batch;
		if (v->r.batch > g->last_batch)
			g->last_batch = v->r.batch;
		s->end = v->at + (uint32_t)record_span(&v->r);
	}
	/* Numbers that nobody has, between segments or between two batches of this one. */
	for (size_t i = 0; i < s->n_seen; i++) {
		if (!scan_counts(s, &s->seen[i]))
			continue;
		if (before != 0 && s->seen[i].r.batch > before + 1 && s->n_holes == 0)
			report_hole(s, s->seen[i].at, s->seen[i].at);
		before = s->seen[i].r.batch;
	}
}

/* ---- what a record means ---- */

uint32_t
envelope_accepted_s(struct str envelope)
{
	struct str key = STR("accepted-ms: "), line;
	uint64_t   ms;

	for (envelope = str_sub(envelope, 0, ENVELOPE_LOOK); str_cut(&envelope, '\n', &line);)
		if (str_starts(line, key) && str_number(str_skip(line, key.n), INT64_MAX, &ms))
			return (uint32_t)(ms / 1000);
	return 0;
}

static void
set_part(struct disk *d, struct part *p, const struct found_part *f)
{
	d->index.n_rcpts += f->n_rcpts;
	d->index.n_rcpts -= p->n_rcpts;
	p->n_rcpts = f->n_rcpts;
	p->tries = f->tries;
	p->flags = f->noticed ? PART_NOTICED : 0;
	if (f->state == PART_DONE) {
		p->where = AT_DONE;
		part_msg(p)->n_left--;
	} else if (f->state == PART_HOLD || (part_msg(p)->flags & MSG_DAMAGED) != 0) {
		part_hold(d, p);
	} else {
		p->where = AT_NONE;
		p->due.key = f->due_ms;
	}
}

struct shelving {
	struct disk *d;
	int64_t      now_ms;
};

/* Once for each part, when the last record of all has been read: most had a state before that one. */
static void
shelve(void *arg, void *msg)
{
	struct shelving *s = arg;
	struct msg      *m = msg;

	for (uint32_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].where == AT_NONE)
			shelf_put(&s->d->shelves, &m->parts[i], m->parts[i].due.key, s->now_ms);
}

/* All that is known of a message whose lines are bad is its id: it stays, on hold, to be seen. */
static void
replay_message(struct disk *d, struct segment *g, const struct found *f)
{
	static const struct found_part lost = {
		.lane = {"unknown", 7}, .n_rcpts = 1, .state = PART_HOLD};
	const struct found_part       *parts = f->n_parts > 0 ? f->parts : &lost;
	struct msg                    *m = index_find(&d->index, f->id);

	if (m != NULL) {
		m->flags &= ~(uint32_t)MSG_DERIVED;
		msg_forget(d, m);
	}
	m = index_add(&d->index, f->id, f->n_parts > 0 ? f->n_parts : 1);
	m->meta_len = f->meta_len;
	m->size = f->size;
	m->accepted_s = f->accepted_s;
	m->flags = ((f->flags & RECORD_BIG) != 0 ? MSG_BIG : 0u) |
	           ((f->flags & RECORD_DERIVED) != 0 ? MSG_DERIVED : 0u) |
	           ((f->flags & RECORD_DAMAGED) != 0 ? MSG_DAMAGED : 0u) |
	           (f->type == RECORD_MOVE ? MSG_MOVED : 0u);
	d->index.n_damaged += (f->flags & RECORD_DAMAGED) != 0;
	msg_place(d, m, g, f->off);
	for (uint32_t i = 0; i < m->n_parts; i++) {
		part_set_lane(d, &m->parts[i], parts[i].lane);
		set_part(d, &m->parts[i], &parts[i]);
	}
}

static void
replay_state(struct disk *d, struct segment *g, const struct found *f)
{
	struct msg  *m = index_find(&d->index, f->id);
	struct part *p;

	if (m == NULL || f->part >= m->n_parts || f->n_parts != 1)
		return;
	p = &m->parts[f->part];
	if (p->where == AT_DONE)
		return;
	part_unlist(d, p);
	p->state_seq = g->seq;
	p->state_off = f->off;
	set_part(d, p, &f->parts[0]);
	if (m->n_left == 0)
		msg_forget(d, m);
}

void
recovery_replay(struct disk *d, struct segment *g, const struct found *f)
{
	struct msg *m;

	switch (f->type) {
	case RECORD_MSG:
	case RECORD_MOVE:
		replay_message(d, g, f);
		break;
	case RECORD_STATE:
		replay_state(d, g, f);
		break;
	case RECORD_DONE:
		if ((m = index_find(&d->index, f->id)) != NULL)
			msg_forget(d, m);
		break;
	case RECORD_SEAL:
		break;
	}
}

static void
read_parts(struct str text, struct found *f)
{
	struct part_text p;
	size_t           cap = 0;

	while (part_parse(&text, &p)) {
		if (f->n_parts == cap) {
			cap = cap == 0 ? 1 : cap * 2;
			f->parts = mem_resize(f->parts, cap, sizeof *f->parts);
		}
		f->part = p.no;
		f->parts[f->n_parts++] = (struct found_part){
			.lane = p.lane,
			.n_rcpts = (uint32_t)part_waiting(&p),
			.due_ms = p.due_ms,
			.tries = (uint16_t)p.tries,
			.state = (uint8_t)p.state,
			.noticed = p.noticed,
		};
		part_free(&p);
	}
}

static void
replay_damaged(struct disk *d, struct scan *s, const struct sight *v, struct found *f)
{
	struct buf id = BUF(ID_TEXT + 1);

	s->damages++;
	id_format(&id, v->r.id);
	log_error(ev("damaged"), kv("id", buf_str(&id)), kv("segment", s->g->seq), kv("at", v->at),
	          kv("msg", v->verdict == RECORD_BAD_META ? "its envelope is not what was written"
	                                                  : "its body is not what was written"));
	buf_free(&id);
	if (v->r.type != RECORD_MSG && v->r.type != RECORD_MOVE)
		return; /* a lost state: the older one stands, at worst a recipient gets the mail twice */
	f->flags |= RECORD_DAMAGED;
	hint_add(&s->hint, f);
	recovery_replay(d, s->g, f);
}

static void
replay_sight(struct disk *d, struct scan *s, const struct sight *v)
{
	struct str   envelope = {(const char *)s->data + v->at + RECORD_HEAD, v->r.env_len};
	struct str   parts = {envelope.p + envelope.n, v->r.parts_len};
	struct msg  *m = index_find(&d->index, v->r.id);
	struct found f = {
		.type = v->r.type,
		.flags = v->r.flags,
		.id = v->r.id,
		.off = v->at,
		.meta_len = v->r.env_len + v->r.parts_len,
		.size = v->r.body_len,
	};

	if (v->verdict != RECORD_BAD_META) {
		f.accepted_s = envelope_accepted_s(envelope);
		read_parts(parts, &f);
	}
	if (v->r.type == RECORD_DONE && m != NULL && (m->flags & MSG_MOVED) == 0)
		f.origin = m->seq;
	if (v->verdict != RECORD_GOOD && v->r.batch != s->torn) {
		replay_damaged(d, s, v, &f);
	} else if (v->verdict == RECORD_GOOD) {
		hint_add(&s->hint, &f);
		recovery_replay(d, s->g, &f);
	}
	free(f.parts);
}

/* ---- the whole log ---- */

/* The end of the log is made firm, so that what is behind it can never be judged again. */
static void
write_seal(struct disk *d, struct scan *s)
{
	struct segment *g = s->g;
	struct record   r = {.type = RECORD_SEAL, .flags = RECORD_LAST, .seq = g->seq};
	uint8_t         octets[RECORD_HEAD];
	struct iovec    iov = {octets, sizeof octets};
	int             fd = segment_fd(&d->segments, g);

	r.batch = g->last_batch + 1;
	r.batch_off = s->end;
	r.id = s->torn;
	record_encode(octets, &r, g->salt);
	if (fd < 0 || d->io->write(fd, &iov, 1, s->end) != (ssize_t)sizeof octets ||
	    d->io->sync(fd) != 0)
		log_error(ev("spool-write"), kv("segment", g->seq), kv("msg", strerror(errno)));
}

/* Segments are made whole, of so many mebibytes; one that is not was cut, but for one that was just being made. */
static bool
is_cut(struct disk *d, struct segment *g)
{
	char name[NAME_MAX_SPOOL];

	if (g->size % SEGMENT_MIN == 0 && g->size > 0)
		return false;
	segment_hint_name(name, g);
	return segment_first_batch(d, g) != 0 || faccessat(d->dirfd, name, F_OK, 0) == 0;
}

/* While this segment is judged the disk may bring the next one. */
static void
read_ahead(struct disk *d, struct segment *next)
{
	int fd = next == NULL ? -1 : segment_fd(&d->segments, next);

	if (fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
}

static void
read_segment(struct disk *d, struct segment *g, struct segment *next, uint8_t *data)
{
	struct scan s = {.g = g, .data = data, .hint = BUF(64 * 1024 * 1024)};

	read_ahead(d, next);
	scan_look(d, &s);
	scan_set_limit(&s, segment_first_batch(d, next));
	measure(d, &s);
	if (is_cut(d, g))
		report_hole(&s, g->size, g->size);
	if (s.torn != 0 && !s.sealed)
		log_warn(
			ev("spool-torn"), kv("segment", g->seq),
			kv("msg",
		           "the last batch was cut short: what is missing of it was never acknowledged"));
	for (size_t i = 0; i < s.n_seen; i++)
		if (scan_counts(&s, &s.seen[i]))
			replay_sight(d, &s, &s.seen[i]);
	g->used = s.end;
	if (g->unread) {
		/* What the disk did not give back may be mail: neither end, nor hint, nor another use. */
		g->n_live++;
		segment_seal(&d->segments, g);
	} else if (d->commit != NULL && s.n_seen > 0) {
		if (!s.sealed && next == NULL)
			write_seal(d, &s);
		g->used = s.end + RECORD_HEAD;
		segment_seal(&d->segments, g);
		hint_write(d, g, &s.hint);
	}
	d->damages += s.damages;
	scan_free(&s);
	buf_free(&s.hint);
}

/* Its octets pass through one small piece of memory: a spare is as large as a segment. */
static bool
is_empty(struct disk *d, struct segment *g, uint8_t *data)
{
	struct record r;

	for (uint32_t at = 0; at + RECORD_HEAD <= g->size; at += READ_PIECE) {
		uint32_t n = g->size - at < READ_PIECE ? g->size - at : READ_PIECE;

		segment_read_some(d, g, at, data, n);
		for (uint32_t i = 0; i + RECORD_HEAD <= n; i += RECORD_ALIGN)
			if (record_decode(&r, data + i, g->seq, g->salt) &&
			    record_span(&r) <= g->size - at - i)
				return false;
	}
	return true;
}

/* Spares of the last life have names and salts but no records; what a torn first batch left is in none. */
static void
drop_empty(struct disk *d, uint8_t *data)
{
	struct job *job = d->commit == NULL ? NULL : disk_job(d);

	while (d->segments.n > 0) {
		struct segment *g = d->segments.v[d->segments.n - 1];

		if (g->gone || segment_first_batch(d, g) != 0 || is_cut(d, g) ||
		    !is_empty(d, g, data) || g->unread)
			break;
		/* Its number is free again: a gap in the numbers would look like a loss at the next start. */
		d->segments.next_seq = g->seq;
		if (job == NULL) {
			segment_close(&d->segments, g);
		} else {
			segment_retire(&d->segments, g, job);
		}
	}
	if (job == NULL)
		return;
	job_step(job, STEP_SYNC_DIR, d->dirfd);
	disk_job_start(d, job);
}

static size_t
first_file(const struct disk *d)
{
	size_t i = 0;

	while (i < d->segments.n && d->segments.v[i]->gone)
		i++;
	return i;
}

/* Before the spares are dropped: one of them shows that the newest segment is not there. */
static void
check_gaps(struct disk *d)
{
	const struct segment *before = NULL;

	for (size_t i = 0; i < d->segments.n; before = d->segments.v[i++]) {
		const struct segment *g = d->segments.v[i];

		/* What a crash left of retired ones has no neighbours any more. */
		if (i <= first_file(d) || g->seq == before->seq + 1)
			continue;
		d->damages++;
		log_error(ev("spool-damage"), kv("segment", before->seq + 1),
		          kv("segments", g->seq - before->seq - 1),
		          kv("msg", "segments of the queue are missing: mail in them is lost"));
	}
}

/* ---- segments that somebody took away, but for their hints ---- */

static void
mourn(void *arg, void *msg)
{
	struct disk          *d = arg;
	struct msg           *m = msg;
	const struct segment *g = segment_find(&d->segments, m->seq);

	if (g != NULL && g->gone)
		msg_damage(d, m, "the segment that it was in is missing");
}

/* Hints that are no good tell nothing, and go. */
static void
look_for_gone(struct disk *d, uint8_t *data)
{
	struct job *job = NULL;

	for (size_t i = d->segments.n; i-- > 0;) {
		struct segment *g = d->segments.v[i];

		if (!g->gone || hint_look(d, g, data) == HINT_GOOD)
			continue;
		if (d->commit == NULL) {
			segment_close(&d->segments, g);
			continue;
		}
		job = job == NULL ? disk_job(d) : job;
		segment_retire(&d->segments, g, job);
	}
	if (job != NULL)
		disk_job_start(d, job);
}

/* What was in them and is still wanted. A retired segment may leave its hint behind in a crash: all in it is done. */
static void
report_gone(struct disk *d)
{
	bool any = false;

	for (size_t i = 0; i < d->segments.n; i++) {
		const struct segment *g = d->segments.v[i];

		if (!g->gone || g->n_live == 0)
			continue;
		any = true;
		d->damages++;
		log_error(ev("spool-damage"), kv("segment", g->seq), kv("messages", g->n_live),
		          kv("msg", "this segment of the queue is missing: mail in it is lost"));
	}
	if (any)
		order_each(&d->index.msgs, mourn, d);
}

/*
 * Nobody knows the numbers of the batches in what cannot be read. Were they given again, the next start would
 * take them for batches that failed and were written anew, and leave them out. The microseconds since 1970 are
 * more than any number that was counted up to, and more than they were the last time.
 */
static void
pass_over_numbers(struct disk *d)
{
	uint64_t now = (uint64_t)time_wall_ms() * 1000;

	if (d->log.next_batch < now)
		d->log.next_batch = now;
}

bool
recovery_run(struct disk *d, struct buf *why)
{
	uint8_t *data = NULL;

	if (!segments_scan(&d->segments, why))
		return false;
	d->log.next_batch = 1;
	if (d->segments.n > 0) {
		data = mem_array(1, SEGMENT_MAX);
		look_for_gone(d, data);
		check_gaps(d);
		drop_empty(d, data);
	}
	for (size_t i = 0; i < d->segments.n; i++) {
		struct segment *g = d->segments.v[i];
		struct segment *next = i + 1 < d->segments.n ? d->segments.v[i + 1] : NULL;

		if (!hint_load(d, g, data) && !g->gone)
			read_segment(d, g, next, data);
		segment_seal(&d->segments, g);
		if (g->last_batch >= d->log.next_batch)
			d->log.next_batch = g->last_batch + 1;
		if (g->unread)
			pass_over_numbers(d);
	}
	free(data);
	report_gone(d);
	order_each(&d->index.msgs, shelve, &(struct shelving){d, time_wall_ms()});
	return true;
}
