/* SPDX-License-Identifier: ISC */
#include "queue/batch.h"

#include <stdlib.h>

#include "lib/util/mem.h"
#include "queue/disk.h"

enum {
	BATCH_BYTES = 8 * 1024 * 1024,
	SMALL_BATCH = 128 * 1024,
	ZERO_AHEAD = 1024 * 1024,
	PAGE = 4096,
};

void
batch_init(struct batch *b)
{
	*b = (struct batch){0};
	list_init(&b->blocks);
}

void
batch_free(struct batch *b)
{
	struct link *k;

	while ((k = list_pop(&b->blocks)) != NULL)
		free(CONTAINER(k, struct block, link));
	job_free(&b->job);
	free(b->iov);
}

void
batch_clear(struct batch *b, uint64_t number)
{
	job_clear(&b->job);
	b->number = number;
	b->segment = b->sealing = NULL;
}

static void
add_write(struct batch *b, int fd, off_t at, struct iovec *iov, unsigned n)
{
	struct step *step = job_step(&b->job, STEP_WRITE, fd);

	step->at = at;
	step->iov = iov;
	step->n_iov = n;
}

void
batch_seal(struct batch *b, struct segment *g)
{
	struct record r = {.type = RECORD_SEAL, .flags = RECORD_LAST, .seq = g->seq};

	r.batch = b->number;
	r.batch_off = g->used;
	record_encode(b->seal, &r, g->salt);
	b->seal_iov = (struct iovec){b->seal, sizeof b->seal};
	add_write(b, g->fd, g->used, &b->seal_iov, 1);
	job_step(&b->job, STEP_SYNC, g->fd);
	g->used += RECORD_HEAD;
	b->sealing = g;
}

bool
batch_fits(const struct segment *g, const struct block *block)
{
	return (uint64_t)g->used + block->span + RECORD_HEAD <= g->size;
}

/* The sums of what the record bears are of this segment: they stay if the block was here before. */
static void
encode(const struct batch *b, struct block *block, uint32_t at)
{
	const struct segment *g = b->segment;
	struct record        *r = &block->r;
	const uint8_t        *meta = block->data + RECORD_HEAD;
	size_t                n = (size_t)r->env_len + r->parts_len, body = record_inline(r);

	if (r->seq != g->seq) {
		r->meta_sum = n == 0 ? 0 : record_sum(g->salt, meta, n);
		if ((r->flags & RECORD_BIG) == 0)
			r->body_sum = body == 0 ? 0 : record_sum(g->salt, meta + n, body);
	}
	block->off = at;
	r->seq = g->seq;
	r->batch = b->number;
	r->batch_off = b->at;
	record_encode(block->data, r, g->salt);
}

/* Blocks move over as far as they fit; where the last one ends. */
static uint32_t
gather(struct batch *b, struct list *pending)
{
	uint32_t      at = b->at;
	struct block *block;
	struct link  *k;

	while ((k = list_first(pending)) != NULL) {
		block = CONTAINER(k, struct block, link);
		if ((uint64_t)at + block->span + RECORD_HEAD > b->segment->size ||
		    (at > b->at && at - b->at + block->span > BATCH_BYTES))
			break;
		list_remove(pending, k);
		list_push(&b->blocks, k);
		block->r.flags &= ~(unsigned)RECORD_LAST;
		encode(b, block, at);
		at += block->span;
	}
	if (at > b->at) {
		block = CONTAINER(b->blocks.head.prev, struct block, link);
		block->r.flags |= RECORD_LAST;
		encode(b, block, block->off);
	}
	return at;
}

/*
 * How many zeros go behind a batch that ends at `end`. At least to the end of the
 * page, which the kernel would otherwise have to read first in a recycled file. And where the
 * blocks are allocated but were never written, each sync has to change the file system's
 * metadata, too, and takes half as long again: a small batch therefore writes a stretch
 * ahead, once for the many that follow. A large one would not get back what it costs.
 */
static uint32_t
zeros_behind(const struct batch *b, uint32_t end)
{
	uint32_t to = (end + PAGE - 1) / PAGE * PAGE;

	if (end > b->written && end - b->at <= SMALL_BATCH)
		to += ZERO_AHEAD;
	return (to > b->segment->size ? b->segment->size : to) - end;
}

void
batch_fill(struct batch *b, struct list *pending, struct segment *g, int fd, uint8_t *spares)
{
	uint32_t      end, zeros;
	size_t        n_iov;
	struct block *block;
	unsigned      n = 0;

	b->segment = g;
	b->at = g->used;
	b->written = g->written;
	end = gather(b, pending);
	zeros = zeros_behind(b, end);
	n_iov = b->blocks.n + zeros / BATCH_ZEROS + 1;
	if (b->iov_cap < n_iov) {
		b->iov_cap = (unsigned)n_iov + 16;
		b->iov = mem_resize(b->iov, b->iov_cap, sizeof *b->iov);
	}
	LIST_EACH(&b->blocks, block, struct block, link)
		b->iov[n++] = (struct iovec){block->data, block->span};
	g->used = end;
	g->last_batch = b->number;
	if (end + zeros > g->written)
		g->written = end + zeros;
	for (uint32_t piece; zeros > 0; zeros -= piece) {
		piece = zeros < BATCH_ZEROS ? zeros : BATCH_ZEROS;
		b->iov[n++] = (struct iovec){spares, piece};
	}
	add_write(b, fd, b->at, b->iov, n);
	job_step(&b->job, STEP_SYNC, fd);
}

void
batch_undo(struct batch *b, struct list *pending)
{
	while (!list_empty(&b->blocks)) {
		struct link *k = b->blocks.head.prev;

		list_remove(&b->blocks, k);
		list_push_front(pending, k);
	}
	b->segment->used = b->at;
	b->segment->written = b->written;
	b->segment->last_batch = b->number - 1;
}
