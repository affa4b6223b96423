/* SPDX-License-Identifier: ISC */
#include "delivery/destination.h"

#include <stdlib.h>

#include "delivery/client.h"
#include "delivery/conn.h"
#include "delivery/gate.h"
#include "delivery/job.h"
#include "delivery/setup.h"
#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	CONNECTING_MAX = 5,        /* at once to one destination: no burst at the first mail */
	PAUSE_MS = 5000,
	FAMILY_MS = 10 * 60 * 1000, /* how long a failure of IPv6 or IPv4 is remembered */
	REST_MS = 60 * 1000,
	STALE_MS = 30 * 1000,
	RESTING_MAX = 2000,
};

static struct destination *
create(struct worker *w, struct setup *setup, struct str lane, struct str key)
{
	struct destination *d = mem_zero(sizeof *d);

	d->worker = w;
	d->setup = setup_ref(setup);
	d->key = BUF(2048);
	buf_add(&d->key, key);
	d->lane = BUF(512);
	buf_add(&d->lane, lane);
	d->route = route_find(setup->config, buf_str(&d->lane));
	d->failure_text = BUF(REPLY_TEXT_MAX);
	d->failed_name = BUF(512);
	list_init(&d->waiting);
	list_init(&d->conns);
	hash_put(&w->destinations, &d->by_key, hash_str(key));
	list_push(&w->all, &d->all);
	return d;
}

static void
destroy(struct destination *d)
{
	struct worker *w = d->worker;

	mx_cancel(d->lookup);
	hops_free(&d->hops);
	if (!d->retired)
		hash_remove(&w->destinations, &d->by_key);
	list_remove(&w->all, &d->all);
	list_remove(&w->resting, &d->rest);
	list_remove(&w->starved, &d->starve);
	setup_unref(d->setup);
	buf_free(&d->key);
	buf_free(&d->lane);
	buf_free(&d->failure_text);
	buf_free(&d->failed_name);
	free(d);
}

static struct destination *
lookup_key(const struct worker *w, struct str key)
{
	struct hash_node *n;

	for (n = hash_first(&w->destinations, hash_str(key)); n != NULL; n = hash_more(n)) {
		struct destination *d = CONTAINER(n, struct destination, by_key);

		if (str_eq(buf_str(&d->key), key))
			return d;
	}
	return NULL;
}

/* `setup` may be older than the worker's: a job keeps what it began with, in a destination of its own. */
struct destination *
destination_find(struct worker *w, struct setup *setup, struct str lane, bool only_ipv6)
{
	struct buf          key = BUF(2048);
	struct route        route = route_find(setup->config, lane);
	struct destination *d;

	route_key(&key, &route);
	buf_addf(&key, " %u%s", setup->config->generation, only_ipv6 ? " 6" : "");
	d = lookup_key(w, buf_str(&key));
	if (d == NULL)
		d = create(w, setup, lane, buf_str(&key));
	d->only_ipv6 = only_ipv6;
	buf_free(&key);
	list_remove(&w->resting, &d->rest);
	return d;
}

static bool
is_working(const struct destination *d)
{
	return d->lookup != NULL || !list_empty(&d->waiting) || !list_empty(&d->conns);
}

static bool
family_is_bad(const struct worker *w, const struct hop *h)
{
	const struct family *f = &w->family[h->addr.family == 6];

	return f->bad_ms != 0 && f->bad_ms > f->good_ms && time_mono_ms() - f->bad_ms < FAMILY_MS;
}

/* The next host to try; one of a family that lately did not work comes after all others. */
static struct hop *
pick(struct destination *d)
{
	struct hop *spare = NULL;

	for (size_t i = 0; i < d->hops.n; i++) {
		struct hop *h = &d->hops.v[i];

		if (h->failed)
			continue;
		if (!family_is_bad(d->worker, h))
			return h;
		if (spare == NULL)
			spare = h;
	}
	return spare;
}

static void
rest(struct destination *d)
{
	struct worker *w = d->worker;

	if (is_working(d) || d->rest.next != NULL)
		return;
	list_remove(&w->starved, &d->starve);
	d->failing = false;
	if (pick(d) == NULL)
		d->hops_until_ms = 0; /* all have failed: the next mail looks anew */
	d->rest_until_ms = time_mono_ms() + REST_MS;
	list_push(&w->resting, &d->rest);
	if (w->resting.n > RESTING_MAX) /* never `d` itself, nor another that is below us on the stack */
		destroy(CONTAINER(list_first(&w->resting), struct destination, rest));
}

void
destination_tick(struct worker *w)
{
	int64_t      now = time_mono_ms();
	struct link *first;

	while ((first = list_first(&w->resting)) != NULL) {
		struct destination *d = CONTAINER(first, struct destination, rest);

		if (d->rest_until_ms > now)
			return;
		destroy(d);
	}
}

struct job *
destination_next(struct destination *d)
{
	struct link *first = list_pop(&d->waiting);

	return first != NULL ? CONTAINER(first, struct job, place) : NULL;
}

void
destination_return(struct destination *d, struct job *j)
{
	list_push_front(&d->waiting, &j->place);
}

void
destination_remove(struct destination *d, struct job *j)
{
	list_remove(&d->waiting, &j->place);
	rest(d);
}

int64_t
destination_dns_ms(const struct destination *d, const struct job *j)
{
	return j->waiting_ms <= d->found_ms ? d->found_ms - d->asked_ms : 0;
}

/* What was tried last, for the log line of a mail that got no connection. */
static void
note_failed(const struct destination *d, struct job *j)
{
	int64_t dns = destination_dns_ms(d, j);

	if (d->failed_name.n > 0) {
		buf_addz(&j->facts, "mx=");
		buf_add(&j->facts, buf_str(&d->failed_name));
		buf_addz(&j->facts, " ip=");
		addr_format(&j->facts, d->failed_hop.addr);
		buf_addc(&j->facts, ' ');
		buf_add(&j->mta, buf_str(&d->failed_name));
	}
	buf_addf(&j->facts, "dns=%lld.%03lld", (long long)(dns / 1000), (long long)(dns % 1000));
}

/*
 * No host is left: all that wait end with the same reason. The list of hosts is dropped, so
 * that the next attempt looks anew.
 */
static void
fail_waiting(struct destination *d, struct reply r)
{
	struct job *j;

	hops_free(&d->hops);
	d->hops_until_ms = 0;
	d->failing = false;
	while ((j = destination_next(d)) != NULL) {
		note_failed(d, j);
		job_fail(j, r, reply_is_temporary(r) ? job_scope(j) : SCOPE_MESSAGE);
	}
	rest(d);
}

static void
found(void *arg, struct hops *hops, unsigned ttl_s, struct reply failure)
{
	struct destination *d = arg;
	int64_t             now = time_mono_ms();

	d->lookup = NULL;
	d->found_ms = now;
	if (hops->n == 0 && d->hops.n > 0 && reply_is_temporary(failure)) {
		d->hops_until_ms = now + STALE_MS; /* what worked a minute ago is better than nothing */
		destination_pump(d);
		return;
	}
	buf_clear(&d->failed_name);
	if (hops->n == 0) {
		fail_waiting(d, failure);
		return;
	}
	hops_free(&d->hops);
	d->hops = *hops;
	*hops = (struct hops){0};
	d->hops_until_ms = now + (int64_t)(ttl_s > 0 ? ttl_s : 1) * 1000;
	d->pause_until_ms = 0;
	d->failing = false;
	destination_pump(d);
}

/* On the way to a smarthost its address counts, not ours. */
static bool
may_use_ipv6(const struct destination *d)
{
	const struct config *c = d->setup->config;

	if (d->only_ipv6)
		return true;
	return d->route.direct ? gates_ipv6(d->worker->gates, c) : c->outbound.ipv6 != IPV6_OFF;
}

static void
look_up(struct destination *d)
{
	const struct config *c = d->setup->config;
	struct mx_conf       conf = {
		.loop = d->worker->loop,
		.dns = d->worker->dns,
		.port = d->route.port,
		.direct = d->route.direct,
		.ipv6 = may_use_ipv6(d),
		.only_ipv6 = d->only_ipv6,
		.private_mx = c->outbound.private_mx,
		.own = d->setup->own,
		.n_own = d->setup->n_own,
	};

	d->asked_ms = time_mono_ms();
	d->worker->count.lookups++;
	d->lookup = mx_start(&conf, d->route.host, found, d);
}

static struct hop *
same_hop(struct destination *d, const struct hop *as)
{
	for (size_t i = 0; i < d->hops.n; i++)
		if (addr_equal(d->hops.v[i].addr, as->addr) && str_eq(d->hops.v[i].name, as->name))
			return &d->hops.v[i];
	return NULL;
}

static bool
other_is_up(const struct destination *d, const struct conn *c)
{
	struct conn *o;

	LIST_EACH(&d->conns, o, struct conn, place)
		if (o != c && o->up && addr_equal(o->hop.addr, c->hop.addr))
			return true;
	return false;
}

/* The last word counts, but no 521 after a temporary one: it speaks for its host alone (RFC 7504). */
static void
remember(struct destination *d, const struct conn *c, struct reply r)
{
	if (d->failing && reply_is_temporary(d->failure) && !reply_is_temporary(r))
		return;
	buf_clear(&d->failure_text);
	d->failure = r;
	if (!d->route.direct && !reply_is_temporary(r)) { /* a smarthost would cost all our mail */
		reply_format(&d->failure_text, r);
		d->failure = (struct reply){.code = 451, .status = {4, 3, 2}};
	} else {
		buf_add(&d->failure_text, r.text);
	}
	d->failure.text = buf_str(&d->failure_text);
	d->failed_hop = c->hop;
	buf_clear(&d->failed_name);
	buf_add(&d->failed_name, c->hop.name);
}

/*
 * A family is bad if it fails and has not got through to anybody lately: that tells a
 * machine without IPv6 from a host that is down.
 */
static void
blame_family(struct worker *w, const struct hop *h)
{
	struct family *f = &w->family[h->addr.family == 6];
	int64_t        now = time_mono_ms();

	if (f->good_ms == 0 || now - f->good_ms > FAMILY_MS)
		f->bad_ms = now;
}

void
destination_failed(struct destination *d, const struct conn *c, unsigned stage, struct reply r)
{
	struct hop *h = same_hop(d, &c->hop);

	remember(d, c, r);
	d->failing = true;
	if (h == NULL)
		return;
	if (c->up) {
		if (c->n_mails <= 1)
			h->failed = true;
		return;
	}
	if (stage == STAGE_CONNECT)
		blame_family(d->worker, h);
	if (stage == STAGE_TLS && d->route.tls == ROUTE_OPPORTUNISTIC && !c->hop.plain)
		h->plain = true; /* a new connection, without: clear text is better than no mail */
	else if (other_is_up(d, c))
		d->pause_until_ms = time_mono_ms() + PAUSE_MS; /* it has enough connections of ours */
	else
		h->failed = true;
}

static bool
may_open(const struct destination *d)
{
	return d->waiting.n > d->connecting && d->conns.n < d->setup->lane_limit &&
	       d->connecting < CONNECTING_MAX &&
	       (list_empty(&d->conns) || time_mono_ms() >= d->pause_until_ms);
}

static void
starve(struct destination *d)
{
	if (d->starve.next == NULL)
		list_push(&d->worker->starved, &d->starve);
}

/* False: nothing more can be opened now. */
static bool
open_one(struct destination *d)
{
	struct hop *h;

	if (conn_reuse(d))
		return true;
	h = pick(d);
	if (h == NULL) {
		if (list_empty(&d->conns))
			fail_waiting(d, d->failure);
		return false;
	}
	if (d->worker->n_conns >= CONNS_MAX && !conn_evict(d->worker)) {
		starve(d);
		return false;
	}
	conn_open(d, h);
	return true;
}

/*
 * An old list is renewed, but not in the middle of trying its hosts one after another: a new
 * one would begin with the first again, for ever.
 */
static bool
needs_lookup(const struct destination *d)
{
	return d->hops.n == 0 || (time_mono_ms() >= d->hops_until_ms && !d->failing);
}

void
destination_pump(struct destination *d)
{
	if (list_empty(&d->waiting)) {
		rest(d);
		return;
	}
	if (d->lookup != NULL)
		return;
	if (needs_lookup(d)) {
		look_up(d);
		return;
	}
	while (may_open(d) && open_one(d))
		;
	rest(d); /* a kept connection may have shown that none of the mails fits its host */
}

void
destination_add(struct destination *d, struct job *j)
{
	list_push(&d->waiting, &j->place);
	destination_pump(d);
}

void
destination_free_room(struct worker *w)
{
	struct link *first;

	while (w->n_conns < CONNS_MAX && (first = list_pop(&w->starved)) != NULL) {
		struct destination *d = CONTAINER(first, struct destination, starve);

		destination_pump(d);
		if (d->starve.next != NULL)
			return;
	}
}

static void
retire(struct destination *d, bool resolver)
{
	if (!d->retired)
		hash_remove(&d->worker->destinations, &d->by_key);
	d->retired = true;
	if (!resolver || d->lookup == NULL)
		return;
	mx_cancel(d->lookup);
	look_up(d);
}

void
destination_retire_all(struct worker *w, bool resolver)
{
	struct destination *d;

	LIST_EACH(&w->all, d, struct destination, all)
		retire(d, resolver);
}

void
destination_forget_hosts(struct worker *w)
{
	struct destination *d;

	LIST_EACH(&w->all, d, struct destination, all)
		d->hops_until_ms = 0;
}

void
destination_close_all(struct worker *w)
{
	struct link *first;

	while ((first = list_first(&w->all)) != NULL)
		destroy(CONTAINER(first, struct destination, all));
	hash_free(&w->destinations);
}
