/* SPDX-License-Identifier: ISC */
/*
 * context - a libunbound context set up as configured, inside our event loop.
 *
 * The files it needs (resolv.conf, hosts, the root's trust anchor) are read by
 * source_read(), which a role calls before it enters its sandbox; the context
 * itself is made from that text later, with the first question.
 */
#ifndef LIB_DNS_CONTEXT_H
#define LIB_DNS_CONTEXT_H

#include "lib/dns/dns.h"

struct ub_ctx;

/* A resolver configuration that depends on no file any more. */
struct source {
	bool            recursive;
	struct addr    *servers;
	size_t          n_servers;
	enum dns_dnssec dnssec;
	struct buf      hosts;  /* local data, one "NAME. A IP" a line */
	struct buf      anchor; /* trust anchors, one record a line */
};

/* False and a sentence in `why` if no server is known, or dnssec is demanded and has no anchor. */
bool source_read(struct source *s, const struct dns_conf *conf, struct buf *why) MUST_USE;
void source_free(struct source *s);

/* The text forms, for tests: names of a hosts file, nameservers of a resolv.conf. */
void source_hosts(struct source *s, struct str text);
void source_nameservers(struct source *s, struct str text);

/* NULL and a sentence in `why` if libunbound refuses. `validate`: with DNSSEC. */
struct ub_ctx *context_create(struct loop *l, struct source *s, bool validate, struct buf *why);

#endif
