/* SPDX-License-Identifier: ISC */
#include "lib/util/list.h"

#include <assert.h>

/* A list in zeroed memory is an empty one, too. */
static void
wake(struct list *l)
{
	if (l->head.next == NULL)
		list_init(l);
}

static void
insert(struct list *l, struct link *k, struct link *before)
{
	assert(k->next == NULL);
	k->prev = before->prev;
	k->next = before;
	before->prev->next = k;
	before->prev = k;
	l->n++;
}

void
list_init(struct list *l)
{
	l->head.prev = l->head.next = &l->head;
	l->n = 0;
}

void
list_push(struct list *l, struct link *k)
{
	wake(l);
	insert(l, k, &l->head);
}

void
list_push_front(struct list *l, struct link *k)
{
	wake(l);
	insert(l, k, l->head.next);
}

void
list_remove(struct list *l, struct link *k)
{
	if (k->next == NULL)
		return;
	assert(l->n > 0);
	k->prev->next = k->next;
	k->next->prev = k->prev;
	*k = (struct link){0};
	l->n--;
}

bool
list_empty(const struct list *l)
{
	return l->n == 0;
}

struct link *
list_first(const struct list *l)
{
	return l->n > 0 ? l->head.next : NULL;
}

struct link *
list_next(const struct list *l, const struct link *k)
{
	return k->next != &l->head ? k->next : NULL;
}

struct link *
list_pop(struct list *l)
{
	struct link *k = list_first(l);

	if (k != NULL)
		list_remove(l, k);
	return k;
}
