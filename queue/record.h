/* SPDX-License-Identifier: ISC */
/*
 * record - the unit of the log: a 64-byte header, envelope, part lines, body.
 *
 * Records start at multiples of 64. The checksums are seeded with the salt of
 * the segment, a random number that stands in its file's name only: a record
 * that a sender hides in the body of his message can never be taken for one of ours,
 * and what an earlier use of a recycled file left behind is not valid either.
 */
#ifndef QUEUE_RECORD_H
#define QUEUE_RECORD_H

#include "lib/util/str.h"

enum {
	RECORD_HEAD = 64,
	RECORD_ALIGN = 64,
};

enum record_type {
	RECORD_MSG = 1, /* a message as it came: envelope, parts, body */
	RECORD_STATE,   /* the part lines of one part: the newest one counts */
	RECORD_DONE,    /* the message is finished: header only */
	RECORD_MOVE,    /* a message again, from an older segment, with the states of now */
	RECORD_SEAL,    /* nothing follows in this segment */
};

enum {
	RECORD_LAST = 1,    /* ends its batch */
	RECORD_BIG = 2,     /* the body is the file big/<id>; body_len is its size */
	RECORD_DERIVED = 4, /* a bounce: remembered after it is done, so it is never made twice */
	RECORD_DAMAGED = 8, /* moved although it was damaged: stays on hold */
	/* What was damaged when it was moved, and can never be whole again: the sums are of what was left. */
	RECORD_SPOILED_META = 16,
	RECORD_SPOILED_BODY = 32,
};

struct record {
	enum record_type type;
	unsigned         flags;
	uint32_t         seq;       /* of the segment */
	uint32_t         batch_off; /* where the batch of this record begins in the segment */
	uint64_t         batch;     /* counts up by one over the whole log */
	uint64_t         id;
	uint32_t         env_len, parts_len, body_len;
	uint64_t         meta_sum, body_sum;
};

/* Octets that the record takes in the segment, padding included. */
uint64_t record_span(const struct record *r);

/* Octets of the body that stand in the segment: none for a big one. */
uint32_t record_inline(const struct record *r);

uint64_t record_sum(uint64_t salt, const void *p, size_t n);

void record_encode(uint8_t out[RECORD_HEAD], const struct record *r, uint64_t salt);

/* False unless these are 64 octets of a header written with that salt for segment `seq`. */
bool record_decode(struct record *r, const uint8_t in[RECORD_HEAD], uint32_t seq,
                   uint64_t salt) MUST_USE;

#endif
