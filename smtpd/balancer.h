/* SPDX-License-Identifier: ISC */
/*
 * balancer - reads the PROXY header of a fresh connection from a configured balancer.
 *
 * The header is taken off the socket octet for octet before a stream exists, because what follows
 * it may be a TLS handshake already.
 */
#ifndef SMTPD_BALANCER_H
#define SMTPD_BALANCER_H

#include "lib/net/addr.h"
#include "lib/util/list.h"

struct loop;

struct balancers {
	struct loop *loop;
	struct list  waiting;
	/*
	 * The header is read: `client` is whom it names. If it names nobody (health checks) the
	 * address stays unset, which no network in `trust` holds: the balancer's own right to
	 * send must not pass to whom it does not know. The descriptor is the callee's.
	 */
	void (*through)(void *arg, unsigned index, int fd, struct addr client);
	void *arg;
};

void balancers_init(struct balancers *b, struct loop *l);
void balancers_free(struct balancers *b); /* drops who still waits */

/* Drop those who came by `index`: it means another listener from now on. */
void balancers_drop(struct balancers *b, unsigned index);

/*
 * `index` is only passed on. A header that is wrong or late (10 s) ends the connection, with a
 * line in the log.
 */
void balancers_take(struct balancers *b, unsigned index, int fd, struct addr peer);

#endif
