/* SPDX-License-Identifier: ISC */
/*
 * job - one lease: a part of a message, from the queue's frame to its OUTCOME.
 *
 *     lease -> gate -> signature -> waits at its destination -> a connection carries it -> outcome
 */
#ifndef DELIVERY_JOB_H
#define DELIVERY_JOB_H

#include "delivery/mail.h"
#include "delivery/published.h"
#include "lib/proc/wire.h"
#include "lib/util/list.h"

struct conn;
struct destination;
struct setup;
struct signing;
struct worker;

struct job {
	struct link         all;     /* worker.jobs */
	struct link         place;   /* destination.waiting */
	struct worker      *worker;
	struct setup       *setup;
	struct destination *destination; /* NULL: not there yet */
	struct conn        *conn;        /* carries it now */
	struct signing     *signing;
	struct published_wait gate; /* the keys are being looked up */
	uint64_t            id, token;
	uint32_t            part;
	struct str          lane;
	struct envelope     env;
	struct mail         mail;
	char               *memory; /* of the texts of the lease */
	size_t              memory_n;
	struct buf          fields; /* signature */
	struct buf          dkim;
	unsigned            tries;  /* connections that broke under it */
	bool                cut;    /* one of them in the middle of the message */
	bool                only_ipv6; /* a gate keeps it from our IPv4 address */
	int64_t             started_ms, waiting_ms, sent_ms; /* mono */
	struct buf          facts;
	struct buf          mta;
};

/* `fd` becomes the job's. A lease that makes no sense ends with a temporary outcome. */
void job_start(struct worker *w, const struct wire_lease *lease, int fd);

/* Every target has its reply: tell the queue, and end. */
void job_done(struct job *j);

/* The same, with `r` for all targets that have none. */
void job_fail(struct job *j, struct reply r, unsigned scope);

/*
 * What a failure that is nobody's in particular says of: the lane; but a host that broke off
 * in the middle of this message may well take others. Mail that a gate keeps from IPv4 waits for the gate
 * if nobody can be reached without.
 */
unsigned job_scope(const struct job *j);

/* Drop it without a word: the queue is gone, or we go. */
void job_drop(struct job *j);

/* Give up jobs that have waited or run too long; called every few seconds. */
void job_tick(struct worker *w);

#endif
