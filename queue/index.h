/* SPDX-License-Identifier: ISC */
/*
 * index - what the disk store keeps in memory of each message: 48 octets, and 48 for each part.
 *
 * Envelope, recipients, replies and body stay on disk. Messages are kept in the order of their
 * ids, which is that of their age (reports last): a listing walks there, and the start
 * of a long queue, which reads them in about that order, finds each near the last one.
 */
#ifndef QUEUE_INDEX_H
#define QUEUE_INDEX_H

#include "lib/util/hash.h"
#include "lib/util/heap.h"
#include "lib/util/list.h"
#include "queue/order.h"
#include "queue/record.h"
#include "queue/slab.h"
#include "queue/store.h"

struct block;
struct claim;
struct shelf;

enum where {
	AT_NONE, /* not committed yet */
	AT_READY,
	AT_LATER, /* or released: deferred, but may be taken before its time */
	AT_LEASED,
	AT_SETTLING, /* its new state is on its way to the disk */
	AT_HELD,
	AT_DONE,
};

enum {
	PART_NOTICED = 1,
	PART_HOLD_NEXT = 2, /* a hold was asked for during a lease */
	PART_TRIED = 4,     /* was leased once: the body in memory is of no more use to it */
};

struct part {
	union {
		struct link      link;  /* READY */
		struct heap_node due;   /* LATER */
		struct claim    *claim; /* LEASED */
	};
	struct shelf *shelf;
	uint32_t      no;
	uint32_t      state_seq, state_off; /* its newest STATE record; seq 0: the message's own part lines */
	uint32_t      n_rcpts;              /* that still wait */
	uint16_t      tries;                /* attempts that were made */
	uint8_t       where;                /* enum where: which member of the union counts */
	uint8_t       flags;                /* PART_* */
};

enum {
	MSG_BIG = 1,       /* its body is in big/ */
	MSG_DERIVED = 2,   /* a report: its id comes from its parent's, and leaves a tomb */
	MSG_DAMAGED = 4,   /* cannot be read whole: held until somebody looks */
	MSG_ARRIVING = 8,  /* its record is on its way to the disk: nobody was told 250 yet */
	MSG_MOVING = 16,   /* reclaim is writing it again, at the end of the log */
	MSG_PLACED = 32,   /* counted as live in its segment */
	MSG_ENDING = 64,   /* its end is on its way to the disk */
	MSG_MOVED = 128,   /* older segments may have a record of it, too */
	MSG_CHECKED = 256, /* its body in big/ is what was written: found so in this life */
};

struct msg {
	uint64_t         id;
	uint32_t         seq, off; /* its MSG or MOVE record */
	uint32_t         meta_len; /* envelope and part lines */
	uint32_t         size;     /* of the body */
	uint32_t         accepted_s;
	uint32_t         n_parts, n_left; /* n_left: not done */
	uint32_t         flags;
	struct block    *warm; /* the record, still in memory for the first attempt; or NULL */
	struct part      parts[];
};

/* A derived id that is done: put again it is OK and makes nothing. Ends with the segment. */
struct tomb {
	struct hash_node node;
	struct link      link;
	uint32_t         seq;
};

struct index {
	struct order msgs;      /* by id */
	struct slab  singles;   /* messages with one part */
	struct hash  tombs;     /* by id */
	struct list  tomb_list; /* by segment, the oldest first */
	uint64_t     n_parts, n_rcpts, n_held, n_leased; /* held and leased ones are parts */
	uint64_t     n_damaged;                          /* messages */
	uint64_t     live_bytes;                         /* of records that still count */
};

void        index_init(struct index *x);
void        index_free(struct index *x); /* and all messages */
struct msg *index_find(const struct index *x, uint64_t id);
struct msg *index_add(struct index *x, uint64_t id, uint32_t n_parts); /* the id is not there yet */
void        index_remove(struct index *x, struct msg *m); /* frees it; its parts are on no list */
uint64_t    msg_id(const struct msg *m);
uint64_t    msg_span(const struct msg *m); /* octets of its record */
struct msg *part_msg(struct part *p);

bool index_has_tomb(const struct index *x, uint64_t id);
void index_add_tomb(struct index *x, uint64_t id, uint32_t seq);
void index_drop_tombs(struct index *x, uint32_t up_to_seq);

/* The message with the next larger id; 0 for the first, NULL at the end. */
struct msg *index_next(const struct index *x, uint64_t id);

#endif
