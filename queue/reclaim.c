/* SPDX-License-Identifier: ISC */
/*
 * reclaim - old segments make room, strictly the oldest first.
 *
 * A segment without live messages is retired at once; with mail that is
 * delivered in seconds that is all that ever happens. Only when the log nears twice its live octets
 * and some slack, the live messages of the oldest segment are appended again (MOVE) with the
 * states of now. That begins at half of the slack, so that the whole is never passed while
 * mail comes in, and goes faster beyond three quarters. A segment that failed
 * is emptied in the same way, wherever it stands, but not removed out of turn.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "queue/disk.h"
#include "queue/part.h"

enum {
	SLACK_MAX = 256 * 1024 * 1024,
	STEP_BYTES = 512 * 1024,     /* appended in one turn of the loop */
	HASTE_BYTES = 4 * 1024 * 1024, /* the same when the log has grown too fast; never is more looked through */
	WINDOW = 1024 * 1024,        /* read at once */
	SKIP = 64 * 1024,            /* what is passed over where the disk does not give its octets back */
	AGAIN_MS = 60,           /* a message whose state is on its way to the disk */
};

static void
retired(struct job *job)
{
	struct disk *d = job->arg;

	d->reclaim.retiring = false;
	disk_job_end(job);
	reclaim_check(d);
}

/*
 * One at a time, firm in the directory before the next goes: if a younger segment could be
 * gone while an older one is still there, the next start would take that for a loss.
 */
static void
retire_dead(struct disk *d)
{
	struct segment *g = segment_oldest(&d->segments);
	struct job     *job;

	if (g == NULL || !g->sealed || g->n_live > 0 || g == d->reclaim.from ||
	    d->reclaim.retiring)
		return;
	job = disk_job(d);
	job->done = retired;
	index_drop_tombs(&d->index, g->seq);
	segment_retire(&d->segments, g, job);
	job_step(job, STEP_SYNC_DIR, d->dirfd);
	d->reclaim.retiring = true;
	disk_job_start(d, job);
	if (d->log.no_spare)
		timer_set(d->log.retry, 0);
}

/* ---- moving ---- */

static void
release(struct reclaim *r)
{
	free(r->data);
	r->data = NULL;
	r->have = r->cap = 0;
	r->bytes = 0;
	r->from = NULL;
}

static void
note_move(struct disk *d, struct msg *m, const struct block *b)
{
	struct found f = {
		.type = RECORD_MOVE,
		.flags = b->r.flags,
		.id = b->r.id,
		.off = b->off,
		.meta_len = m->meta_len,
		.size = m->size,
		.accepted_s = m->accepted_s,
	};
	struct part_text text;
	struct str parts = {(const char *)b->data + RECORD_HEAD + b->r.env_len, b->r.parts_len};

	f.parts = mem_array(m->n_parts, sizeof *f.parts);
	while (f.n_parts < m->n_parts && part_parse(&parts, &text)) {
		f.parts[f.n_parts++] = (struct found_part){
			.lane = text.lane,
			.n_rcpts = (uint32_t)part_waiting(&text),
			.due_ms = text.due_ms,
			.tries = (uint16_t)text.tries,
			.state = (uint8_t)text.state,
			.noticed = text.noticed,
		};
		part_free(&text);
	}
	hint_add(&d->log.hint, &f);
	free(f.parts);
}

static bool
moved(struct disk *d, struct block *b, int error)
{
	struct reclaim *r = &d->reclaim;
	struct msg     *m = index_find(&d->index, b->r.id);

	(void)error; /* moves are never refused, only written later */
	r->moving--;
	if (m != NULL && (m->flags & MSG_MOVING) != 0) {
		struct segment *g = segment_find(&d->segments, b->r.seq);

		msg_unplace(d, m);      /* with the length that it had there */
		block_unref_warm(d, m); /* its part lines are older than those of the move */
		m->flags &= ~(uint32_t)MSG_MOVING;
		m->flags |= MSG_MOVED;
		m->meta_len = b->r.env_len + b->r.parts_len;
		m->size = b->r.body_len;
		for (uint32_t i = 0; i < m->n_parts; i++)
			m->parts[i].state_seq = 0;
		msg_place(d, m, g, b->off);
		note_move(d, m, b);
	}
	if (r->moving == 0) {
		r->bytes = 0;
		loop_defer(d->loop, &r->step);
	}
	return false;
}

/* There is no segment to move to. The old one must be free to go when its last message does: that makes room. */
void
reclaim_give_up(struct disk *d, struct block *b)
{
	struct reclaim *r = &d->reclaim;
	struct msg     *m = index_find(&d->index, b->r.id);

	if (m != NULL)
		m->flags &= ~(uint32_t)MSG_MOVING;
	free(b);
	if (--r->moving > 0)
		return;
	loop_defer_cancel(d->loop, &r->step);
	release(r);
	r->stuck_seq = 0;
}

static bool
may_move(const struct msg *m)
{
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].where == AT_SETTLING)
			return false;
	return (m->flags & (MSG_ARRIVING | MSG_MOVING)) == 0;
}

/* A state that cannot be read damages the message: it moves with what its own lines say. */
static void
format_parts(struct disk *d, struct msg *m, const struct loaded *from, struct buf *out)
{
	struct str rest = from->parts;

	for (uint32_t i = 0; i < m->n_parts; i++) {
		struct part     *p = &m->parts[i];
		struct part_text own, text;
		uint8_t         *data = NULL;

		if (!part_parse(&rest, &own))
			return;
		if (p->state_seq == 0 || !part_load(d, p, from, &text, &data)) {
			text = own;
			own.rcpts = NULL;
		}
		if (p->where == AT_HELD && text.state == PART_WAIT)
			text.state = PART_HOLD;
		part_format(out, &text);
		part_free(&text);
		part_free(&own);
		free(data);
	}
}

/* What is damaged keeps its octets as they are, so that a person can still look at them. */
static void
append_move(struct disk *d, struct msg *m, const struct loaded *from)
{
	struct buf    parts = BUF(SEGMENT_MIN);
	struct block *b;
	uint8_t      *to;

	format_parts(d, m, from, &parts);
	b = block_create(RECORD_MOVE, msg_id(m), from->envelope.n, parts.n, from->body.n);
	b->r.flags = from->r.flags & (RECORD_BIG | RECORD_DERIVED | RECORD_SPOILED_META |
	                              RECORD_SPOILED_BODY);
	if ((m->flags & MSG_DAMAGED) != 0)
		b->r.flags |= RECORD_DAMAGED;
	if ((b->r.flags & RECORD_BIG) != 0) {
		b->r.body_len = m->size;
		b->r.body_sum = from->r.body_sum;
	}
	to = b->data + RECORD_HEAD;
	if (from->envelope.n > 0)
		memcpy(to, from->envelope.p, from->envelope.n);
	if (parts.n > 0)
		memcpy(to + from->envelope.n, parts.p, parts.n);
	if (from->body.n > 0)
		memcpy(to + from->envelope.n + parts.n, from->body.p, from->body.n);
	buf_free(&parts);
	b->done = moved;
	m->flags |= MSG_MOVING;
	d->reclaim.moving++;
	log_add(d, b);
}

/* Octets of the segment, read in pieces: mail that comes in need not wait for all of it. NULL: it cannot be read. */
static const uint8_t *
look(struct disk *d, uint32_t at, uint32_t n)
{
	struct reclaim *r = &d->reclaim;
	uint32_t        left = r->from->used - at, want = n > WINDOW ? n : WINDOW;

	if (at >= r->begin && at - r->begin + (uint64_t)n <= r->have)
		return r->data + (at - r->begin);
	want = want < left ? want : left;
	if (want > r->cap) {
		r->data = mem_resize(r->data, want, 1);
		r->cap = want;
	}
	r->begin = at;
	r->have = segment_read(&d->segments, r->from, at, r->data, want) ? want : 0;
	return r->have >= n ? r->data : NULL;
}

/* The live message whose record begins here, with all its octets; else NULL, and the place moves on. */
static struct msg *
cut_record(struct disk *d, struct loaded *l)
{
	struct reclaim *r = &d->reclaim;
	const uint8_t  *head = look(d, r->at, RECORD_HEAD);
	struct msg     *m;
	const char     *text;
	uint64_t        span;

	if (head == NULL || !record_decode(&l->r, head, r->from->seq, r->from->salt) ||
	    (span = record_span(&l->r)) > r->from->used - r->at) {
		r->at += head == NULL ? SKIP : RECORD_ALIGN;
		return NULL;
	}
	m = l->r.type == RECORD_MSG || l->r.type == RECORD_MOVE ? index_find(&d->index, l->r.id)
	                                                         : NULL;
	if (m == NULL || m->seq != r->from->seq || m->off != r->at ||
	    (head = look(d, r->at, (uint32_t)span)) == NULL) {
		r->at += (uint32_t)span;
		return NULL;
	}
	text = (const char *)head + RECORD_HEAD;
	l->envelope = (struct str){text, l->r.env_len};
	l->parts = (struct str){text + l->r.env_len, l->r.parts_len};
	l->body = (struct str){text + l->r.env_len + l->r.parts_len, record_inline(&l->r)};
	return m;
}

/* The new record will have right sums: that these octets were not right goes with them. */
static void
check_sums(struct disk *d, struct msg *m, struct loaded *l)
{
	uint64_t salt = d->reclaim.from->salt;
	size_t   meta = l->envelope.n + l->parts.n;

	if (meta > 0 && record_sum(salt, l->envelope.p, meta) != l->r.meta_sum)
		l->r.flags |= RECORD_SPOILED_META;
	if (l->body.n > 0 && record_sum(salt, l->body.p, l->body.n) != l->r.body_sum)
		l->r.flags |= RECORD_SPOILED_BODY;
	if ((l->r.flags & (RECORD_SPOILED_META | RECORD_SPOILED_BODY)) != 0)
		msg_damage(d, m, "it is not what was written");
}

static uint64_t
slack(const struct disk *d)
{
	if (d->conf.slack_bytes != 0)
		return d->conf.slack_bytes;
	return d->total_bytes / 4 < SLACK_MAX ? d->total_bytes / 4 : SLACK_MAX;
}

/* Whether the log takes more than twice what lives in it and so many quarters of the slack. */
static bool
is_over(const struct disk *d, unsigned quarters)
{
	return segments_bytes(&d->segments) > 2 * d->index.live_bytes + slack(d) / 4 * quarters;
}

/*
 * Mail can come in faster than live messages are moved out of its way, and the oldest segments may
 * be live from end to end. The last quarter of the slack, a segment, is left to the moves. Only while
 * they go on: what cannot be moved must not stop the mail.
 */
bool
reclaim_is_behind(const struct disk *d)
{
	return d->reclaim.from != NULL && d->log.failures == 0 && d->state == STORE_OPEN &&
	       d->closed == NULL && is_over(d, 3);
}

static size_t
enough(const struct disk *d)
{
	return is_over(d, 3) ? HASTE_BYTES : STEP_BYTES;
}

/* False: come back later, at the same place. */
static bool
move_some(struct disk *d)
{
	struct reclaim *r = &d->reclaim;
	uint32_t        begin = r->at;

	while (r->at + RECORD_HEAD <= r->from->used && r->bytes < enough(d) &&
	       r->at - begin < HASTE_BYTES) {
		struct loaded l = {0};
		struct msg   *m = cut_record(d, &l);

		if (m == NULL)
			continue;
		if (!may_move(m))
			return false;
		check_sums(d, m, &l);
		append_move(d, m, &l);
		r->bytes += record_span(&l.r);
		r->at += (uint32_t)record_span(&l.r);
	}
	return true;
}

/*
 * A live message whose record was not met: its header is not what was written, the disk does
 * not give it back, or somebody took the segment away. What can be read of it moves, as damaged;
 * otherwise one such message would keep this segment, and with it all younger ones, for ever.
 */
static void
append_ruin(struct disk *d, struct msg *m)
{
	bool          big = (m->flags & MSG_BIG) != 0;
	size_t        n = (size_t)m->meta_len + (big ? 0 : m->size);
	struct loaded l = {.data = mem_array(1, n + 1)};
	struct str    meta = STR_NONE;
	ptrdiff_t     parts;

	msg_damage(d, m, "its record cannot be found where it was written");
	l.r.flags = (big ? RECORD_BIG | RECORD_SPOILED_META
	                 : RECORD_SPOILED_META | RECORD_SPOILED_BODY) |
	            ((m->flags & MSG_DERIVED) != 0 ? RECORD_DERIVED : 0u);
	if (segment_read(&d->segments, d->reclaim.from, m->off + RECORD_HEAD, l.data, n)) {
		meta = (struct str){(const char *)l.data, m->meta_len};
		l.body = (struct str){meta.p + meta.n, n - m->meta_len};
	}
	/* Only the header told where the envelope ends; part lines begin like nothing in it. */
	parts = str_find_str(meta, STR("\npart: 0 "));
	l.envelope = str_sub(meta, 0, parts < 0 ? meta.n : (size_t)parts + 1);
	l.parts = str_skip(meta, l.envelope.n);
	append_move(d, m, &l);
	d->reclaim.bytes += RECORD_HEAD + n;
	free(l.data);
}

struct rescue {
	struct disk *d;
	bool         later; /* one of them cannot be moved now */
};

static void
rescue_one(void *arg, void *msg)
{
	struct rescue        *s = arg;
	struct msg           *m = msg;
	const struct reclaim *r = &s->d->reclaim;

	if (m->seq != r->from->seq || (m->flags & MSG_PLACED) == 0)
		return;
	if (!may_move(m) || r->bytes >= enough(s->d))
		s->later = true;
	else
		append_ruin(s->d, m);
}

/* At the end of the segment; false: come back later. */
static bool
rescue(struct disk *d)
{
	struct rescue s = {.d = d};

	if (d->reclaim.from->n_live > 0)
		order_each(&d->index.msgs, rescue_one, &s);
	return !s.later || d->reclaim.moving > 0;
}

static void
step(void *arg)
{
	struct disk    *d = arg;
	struct reclaim *r = &d->reclaim;

	if (r->from == NULL || d->closed != NULL || (r->moving > 0 && r->bytes >= enough(d)))
		return;
	if (d->log.failures > 0 || !move_some(d)) {
		timer_set(r->again, AGAIN_MS);
		return;
	}
	if (r->at + RECORD_HEAD <= r->from->used) {
		if (r->moving == 0 || r->bytes < enough(d))
			loop_defer(d->loop, &r->step);
	} else if (r->moving == 0 && !rescue(d)) {
		timer_set(r->again, AGAIN_MS);
	} else if (r->moving == 0) {
		release(r);
		reclaim_check(d);
	}
}

static void
again(void *arg)
{
	struct disk *d = arg;

	loop_defer(d->loop, &d->reclaim.step);
}

/* ---- when ---- */

/* With a full disk a mostly dead segment is worth moving, as long as the active one has room for it. */
static bool
is_pressing(const struct disk *d, const struct segment *g)
{
	const struct segment *active = d->log.active;

	return d->log.no_spare && active != NULL && g->live_bytes < g->size / 2 &&
	       g->live_bytes < (active->size - active->used) / 2;
}

static struct segment *
choose(const struct disk *d)
{
	struct segment *g;

	for (size_t i = 0; i < d->segments.n; i++)
		if (d->segments.v[i]->broken && d->segments.v[i]->n_live > 0)
			return d->segments.v[i];
	g = segment_oldest(&d->segments);
	if (g == NULL || !g->sealed || g->n_live == 0)
		return NULL;
	if (is_over(d, 2) || is_pressing(d, g))
		return g;
	return NULL;
}

void
reclaim_check(struct disk *d)
{
	struct reclaim *r = &d->reclaim;
	struct segment *g;

	if (!d->ready || d->closed != NULL)
		return;
	retire_dead(d);
	if (r->from == NULL && (g = choose(d)) != NULL && g->seq != r->stuck_seq) {
		r->from = g;
		r->at = 0;
		r->stuck_seq = g->seq; /* once is enough: what is still there after that cannot be moved */
		loop_defer(d->loop, &r->step);
	}
	log_admit(d);
}

void
reclaim_open(struct disk *d)
{
	d->reclaim.step = (struct deferred){.fn = step, .arg = d};
	d->reclaim.again = timer_create_on(d->loop, again, d);
}

void
reclaim_close(struct disk *d)
{
	loop_defer_cancel(d->loop, &d->reclaim.step);
	timer_destroy(d->reclaim.again);
	release(&d->reclaim);
}
