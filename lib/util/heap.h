/* SPDX-License-Identifier: ISC */
/*
 * heap - the smallest key first, intrusive; any node can be removed or moved.
 *
 * A zeroed node is in no heap; heap_remove() on it does nothing.
 */
#ifndef LIB_UTIL_HEAP_H
#define LIB_UTIL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Inside the object; `key` is for reading, heap_put() changes it. */
struct heap_node {
	int64_t key;
	size_t  at; /* place + 1; 0: in no heap */
};

/* Zeroed is empty. Equal keys come in no order. */
struct heap {
	struct heap_node **nodes;
	size_t             n, cap;
};

void heap_free(struct heap *h);                                     /* the table, not the nodes */
void heap_put(struct heap *h, struct heap_node *node, int64_t key); /* or move, if it is in */
void heap_remove(struct heap *h, struct heap_node *node);
struct heap_node *heap_min(const struct heap *h); /* NULL if empty */
bool              heap_has(const struct heap_node *node);

#endif
