/* SPDX-License-Identifier: ISC */
/*
 * queue - the role that keeps mail: store, schedule, dispatch, bounces.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include "lib/util/buf.h"

int queue_main(unsigned index); /* the exit code of the process */

/*
 * For `postern queue list|show|cat|export|import` while no daemon runs: answer the one request
 * on `fd` (lib/proc/control.h) from the spool, which is only read but for "queue put". Both
 * descriptors become the callee's. Returns when the answer has been written.
 */
int queue_offline(int dirfd, const char *request, int fd);

/* The reason of a hold that ends with the import (queue/import.c). */
#define QUEUE_IMPORTING "its import has not finished: run `postern queue import` again"
/* That of a hold that does not. */
#define QUEUE_IMPORT_HOLD "imported with --hold"

/*
 * For `postern queue fsck`: read all files of the spool and tell what is in them. Nothing is changed;
 * the caller holds the lock. Texts are valid during the call.
 */
struct fsck_news {
	const char *file; /* its name in the spool */
	bool        good;
	struct str  what;
	uint64_t    id;   /* the message concerned; 0: the file as a whole */
	bool        live; /* it is in the queue now */
};

struct fsck_hooks {
	void (*news)(void *arg, const struct fsck_news *news);
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* octets */
};

/* How many damages; or -1, and why the spool cannot be read. */
long queue_fsck(int dirfd, const struct fsck_hooks *hooks, void *arg, struct buf *why);

#endif
