/* SPDX-License-Identifier: ISC */
#include "queue/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"

/* ---- one segment: what can be seen ---- */

static enum verdict
judge(const struct scan *s, uint32_t at, const struct record *r)
{
	const uint8_t *meta = s->data + at + RECORD_HEAD;
	size_t         meta_n = (size_t)r->env_len + r->parts_len;
	uint32_t       body_n = record_inline(r);

	if (meta_n > 0 && record_sum(s->g->salt, meta, meta_n) != r->meta_sum)
		return RECORD_BAD_META;
	if (body_n > 0 && record_sum(s->g->salt, meta + meta_n, body_n) != r->body_sum)
		return RECORD_BAD_BODY;
	return RECORD_GOOD;
}

static void
add_sight(struct scan *s, struct sight sight)
{
	if (s->n_seen == s->cap) {
		s->cap = s->cap == 0 ? 256 : s->cap * 2;
		s->seen = mem_resize(s->seen, s->cap, sizeof *s->seen);
	}
	s->seen[s->n_seen++] = sight;
}

static void
add_hole(struct scan *s, uint32_t from, uint32_t to)
{
	s->holes = mem_resize(s->holes, s->n_holes + 1, sizeof *s->holes);
	s->holes[s->n_holes].from = from;
	s->holes[s->n_holes].to = to;
	s->n_holes++;
}

/* Have the octets up to there. */
static void
need(struct disk *d, struct scan *s, uint64_t up_to)
{
	while (s->n < up_to) {
		uint32_t left = s->g->size - s->n, n = left < READ_PIECE ? left : READ_PIECE;

		segment_read_some(d, s->g, s->n, s->data + s->n, n);
		s->n += n;
	}
}

void
scan_look(struct disk *d, struct scan *s)
{
	uint32_t at = 0, good_end = 0, size = s->g->size < SEGMENT_MAX ? s->g->size : SEGMENT_MAX;

	while ((uint64_t)at + RECORD_HEAD <= size && !s->sealed) {
		struct sight v = {.at = at};

		need(d, s, at + RECORD_HEAD);
		if (!record_decode(&v.r, s->data + at, s->g->seq, s->g->salt) ||
		    record_span(&v.r) > size - at) {
			at += RECORD_ALIGN;
			continue;
		}
		need(d, s, at + record_span(&v.r));
		if (at > good_end)
			add_hole(s, good_end, at);
		v.verdict = judge(s, at, &v.r);
		if (v.r.type == RECORD_SEAL) {
			s->sealed = true;
			s->torn = v.r.id;
		} else {
			add_sight(s, v);
		}
		at += (uint32_t)record_span(&v.r);
		good_end = at;
	}
}

/* ---- one segment: which batches count ---- */

/* From its beginning to a record with LAST, without a hole or a bad sum. */
static bool
batch_is_whole(const struct scan *s, uint64_t batch)
{
	uint32_t at = 0;
	bool     begun = false, last = false;

	for (size_t i = 0; i < s->n_seen; i++) {
		const struct sight *v = &s->seen[i];

		if (v->r.batch != batch)
			continue;
		if (!begun)
			at = v->r.batch_off;
		begun = true;
		if (v->at != at || v->verdict != RECORD_GOOD)
			return false;
		at = v->at + (uint32_t)record_span(&v->r);
		last = (v->r.flags & RECORD_LAST) != 0;
	}
	return begun && last;
}

static uint64_t
max_batch(const struct scan *s)
{
	uint64_t max = 0;

	for (size_t i = 0; i < s->n_seen; i++)
		if (s->seen[i].r.batch > max)
			max = s->seen[i].r.batch;
	return max;
}

void
scan_set_limit(struct scan *s, uint64_t next_first)
{
	uint64_t max = max_batch(s);

	if (s->sealed)
		return;
	if (next_first != 0)
		s->limit = next_first;
	else if (max != 0 && !batch_is_whole(s, max))
		s->torn = max;
}

bool
scan_counts(const struct scan *s, const struct sight *v)
{
	return s->limit == 0 || v->r.batch < s->limit;
}

uint32_t
scan_loss_begin(const struct scan *s)
{
	uint32_t begin = UINT32_MAX;

	for (size_t i = 0; i < s->n_seen; i++)
		if ((!scan_counts(s, &s->seen[i]) || s->seen[i].r.batch == s->torn) &&
		    s->seen[i].r.batch_off < begin)
			begin = s->seen[i].r.batch_off;
	return begin;
}

void
scan_free(struct scan *s)
{
	free(s->seen);
	free(s->holes);
}

/* ---- reading ---- */

void
segment_read_some(struct disk *d, struct segment *g, uint32_t at, uint8_t *to, uint32_t n)
{
	if (segment_read(&d->segments, g, at, to, n))
		return;
	memset(to, 0, n);
	g->unread = true;
	log_error(ev("spool-damage"), kv("segment", g->seq), kv("at", at), kv("bytes", n),
	          kv("msg", strerror(errno)));
}

uint64_t
segment_first_batch(struct disk *d, struct segment *g)
{
	uint8_t       head[RECORD_HEAD];
	struct record r;

	if (g != NULL && g->gone)
		return g->first_batch;
	if (g == NULL || !segment_read(&d->segments, g, 0, head, sizeof head) ||
	    !record_decode(&r, head, g->seq, g->salt))
		return 0;
	return r.batch;
}
