/* SPDX-License-Identifier: ISC */
/*
 * mx - from a domain to the hosts that take its mail, in the order to try them.
 *
 * RFC 5321 section 5.1: MX by preference, random among equals, the domain's own
 * address if there is no MX; null MX (RFC 7505). Our own listeners are never among them,
 * nor anything less preferred than they: mail would come back to us.
 */
#ifndef DELIVERY_MX_H
#define DELIVERY_MX_H

#include "lib/mail/reply.h"
#include "lib/net/addr.h"

struct dns;
struct loop;
struct mx;

enum {
	MX_HOSTS_MAX = 20,
	MX_HOPS_MAX = 40,      /* addresses in all */
	MX_ADDRESSES_MAX = 8,  /* of one host and family */
	MX_TTL_MAX_S = 60,     /* libunbound's cache is asked again after that */
};

/* One place to connect to. */
struct hop {
	struct str  name;   /* of the host, or the literal; borrows from hops.names */
	struct addr addr;   /* with its port */
	bool        plain;  /* its TLS has failed: the next connection goes without */
	bool        failed; /* not worth another connection for now */
};

struct hops {
	struct hop *v; /* in the order in which they are to be tried */
	size_t      n;
	char       *names; /* what the names in `v` borrow from */
};

void hops_free(struct hops *h);

struct mx_conf {
	struct loop       *loop;
	struct dns        *dns;
	uint16_t           port;
	bool               direct;  /* by MX; otherwise the name is a host */
	bool               ipv6;
	bool               only_ipv6; /* IPv4 addresses are of no use: our own must not be seen */
	bool               private_mx; /* hosts on loopback, link-local and private addresses are allowed */
	const struct addr *own;     /* what we listen on, with ports; valid until the answer */
	size_t             n_own;
};

/*
 * `fn` comes once, later, unless cancelled: either with hops, which the callee takes over
 * (and clears), valid for `ttl_s`; or with none and the reason in `failure`, temporary or
 * permanent. Literals, as "[192.0.2.1]" or bare in a route, cost no question.
 */
typedef void mx_fn(void *arg, struct hops *hops, unsigned ttl_s, struct reply failure);

struct mx *mx_start(const struct mx_conf *conf, struct str domain, mx_fn *fn, void *arg);
void       mx_cancel(struct mx *m); /* NULL is allowed */

#endif
