/* SPDX-License-Identifier: ISC */
/*
 * destination - where mails of one lane or one smarthost wait for a connection.
 *
 * Holds the list of hosts (looked up once for all that wait, kept for a minute at
 * most), the jobs in line, and the connections that serve them. Decides which host
 * is next, how many connections are opened, and when all hosts have failed.
 */
#ifndef DELIVERY_DESTINATION_H
#define DELIVERY_DESTINATION_H

#include "delivery/mx.h"
#include "delivery/route.h"
#include "delivery/worker.h"
#include "lib/mail/reply.h"
#include "lib/proc/config.h"

struct conn;
struct job;

struct destination {
	struct hash_node by_key;
	struct link      all;     /* worker.all */
	struct link      rest;    /* worker.resting */
	struct link      starve;  /* worker.starved */
	struct worker   *worker;
	struct setup    *setup;
	struct buf       key;
	struct buf       lane;    /* what `route` borrows from */
	struct route     route;
	bool             only_ipv6; /* for mail that a gate keeps from our IPv4 address */
	bool             retired; /* of an old configuration: takes no new jobs */

	struct mx       *lookup;
	struct hops      hops;
	int64_t          hops_until_ms; /* mono */
	bool             failing; /* a connection has failed, none got through since: the list is gone through to its end */
	int64_t          asked_ms, found_ms; /* when the lookup began and ended, mono */

	struct list      waiting; /* jobs */
	struct list      conns;   /* busy and connecting ones */
	unsigned         connecting;
	int64_t          pause_until_ms; /* no more connections: the host does not want them */
	int64_t          rest_until_ms;

	struct reply     failure; /* of the last host that failed */
	struct buf       failure_text;
	struct hop       failed_hop;
	struct buf       failed_name;
};

struct destination *destination_find(struct worker *w, struct setup *setup, struct str lane,
                                     bool only_ipv6);

void        destination_add(struct destination *d, struct job *j);
void        destination_remove(struct destination *d, struct job *j); /* from the line */
struct job *destination_next(struct destination *d);                  /* NULL: nobody waits */
void        destination_return(struct destination *d, struct job *j); /* to the head of the line */

/* Open connections as far as the line needs and limits allow; or rest, if there is nothing to do. */
void destination_pump(struct destination *d);

/* A connection could not be opened (it is not `up`) or broke; called while it is still in our list. */
void destination_failed(struct destination *d, const struct conn *c, unsigned stage, struct reply r);

/*
 * The configuration has changed: existing ones serve out, new jobs get new ones.
 * `resolver`: worker.dns is another one now, lookups begin anew there.
 */
void destination_retire_all(struct worker *w, bool resolver);

/* How long `j` has waited for DNS here. */
int64_t destination_dns_ms(const struct destination *d, const struct job *j);

/* Hosts are looked up anew for what comes next: IPv6 may be used now, or no longer. */
void destination_forget_hosts(struct worker *w);

void destination_tick(struct worker *w);      /* drop those that rested long enough */
void destination_free_room(struct worker *w); /* a connection has ended: serve the starved */
void destination_close_all(struct worker *w);

#endif
