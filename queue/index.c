/* SPDX-License-Identifier: ISC */
#include "queue/index.h"

#include <stdlib.h>

#include "lib/util/mem.h"

_Static_assert(sizeof(struct msg) <= 48 && sizeof(struct part) <= 48,
               "a million messages must fit");

/* Of a tomb nothing else is kept: no two ids have the same value. */
static uint64_t
mix(uint64_t id)
{
	id ^= id >> 32;
	id *= 0xff51afd7ed558ccdull;
	return id ^ id >> 32;
}

void
index_init(struct index *x)
{
	*x = (struct index){0};
	list_init(&x->tomb_list);
	slab_init(&x->singles, sizeof(struct msg) + sizeof(struct part));
}

static void
free_msg(struct index *x, struct msg *m)
{
	if (m->n_parts == 1)
		slab_put(&x->singles, m);
	else
		free(m);
}

static void
free_each(void *index, void *msg)
{
	free_msg(index, msg);
}

void
index_free(struct index *x)
{
	order_each(&x->msgs, free_each, x);
	order_free(&x->msgs);
	slab_free(&x->singles);
	index_drop_tombs(x, UINT32_MAX);
	hash_free(&x->tombs);
}

struct msg *
index_find(const struct index *x, uint64_t id)
{
	return order_find(&x->msgs, id);
}

struct msg *
index_next(const struct index *x, uint64_t id)
{
	const struct order_item *item = id == UINT64_MAX ? NULL : order_from(&x->msgs, id + 1);

	return item == NULL ? NULL : item->value;
}

struct msg *
index_add(struct index *x, uint64_t id, uint32_t n_parts)
{
	struct msg *m = n_parts == 1 ? slab_get(&x->singles)
	                             : mem_zero(sizeof *m + n_parts * sizeof m->parts[0]);

	m->id = id;
	m->n_parts = m->n_left = n_parts;
	for (uint32_t i = 0; i < n_parts; i++)
		m->parts[i].no = i;
	order_put(&x->msgs, id, m);
	x->n_parts += n_parts;
	return m;
}

void
index_remove(struct index *x, struct msg *m)
{
	(void)order_remove(&x->msgs, m->id, m);
	x->n_parts -= m->n_parts;
	if ((m->flags & MSG_DAMAGED) != 0)
		x->n_damaged--;
	free_msg(x, m);
}

uint64_t
msg_id(const struct msg *m)
{
	return m->id;
}

uint64_t
msg_span(const struct msg *m)
{
	uint64_t n = RECORD_HEAD + (uint64_t)m->meta_len +
	             ((m->flags & MSG_BIG) != 0 ? 0 : m->size);

	return (n + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

struct msg *
part_msg(struct part *p)
{
	return CONTAINER(p - p->no, struct msg, parts);
}

bool
index_has_tomb(const struct index *x, uint64_t id)
{
	return hash_first(&x->tombs, mix(id)) != NULL;
}

void
index_add_tomb(struct index *x, uint64_t id, uint32_t seq)
{
	struct tomb *t;

	if (index_has_tomb(x, id))
		return;
	t = mem_zero(sizeof *t);
	t->seq = seq;
	list_push(&x->tomb_list, &t->link);
	hash_put(&x->tombs, &t->node, mix(id));
}

void
index_drop_tombs(struct index *x, uint32_t up_to_seq)
{
	struct tomb *t;

	LIST_EACH(&x->tomb_list, t, struct tomb, link) {
		if (t->seq > up_to_seq)
			continue;
		list_remove(&x->tomb_list, &t->link);
		hash_remove(&x->tombs, &t->node);
		free(t);
	}
}
