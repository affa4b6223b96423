/* SPDX-License-Identifier: ISC */
/*
 * slab - many things of one size, without what malloc() adds to each.
 *
 * Slots are cut from chunks of 16 KiB; a chunk goes back when its last slot does.
 */
#ifndef QUEUE_SLAB_H
#define QUEUE_SLAB_H

#include "lib/util/list.h"

struct slab {
	size_t      size; /* of a slot, a multiple of 8 */
	struct list open; /* chunks with room */
};

void  slab_init(struct slab *s, size_t size);
void  slab_free(struct slab *s); /* every slot has been put back */
void *slab_get(struct slab *s);  /* zero-filled */
void  slab_put(struct slab *s, void *slot);

#endif
