/* SPDX-License-Identifier: ISC */
/*
 * conn - a connection in our hands: serves a destination, rests a moment, serves the
 * next one that has the same host.
 */
#ifndef DELIVERY_CONN_H
#define DELIVERY_CONN_H

#include "delivery/client.h"
#include "delivery/mx.h"
#include "lib/util/list.h"

struct destination;
struct job;
struct setup;
struct worker;

struct conn {
	struct link         place; /* destination.conns, or worker.idle */
	struct worker      *worker;
	struct setup       *setup;
	struct destination *destination; /* NULL: idle */
	struct client      *client;
	struct hop          hop;  /* its name is our copy */
	struct buf          name;
	struct buf          key;  /* of the smarthost; empty: by MX, any domain of the host may use it */
	bool                up;
	struct job         *now, *next;
	unsigned            n_mails;
	int64_t             idle_until_ms;
};

/*
 * One more for `d`, to that hop, which is copied. It counts among d->connecting until it is `up`, takes the
 * jobs in line then by itself, and tells destination_failed() if it does not get that far.
 */
void conn_open(struct destination *d, const struct hop *hop);

/* An idle connection to one of the destination's hosts starts to serve it; false if there is none. */
bool conn_reuse(struct destination *d) MUST_USE;

/* The mail of `j`, which it carries, is given up: it is dropped, and a second mail on it goes elsewhere. */
void conn_abort(struct conn *c, struct job *j);

void conn_close_idle(struct worker *w, bool all); /* those over their time, or all */
bool conn_evict(struct worker *w) MUST_USE;       /* close the longest idle one; false: none */

#endif
