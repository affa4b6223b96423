/* SPDX-License-Identifier: ISC */
/* store_disk - the store in a directory of this machine: docs/queue.md. */
#ifndef QUEUE_STORE_DISK_H
#define QUEUE_STORE_DISK_H

#include "queue/store.h"

struct buf;
struct io;
struct loop;

struct store_disk_conf {
	struct loop     *loop;
	int              dirfd;         /* the spool; becomes the store's */
	bool             read_only;     /* offline: recover in memory, change nothing */
	const struct io *io;            /* NULL: the real one */
	uint32_t         segment_bytes; /* 0: by the size of the file system */
	uint64_t
		floor_bytes; /* less free space: mail is refused; 0: by the size of the file system */
	size_t warm_bytes;   /* bodies kept in memory for the first attempt; 0: 64 MiB */
	size_t index_bytes;  /* what is kept of each message; over it mail is refused; 0: no limit */
	size_t queue_bytes; /* not yet written mail; over it puts are refused for a moment; 0: 64 MiB */
	uint64_t
		slack_bytes; /* the log may outgrow twice its live octets by so much; 0: 256 MiB or less */
	int64_t lease_ms; /* of the leases that commit gives; 0: 5 minutes */
};

/*
 * Reads what is there, which takes time on a long queue, and reports damage in
 * the log and as `change` events. NULL and `why` if the directory cannot be used.
 * `events` must outlive the store; its functions may not be NULL.
 */
struct store *store_disk_open(const struct store_disk_conf *conf, const struct store_events *events,
                              void *arg, struct buf *why);

#endif
