/* SPDX-License-Identifier: ISC */
/*
 * order - numbers and what they stand for, always sorted.
 *
 * A table of runs of at most 256 items: 16 octets an item, no pointer in the object, and never a
 * table that doubles while mail waits. Numbers that mostly rise, as those of messages do,
 * fill each run and touch the same few cache lines again and again. The same number may stand for
 * several things; then their addresses decide. A walk goes on from a number, so the
 * table may change between two steps.
 */
#ifndef QUEUE_ORDER_H
#define QUEUE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_item {
	uint64_t key;
	void    *value;
};

struct order_run {
	struct order_item *items;
	uint32_t           n, cap;
	uint64_t           first; /* key of items[0] */
};

/* Zero is empty. */
struct order {
	struct order_run *runs;
	size_t            n_runs, cap;
	size_t            n;
};

void  order_free(struct order *o); /* the table, not the values */
void  order_put(struct order *o, uint64_t key, void *value); /* the pair is not there yet */
bool  order_remove(struct order *o, uint64_t key, const void *value);
void *order_find(const struct order *o, uint64_t key); /* NULL: not there */

/* The first item with `key` or a larger one; NULL at the end. Valid until the next change. */
const struct order_item *order_from(const struct order *o, uint64_t key);
/* All of them in order; the table must not change meanwhile. */
void order_each(const struct order *o, void (*fn)(void *arg, void *value), void *arg);
/* The one behind `item`, which need not be there any more: a copy will do. */
const struct order_item *order_next(const struct order *o, const struct order_item *item);

#endif
