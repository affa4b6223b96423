/* SPDX-License-Identifier: ISC */
/*
 * gated - mail that delivery sent back untried, because a gate of ours is closed.
 *
 * It is deferred as other mail is, and due when its turn comes. When delivery says
 * that a gate has opened, what is remembered here is due at once. What is not (after a
 * restart, or beyond the limit) only takes longer.
 */
#ifndef QUEUE_GATED_H
#define QUEUE_GATED_H

#include <stddef.h>
#include <stdint.h>

struct queue;

struct gated {
	uint64_t *ids;
	size_t    n, cap;
	uint64_t  turn; /* how often a gate has opened */
};

/* A gate has opened. */
void gated_retry(struct queue *q);

/*
 * The mail waits now; `turn` is that of when delivery said so. While that was written it could
 * not be found: if a gate has opened meanwhile, it is due at once.
 */
void gated_add(struct queue *q, uint64_t id, uint64_t turn);
void gated_free(struct gated *g);

#endif
