/* SPDX-License-Identifier: ISC */
#include "queue/slab.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A little less than a chunk's alignment, so that malloc() can set the next one close behind it. */
enum { ALIGN = 16 * 1024, CHUNK = ALIGN - 64 };

struct chunk {
	struct link link;
	void       *given_back; /* each begins with a pointer to the next */
	uint32_t    n_used, fresh; /* octets of the chunk that were used at all */
};

void
slab_init(struct slab *s, size_t size)
{
	s->size = size;
	list_init(&s->open);
}

void
slab_free(struct slab *s)
{
	struct link *k;

	while ((k = list_pop(&s->open)) != NULL)
		free(CONTAINER(k, struct chunk, link));
}

#ifdef __SANITIZE_ADDRESS__

/* Where mistakes are looked for, each slot has bounds of its own. */
void *
slab_get(struct slab *s)
{
	return mem_zero(s->size);
}

void
slab_put(struct slab *s, void *slot)
{
	(void)s;
	free(slot);
}

#else

static struct chunk *
add_chunk(struct slab *s)
{
	void         *room;
	struct chunk *c;

	if (posix_memalign(&room, ALIGN, CHUNK) != 0)
		abort();
	c = room;
	*c = (struct chunk){.fresh = sizeof *c};
	list_push(&s->open, &c->link);
	return c;
}

static bool
is_full(const struct slab *s, const struct chunk *c)
{
	return c->given_back == NULL && c->fresh + s->size > CHUNK;
}

void *
slab_get(struct slab *s)
{
	struct link  *k = list_first(&s->open);
	struct chunk *c = k != NULL ? CONTAINER(k, struct chunk, link) : add_chunk(s);
	void         *slot = c->given_back;

	if (slot != NULL) {
		memcpy(&c->given_back, slot, sizeof c->given_back);
	} else {
		slot = (char *)c + c->fresh;
		c->fresh += (uint32_t)s->size;
	}
	c->n_used++;
	if (is_full(s, c))
		list_remove(&s->open, &c->link);
	return memset(slot, 0, s->size);
}

/* The last chunk stays: a queue of one message would get and give it back all day. */
void
slab_put(struct slab *s, void *slot)
{
	struct chunk *c = (struct chunk *)(void *)((char *)slot - (uintptr_t)slot % ALIGN);

	assert(c->n_used > 0);
	if (is_full(s, c))
		list_push(&s->open, &c->link);
	memcpy(slot, &c->given_back, sizeof c->given_back);
	c->given_back = slot;
	if (--c->n_used > 0 || s->open.n == 1)
		return;
	list_remove(&s->open, &c->link);
	free(c);
}

#endif
