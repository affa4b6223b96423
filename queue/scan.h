/* SPDX-License-Identifier: ISC */
/*
 * scan - what can be seen in the octets of one segment, and which of it counts.
 *
 * For recovery.c, which acts on it, and fsck.c, which tells. Neither a header nor a length is
 * believed without its sum.
 */
#ifndef QUEUE_SCAN_H
#define QUEUE_SCAN_H

#include "queue/disk.h"

enum verdict { RECORD_GOOD, RECORD_BAD_META, RECORD_BAD_BODY };

struct sight {
	uint32_t      at;
	enum verdict  verdict;
	struct record r;
};

enum { READ_PIECE = 256 * 1024 }; /* so that sums are made of what the processor still has at hand */

struct scan {
	struct segment *g;
	uint8_t        *data; /* room for the whole segment */
	uint32_t        n;    /* octets of it that are there */
	struct sight   *seen;
	size_t          n_seen, cap;
	struct {
		uint32_t from, to;
	} * holes; /* not covered by a header that can be believed */
	size_t   n_holes;
	bool     sealed;
	uint64_t limit; /* records of this batch and later ones do not count; 0: all count */
	uint64_t torn; /* this batch was never finished: what is bad in it was never acknowledged */
	uint32_t end;  /* behind the last record that counts */
	unsigned damages;
	struct buf hint;
};

/* Read `g` up to its SEAL: the records, the holes between them. */
void scan_look(struct disk *d, struct scan *s);

/*
 * `next_first`: the first batch of the segment behind this one, 0 if there is
 * none. A segment without SEAL and with a successor had a failed write: its last
 * batch was written again in the successor, under the same number.
 */
void scan_set_limit(struct scan *s, uint64_t next_first);
bool scan_counts(const struct scan *s, const struct sight *v);

/* Where the batches begin that nobody was promised; holes from there on are no loss. */
uint32_t scan_loss_begin(const struct scan *s);
void     scan_free(struct scan *s); /* its tables */

/* What cannot be read is zero, which makes a hole, and is logged. */
void     segment_read_some(struct disk *d, struct segment *g, uint32_t at, uint8_t *to, uint32_t n);
uint64_t segment_first_batch(struct disk *d, struct segment *g); /* 0: none, or it cannot be read */

#endif
