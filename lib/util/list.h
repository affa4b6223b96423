/* SPDX-License-Identifier: ISC */
/*
 * list - doubly linked, intrusive: the object carries its own link.
 *
 * A zeroed link is in no list; list_remove() on it is allowed and does nothing,
 * so every destroy can call it. A link is in one list at a time, and the list must
 * stay where it is while it has members: they point at its head.
 */
#ifndef LIB_UTIL_LIST_H
#define LIB_UTIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/util/mem.h"

struct link {
	struct link *prev, *next;
};

struct list {
	struct link head; /* a ring: head.next is the first, head.prev the last */
	size_t      n;    /* how many are in it */
};

void         list_init(struct list *l); /* needed: a zeroed list is none */
void         list_push(struct list *l, struct link *k); /* at the end */
void         list_push_front(struct list *l, struct link *k);
void         list_remove(struct list *l, struct link *k);
bool         list_empty(const struct list *l);
struct link *list_first(const struct list *l);                      /* NULL if empty */
struct link *list_next(const struct list *l, const struct link *k); /* NULL at the end */
struct link *list_pop(struct list *l); /* the first, removed; NULL if empty */

/* Walk; removing the current object inside the loop is allowed. */
#define LIST_EACH(list_, var, type, member)                                               \
	for (struct link *at_ = list_first(list_), *after_ = NULL;                        \
	     at_ != NULL &&                                                               \
	     ((after_ = list_next(list_, at_)), (var = CONTAINER(at_, type, member)), 1); \
	     at_ = after_)

#endif
