/* SPDX-License-Identifier: ISC */
#include "lib/net/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { CAP_LEAST = 512 };

/* Each octet is moved at most once for each doubling: when the front half is gone. */
static void
make_room(struct outbox *b, size_t n)
{
	size_t cap = b->cap < CAP_LEAST ? CAP_LEAST : b->cap;

	if (b->cap - b->at - b->n >= n)
		return;
	if (b->at >= b->n && b->cap - b->n >= n) {
		memmove(b->p, b->p + b->at, b->n);
		b->at = 0;
		return;
	}
	while (cap - b->at - b->n < n)
		cap *= 2;
	b->p = mem_resize(b->p, cap, 1);
	b->cap = cap;
}

void
outbox_add(struct outbox *b, struct str octets)
{
	if (octets.n == 0)
		return;
	make_room(b, octets.n);
	memcpy(b->p + b->at + b->n, octets.p, octets.n);
	b->n += octets.n;
}

void
outbox_take(struct outbox *b, size_t n)
{
	assert(n <= b->n);
	b->at += n;
	b->n -= n;
	if (b->n == 0)
		outbox_free(b);
}

void
outbox_free(struct outbox *b)
{
	free(b->p);
	*b = (struct outbox){0};
}
