/* SPDX-License-Identifier: ISC */
/*
 * batch - records of the log that one write and one sync make durable together.
 *
 * It knows where its records go and what they look like there; what becomes of them is the
 * log's affair. The records are blocks (disk.h): they move here from the list of those that
 * wait, in their order, and back again if the batch is given up before it was written.
 */
#ifndef QUEUE_BATCH_H
#define QUEUE_BATCH_H

#include "queue/record.h"
#include "queue/segment.h"

struct block;

struct batch {
	struct job      job;
	struct list     blocks;
	uint64_t        number;  /* they rise by one, through all segments */
	struct segment *segment; /* NULL: nothing but the end of `sealing` */
	struct segment *sealing; /* the segment before, whose last record goes first; NULL: none */
	int64_t         begun_us;
	uint32_t        at, written; /* of the segment, before this batch: `used` and `written` */
	struct iovec   *iov;
	unsigned        iov_cap;
	uint8_t         seal[RECORD_HEAD];
	struct iovec    seal_iov;
};

void batch_init(struct batch *b);
void batch_free(struct batch *b); /* and its blocks */

/* An empty one, to be filled. */
void batch_clear(struct batch *b, uint64_t number);

/* The last record of a full segment; it bears the number of the batch that did not fit. */
void batch_seal(struct batch *b, struct segment *g);

/* Does this block go behind all others of the segment? The end of each is kept for its seal. */
bool batch_fits(const struct segment *g, const struct block *block);

/*
 * Take what fits from `pending`, at least its first, and make the steps that write it, to `fd`:
 * the segment counts as used up to its end. `spares`: BATCH_ZEROS octets of zeros, which live as
 * long as the batch.
 */
enum { BATCH_ZEROS = 128 * 1024 };
void batch_fill(struct batch *b, struct list *pending, struct segment *g, int fd, uint8_t *spares);

/* It was not started: its blocks stand in front of `pending` again, the segment is as it was. */
void batch_undo(struct batch *b, struct list *pending);

#endif
