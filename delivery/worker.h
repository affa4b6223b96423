/* SPDX-License-Identifier: ISC */
/*
 * worker - what the parts of one delivery process share.
 */
#ifndef DELIVERY_WORKER_H
#define DELIVERY_WORKER_H

#include "lib/proc/wire.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

struct channel;
struct dns;
struct gates;
struct loop;
struct published;
struct setup;
struct signer;
struct timer;

enum {
	CONNS_MAX = 500, /* of this process, idle ones included */
	IDLE_MAX = 200,
};

/* A family (IPv6 or IPv4) that got through or did not; mono clock, 0: never. */
struct family {
	int64_t good_ms, bad_ms;
};

struct counters {
	uint64_t delivered, deferred, refused; /* recipients */
	uint64_t connections, reused;          /* made; mails on one that was there */
	uint64_t lookups;
	uint64_t held; /* mails that a gate sent back */
};

struct worker {
	struct loop    *loop;
	struct dns     *dns;    /* replaced when a configuration asks other resolvers */
	struct setup   *setup;  /* of the newest configuration */
	struct signer  *signer;
	struct gates     *gates;     /* this and the next: NULL, nothing is asked */
	struct published *published;
	struct channel *queue; /* NULL: gone */
	struct hash     destinations;
	struct list     all;      /* destinations, retired ones included */
	struct list     resting;  /* destinations without work, the longest first */
	struct list     starved;  /* destinations that wait for a connection to become free */
	struct list     idle;     /* connections without work, the longest first */
	struct timer   *idle_end;
	size_t          n_conns;
	struct list     jobs;       /* oldest first */
	uint64_t        held_bytes; /* texts and bodies of all jobs in memory */
	struct family   family[2]; /* IPv4, IPv6 */
	struct counters count;
	/* A job has ended: capacity has become free, or the drain may be over. */
	void (*job_gone)(struct worker *w);
	/* To the supervisor; NULL: nobody listens. */
	void (*tell)(struct worker *w, enum wire_id id, const void *msg);
	int64_t suspect_ms; /* when a SUSPECT may be told again, mono */
};

#endif
