/* SPDX-License-Identifier: ISC */
/*
 * route - where mail of a lane goes: to its MX hosts or to a smarthost.
 *
 * Pure, and asked anew at every attempt: a changed configuration reaches mail
 * that is already queued.
 */
#ifndef DELIVERY_ROUTE_H
#define DELIVERY_ROUTE_H

#include "lib/proc/config.h"

struct route {
	bool           direct;   /* by MX of the lane; the rest is for a smarthost */
	struct str     host;     /* direct: the lane itself */
	uint16_t       port;
	enum route_tls tls;
	struct str     user, password; /* empty: no AUTH */
	bool           xoauth2;
	const struct route_conf *by; /* the line that decided; NULL: none, the default */
};

/* The most exact line wins: the domain itself, then patterns by length, then "*". Texts borrow from `c` and `lane`. */
struct route route_find(const struct config *c, struct str lane);

/*
 * What mails must share to use one connection after another: the domain, or the
 * smarthost with its login.
 */
void route_key(struct buf *out, const struct route *r);

#endif
