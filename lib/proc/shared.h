/* SPDX-License-Identifier: ISC */
/*
 * shared - memory that all processes of a role see.
 *
 * The supervisor makes it, zero-filled, and keeps it while roles come and go. Its size can never
 * change, so none of those who have it can make another stumble over its end. What is
 * in it any of them may have written: it is read as if a stranger had.
 */
#ifndef LIB_PROC_SHARED_H
#define LIB_PROC_SHARED_H

#include <stddef.h>

/* A descriptor, or -1 with errno. Pages that nobody has touched cost nothing. */
int shared_create(const char *name, size_t octets);

/* Where it is now, until munmap(). NULL with errno: not ours, or its size could change. The descriptor stays the caller's. */
void *shared_map(int fd, size_t *octets);

/* The next piece from `*at` on that has ever been touched: its length; 0: there is none. Moves `*at` to its beginning. */
size_t shared_next(int fd, size_t *at, size_t octets);

#endif
