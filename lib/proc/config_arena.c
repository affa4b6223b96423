/* SPDX-License-Identifier: ISC */
/* arena - all memory of a configuration in a few pieces, freed at once. */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

enum { CHUNK_SIZE = 2048 };

struct chunk {
	struct chunk *next;
	size_t        used, size;
	alignas(max_align_t) char octets[];
};

void *
arena_zero(struct arena *a, size_t size)
{
	struct chunk *c = a->chunks;
	void         *p;

	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (c == NULL || c->size - c->used < size) {
		size_t room = size > CHUNK_SIZE / 4 ? size : CHUNK_SIZE;

		c = mem_zero(sizeof *c + room);
		c->size = room;
		/* A piece for one large object goes behind, so that the current one is filled up. */
		if (a->chunks != NULL && room != CHUNK_SIZE) {
			c->next = a->chunks->next;
			a->chunks->next = c;
		} else {
			c->next = a->chunks;
			a->chunks = c;
		}
	}
	p = c->octets + c->used;
	c->used += size;
	return p;
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p = arena_zero(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){p, s.n};
}

const char *
arena_z(struct arena *a, struct str s)
{
	return arena_str(a, s).p;
}

void *
arena_more(struct arena *a, void *array, size_t n, size_t size)
{
	void *bigger;

	if ((n & (n - 1)) != 0) /* room is always a power of two */
		return array;
	bigger = arena_zero(a, (n == 0 ? 1 : 2 * n) * size);
	if (n > 0)
		memcpy(bigger, array, n * size);
	return bigger;
}

void
arena_free(struct arena *a)
{
	while (a->chunks != NULL) {
		struct chunk *c = a->chunks;

		a->chunks = c->next;
		mem_wipe(c->octets, c->used);
		free(c);
	}
}
