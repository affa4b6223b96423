/* SPDX-License-Identifier: ISC */
#include "queue/gated.h"

#include <stdlib.h>

#include "lib/util/mem.h"
#include "queue/core.h"

enum { FIRST = 16, MOST = 128 * 1024 };

static void
keep(struct gated *g, uint64_t id)
{
	if (g->n == MOST)
		return;
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? FIRST : g->cap * 2;
		g->ids = mem_resize(g->ids, g->cap, sizeof *g->ids);
	}
	g->ids[g->n++] = id;
}

void
gated_free(struct gated *g)
{
	free(g->ids);
	*g = (struct gated){.turn = g->turn};
}

/* Filter and ids live as long as the operation. */
struct retrying {
	struct gated        ids;
	struct store_filter filter;
};

static void
retried(void *arg, enum store_result result, size_t n)
{
	struct retrying *r = arg;

	(void)result;
	(void)n;
	gated_free(&r->ids);
	free(r);
}

void
gated_retry(struct queue *q)
{
	struct retrying *r;

	q->gated.turn++;
	if (q->gated.n == 0 || q->store == NULL)
		return;
	r = mem_zero(sizeof *r);
	r->ids = q->gated;
	q->gated = (struct gated){.turn = r->ids.turn};
	r->filter = (struct store_filter){
		.exact = r->ids.ids, .n_exact = r->ids.n, .status = STATUS_DEFERRED};
	store_act(q->store, &r->filter, ACT_RETRY, retried, r);
}

void
gated_add(struct queue *q, uint64_t id, uint64_t turn)
{
	keep(&q->gated, id);
	if (turn != q->gated.turn)
		gated_retry(q);
}
