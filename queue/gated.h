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
};

void gated_add(struct gated *g, uint64_t id);
void gated_retry(struct queue *q);
void gated_free(struct gated *g);

#endif
