/* SPDX-License-Identifier: ISC */
/*
 * mem - memory that is always there.
 *
 * No function here returns NULL: a role that runs out of memory ends, the
 * supervisor restarts it, and nothing acknowledged is lost. Every size that a
 * peer controls is capped before it gets here.
 */
#ifndef LIB_UTIL_MEM_H
#define LIB_UTIL_MEM_H

#include <stddef.h>

void *mem_zero(size_t size);                        /* zero-filled */
void *mem_array(size_t n, size_t size);             /* zero-filled, overflow checked */
void *mem_resize(void *old, size_t n, size_t size); /* as reallocarray */
void *mem_copy(const void *from, size_t size);      /* a new copy; size 0 is allowed */
void  mem_wipe(void *p, size_t size);               /* not optimised away */

/* The object of type `type` whose member `member` is at `ptr`. */
#define CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
