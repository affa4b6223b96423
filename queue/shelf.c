/* SPDX-License-Identifier: ISC */
#include "queue/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "queue/index.h"

void
shelves_init(struct shelves *s)
{
	*s = (struct shelves){0};
	list_init(&s->news);
}

static void
destroy(struct shelves *s, struct shelf *sh)
{
	hash_remove(&s->all, &sh->node);
	heap_remove(&s->due, &sh->due);
	list_remove(&s->news, &sh->news);
	heap_free(&sh->later);
	heap_free(&sh->released);
	free(sh);
}

void
shelves_free(struct shelves *s)
{
	for (struct hash_node *node = hash_walk(&s->all, NULL), *next; node != NULL; node = next) {
		next = hash_walk(&s->all, node);
		destroy(s, CONTAINER(node, struct shelf, node));
	}
	hash_free(&s->all);
	heap_free(&s->due);
}

struct str
shelf_name(const struct shelf *sh)
{
	return (struct str){sh->name, sh->n};
}

static struct shelf *
find(const struct shelves *s, struct str lane, uint64_t value)
{
	for (struct hash_node *node = hash_first(&s->all, value); node != NULL;
	     node = hash_more(node)) {
		struct shelf *sh = CONTAINER(node, struct shelf, node);

		if (str_eq(shelf_name(sh), lane))
			return sh;
	}
	return NULL;
}

struct shelf *
shelf_find(const struct shelves *s, struct str lane)
{
	return find(s, lane, hash_str(lane));
}

struct shelf *
shelf_get(struct shelves *s, struct str lane)
{
	uint64_t      value = hash_str(lane);
	struct shelf *sh = find(s, lane, value);

	if (sh != NULL)
		return sh;
	sh = mem_zero(sizeof *sh + lane.n);
	sh->n = (uint16_t)lane.n;
	if (lane.n > 0)
		memcpy(sh->name, lane.p, lane.n);
	list_init(&sh->ready);
	hash_put(&s->all, &sh->node, value);
	return sh;
}

void
shelf_adopt(struct shelf *sh)
{
	sh->n_parts++;
}

void
shelf_leave(struct shelves *s, struct shelf *sh)
{
	if (--sh->n_parts == 0)
		destroy(s, sh);
}

static void
tell(struct shelves *s, struct shelf *sh)
{
	if (sh->told)
		return;
	sh->told = true;
	list_push(&s->news, &sh->news);
}

static void
set_due(struct shelves *s, struct shelf *sh)
{
	struct heap_node *first = heap_min(&sh->later);

	if (first == NULL)
		heap_remove(&s->due, &sh->due);
	else if (!heap_has(&sh->due) || sh->due.key != first->key)
		heap_put(&s->due, &sh->due, first->key);
}

void
shelf_put(struct shelves *s, struct part *p, int64_t due_ms, int64_t now_ms)
{
	struct shelf *sh = p->shelf;

	memset(&p->due, 0, sizeof p->due);
	if (due_ms <= now_ms) {
		p->link = (struct link){NULL, NULL};
		p->where = AT_READY;
		list_push(&sh->ready, &p->link);
		s->n_ready++;
		tell(s, sh);
		return;
	}
	p->where = AT_LATER;
	heap_put(&sh->later, &p->due, due_ms);
	s->n_later++;
	set_due(s, sh);
}

void
shelf_remove(struct shelves *s, struct part *p)
{
	struct shelf *sh = p->shelf;

	if (p->where == AT_READY) {
		list_remove(&sh->ready, &p->link);
		s->n_ready--;
	} else if (p->where == AT_LATER) {
		heap_remove(&sh->later, &p->due);
		s->n_later--;
		set_due(s, sh);
	} else if (p->where == AT_RELEASED) {
		heap_remove(&sh->released, &p->due);
		s->n_later--;
	} else {
		return;
	}
	p->where = AT_NONE;
}

struct part *
shelf_front(struct shelf *sh, int64_t now_ms)
{
	struct link      *k = list_first(&sh->ready);
	struct heap_node *first;

	if (k != NULL)
		return CONTAINER(k, struct part, link);
	if ((first = heap_min(&sh->released)) != NULL)
		return CONTAINER(first, struct part, due);
	first = heap_min(&sh->later);
	return first != NULL && first->key <= now_ms ? CONTAINER(first, struct part, due) : NULL;
}

void
shelf_untold(struct shelves *s, struct shelf *sh)
{
	sh->told = false;
	list_remove(&s->news, &sh->news);
	set_due(s, sh);
}

/* A second release before the first is worked off only moves what was deferred in between. */
void
shelf_release(struct shelves *s, struct shelf *sh)
{
	struct heap       empty = {0};
	struct heap_node *first;

	if (heap_min(&sh->released) == NULL) {
		heap_free(&sh->released);
		sh->released = sh->later;
		sh->later = empty;
		for (size_t i = 0; i < sh->released.n; i++)
			CONTAINER(sh->released.nodes[i], struct part, due)->where = AT_RELEASED;
	} else {
		while ((first = heap_min(&sh->later)) != NULL) {
			int64_t key = first->key;

			heap_remove(&sh->later, first);
			heap_put(&sh->released, first, key);
			CONTAINER(first, struct part, due)->where = AT_RELEASED;
		}
	}
	set_due(s, sh);
	if (sh->released.n > 0)
		tell(s, sh);
}

/* The shelf leaves the heap until its front is taken: set_due() puts it back. */
void
shelves_tick(struct shelves *s, int64_t now_ms)
{
	struct heap_node *first;

	while ((first = heap_min(&s->due)) != NULL && first->key <= now_ms) {
		heap_remove(&s->due, first);
		tell(s, CONTAINER(first, struct shelf, due));
	}
}
