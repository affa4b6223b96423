/* SPDX-License-Identifier: ISC */
/*
 * imported - which messages an import has brought here, for the next one with the same archive.
 *
 * The store knows an id while its message waits, and some time longer. This knows it until its mail would
 * have expired, and a week: a file of the spool, in memory only while there is an import. An id is
 * on the disk here before its message may be delivered, so that no copy is made; and an id that is here has been in the
 * store, so that nothing is lost.
 *
 * The file is text: "at SECONDS" (since 1970), then a line for each id that was written then.
 */
#ifndef QUEUE_IMPORTED_H
#define QUEUE_IMPORTED_H

#include "lib/util/buf.h"

/* Zeroed at birth. */
struct imported {
	int       dirfd;   /* the spool, borrowed */
	unsigned  users;   /* imports that are under way */
	uint64_t *ids;     /* the first `n_sorted` in order */
	size_t    n, n_sorted, cap;
	size_t    n_saved; /* what is behind is not in the file yet */
	int64_t   saved_ms; /* the last imported_save(), monotonic */
	bool      anew;    /* the file is not to be trusted with more: the next imported_open() writes another */
};

/*
 * For one more import. What was written before `since_s` is dropped; of too many ids the oldest are. False and errno:
 * what was imported cannot be told, so nothing may be.
 */
bool imported_open(struct imported *p, int dirfd, int64_t since_s) MUST_USE;
void imported_close(struct imported *p); /* for each imported_open() */

/* What was added is found after the next imported_save(). */
bool imported_has(const struct imported *p, uint64_t id);
void imported_add(struct imported *p, uint64_t id);
bool imported_save(struct imported *p) MUST_USE; /* false and errno: it is not on the disk */

#endif
