/* SPDX-License-Identifier: ISC */
#include "queue/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "queue/index.h"

/* A key of `ages`: told or not, the second, and of the id what rises within a second. */
enum { SECOND_SHIFT = 31 };
static const uint64_t told_key = 1ull << 63;

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
	order_free(&sh->ages);
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

static uint64_t
age_key(struct part *p)
{
	const struct msg *m = part_msg(p);

	return ((p->flags & PART_NOTICED) != 0 ? told_key : 0) |
	       (uint64_t)m->accepted_s << SECOND_SHIFT | (m->id & ((1ull << SECOND_SHIFT) - 1));
}

/* The one of the two heaps that the part is in. */
static struct heap *
heap_of(struct shelf *sh, const struct part *p)
{
	size_t at = p->due.at - 1;

	return at < sh->released.n && sh->released.nodes[at] == &p->due ? &sh->released
	                                                                 : &sh->later;
}

void
shelf_put(struct shelves *s, struct part *p, int64_t due_ms, int64_t now_ms)
{
	struct shelf *sh = p->shelf;

	memset(&p->due, 0, sizeof p->due);
	order_put(&sh->ages, age_key(p), p);
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
		heap_remove(heap_of(sh, p), &p->due);
		s->n_later--;
		set_due(s, sh);
	} else {
		return;
	}
	(void)order_remove(&sh->ages, age_key(p), p);
	p->where = AT_NONE;
}

struct part *
shelf_front(struct shelves *s, struct shelf *sh, int64_t now_ms)
{
	struct link      *k = list_first(&sh->ready);
	struct heap_node *first;

	s->n_looks++;
	if (k != NULL)
		return CONTAINER(k, struct part, link);
	if ((first = heap_min(&sh->released)) != NULL)
		return CONTAINER(first, struct part, due);
	first = heap_min(&sh->later);
	return first != NULL && first->key <= now_ms ? CONTAINER(first, struct part, due) : NULL;
}

struct part *
shelf_oldest(struct shelves *s, const struct shelf *sh, uint32_t before_s, bool told,
             struct order_item *after)
{
	const struct order_item *item = after->value == NULL ? order_from(&sh->ages, 0)
	                                                     : order_next(&sh->ages, after);
	uint64_t                 end = (uint64_t)before_s << SECOND_SHIFT;

	s->n_looks++;
	if (item != NULL && item->key < told_key && item->key >= end)
		item = order_from(&sh->ages, told_key);
	if (item == NULL || (item->key & ~told_key) >= end || (!told && item->key >= told_key))
		return NULL;
	*after = *item;
	return item->value;
}

void
shelf_untold(struct shelves *s, struct shelf *sh)
{
	sh->told = false;
	list_remove(&s->news, &sh->news);
	set_due(s, sh);
}

/* The smaller heap goes into the larger one: the first release of a lane moves nothing. */
void
shelf_release(struct shelves *s, struct shelf *sh)
{
	struct heap       small = sh->released;
	struct heap_node *first;

	if (small.n < sh->later.n)
		sh->released = sh->later;
	else
		small = sh->later;
	sh->later = (struct heap){0};
	while ((first = heap_min(&small)) != NULL) {
		int64_t key = first->key;

		s->n_looks++;
		heap_remove(&small, first);
		heap_put(&sh->released, first, key);
	}
	heap_free(&small);
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
