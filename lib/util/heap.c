/* SPDX-License-Identifier: ISC */
#include "lib/util/heap.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/util/mem.h"

enum { FIRST_CAP = 16 };

static void
set(struct heap *h, size_t at, struct heap_node *node)
{
	h->nodes[at] = node;
	node->at = at + 1;
}

/* Both sifts carry a hole to where `node` belongs, and write each place once. */
static void
sift_up(struct heap *h, size_t at, struct heap_node *node)
{
	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (h->nodes[parent]->key <= node->key)
			break;
		set(h, at, h->nodes[parent]);
		at = parent;
	}
	set(h, at, node);
}

static void
sift_down(struct heap *h, size_t at, struct heap_node *node)
{
	for (;;) {
		size_t child = at * 2 + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (node->key <= h->nodes[child]->key)
			break;
		set(h, at, h->nodes[child]);
		at = child;
	}
	set(h, at, node);
}

static void
settle(struct heap *h, size_t at, struct heap_node *node)
{
	if (at > 0 && node->key < h->nodes[(at - 1) / 2]->key)
		sift_up(h, at, node);
	else
		sift_down(h, at, node);
}

void
heap_free(struct heap *h)
{
	free(h->nodes);
	*h = (struct heap){0};
}

void
heap_put(struct heap *h, struct heap_node *node, int64_t key)
{
	node->key = key;
	if (node->at > 0) {
		assert(h->nodes[node->at - 1] == node);
		settle(h, node->at - 1, node);
		return;
	}
	if (h->n == h->cap) {
		h->cap = h->cap > 0 ? h->cap * 2 : FIRST_CAP;
		h->nodes = mem_resize(h->nodes, h->cap, sizeof *h->nodes);
	}
	sift_up(h, h->n++, node);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	size_t            at = node->at - 1;
	struct heap_node *last;

	if (node->at == 0)
		return;
	assert(at < h->n && h->nodes[at] == node);
	node->at = 0;
	last = h->nodes[--h->n];
	if (last != node)
		settle(h, at, last);
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->n > 0 ? h->nodes[0] : NULL;
}

bool
heap_has(const struct heap_node *node)
{
	return node->at > 0;
}
