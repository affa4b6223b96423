/* SPDX-License-Identifier: ISC */
/*
 * setup - what follows from one configuration: counted, and gone with its last job.
 */
#ifndef DELIVERY_SETUP_H
#define DELIVERY_SETUP_H

#include "lib/net/addr.h"
#include "lib/proc/config.h"

struct tls_client;

struct setup {
	unsigned           users;
	struct config     *config;
	struct str         helo;
	struct addr       *own; /* addresses and ports that we listen on ourselves */
	size_t             n_own;
	unsigned           lane_limit; /* connections of this process to one destination */
	struct tls_client *trust;      /* by setup_trust() only */
	bool               trust_tried;
};

/* Takes over the caller's reference to `c`. Trust anchors are loaded at once if a route demands TLS. */
struct setup *setup_create(struct config *c);
struct setup *setup_ref(struct setup *s);
void          setup_unref(struct setup *s); /* NULL is allowed */

/* Trust anchors, loaded when first needed: they cost megabytes. NULL if there are none (logged once). */
struct tls_client *setup_trust(struct setup *s);

/* Do two configurations ask the resolver in the same way? */
bool setup_same_resolver(const struct config *a, const struct config *b);

#endif
