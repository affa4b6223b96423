/* SPDX-License-Identifier: ISC */
/*
 * lane - a destination's turn, limits and health; dispatch.c and lane.c alone share this.
 *
 * Lanes that have work stand in a ring and take turns. A lane may have at most as
 * many parts out as there is room left in all workers: one lane alone gets half
 * of the room, and however many slow lanes there are, a fresh one still finds
 * some. A lane whose host does not answer rests; then one part at a time goes
 * out as a probe, and the first that gets through releases all that waits.
 */
#ifndef QUEUE_LANE_H
#define QUEUE_LANE_H

#include "queue/core.h"

struct channel;

struct worker {
	struct link      link;
	struct dispatch *d;
	unsigned         index;
	struct channel  *channel;
	size_t           capacity; /* leases it takes at once, as it said; 0: not yet */
	struct list      attempts; /* what it has in hand */
};

struct dispatch_lane {
	struct hash_node node;
	struct link      turn;  /* in dispatch.ring */
	struct heap_node until; /* in dispatch.resting; key: wall clock */
	struct dispatch *d;
	size_t           n_out; /* parts in hands of workers */
	unsigned         failures; /* probes in a row that failed */
	bool             work;     /* the store has something, as far as we know */
	bool             asking;   /* a lease call is on its way */
	bool             sweeping;
	unsigned         swept; /* parts that the running sweep has found */
	unsigned         asked, got;
	struct buf       last; /* the reply that made it rest, reply_format() */
	size_t           n;
	char             name[];
};

struct dispatch {
	struct queue   *q;
	struct list     workers;
	struct hash     lanes, attempts;
	struct list     ring;
	struct list     blocked; /* lanes whose next part waits for one certain worker */
	struct heap     resting;
	size_t          capacity, n_out, n_asked;
	struct deferred pump;
	struct timer   *wake, *renew;
	uint64_t        n_stale;
};

struct str            lane_name(const struct dispatch_lane *l);
struct dispatch_lane *lane_find(const struct dispatch *d, struct str name);
struct dispatch_lane *lane_get(struct dispatch *d, struct str name); /* made if it is not there */
void                  lane_destroy(struct dispatch *d, struct dispatch_lane *l);

/* Ends it if there is nothing to know of it: no work, nothing out, no failure. The pointer may be dead then. */
void lane_check(struct dispatch *d, struct dispatch_lane *l);

/* Into the ring, if it has work. */
void lane_turn(struct dispatch *d, struct dispatch_lane *l);

/* How many more parts of it may go out now. */
size_t lane_allowance(const struct dispatch *d, const struct dispatch_lane *l);

/* A reply that is the lane's own fault: it rests, longer each time. `r` is copied. */
void lane_failed(struct dispatch *d, struct dispatch_lane *l, struct reply r);

/* One got through: the rest is over, and all that was deferred is released. */
void lane_works(struct dispatch *d, struct dispatch_lane *l);

void lane_wake(void *dispatch); /* the timer's: rests that are over */

void   dispatch_pump_soon(struct dispatch *d);    /* deal out what can go, when the loop turns */
size_t dispatch_room(const struct dispatch *d);   /* leases that all workers together can still take */

/* A lease that nobody can take now: its part is due again at once. */
void dispatch_give_back(struct dispatch *d, uint64_t id, uint32_t part, uint64_t token);

#endif
