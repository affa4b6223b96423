/* SPDX-License-Identifier: ISC */
#include "delivery/delivery.h"

#include <unistd.h>

#include "delivery/conn.h"
#include "delivery/destination.h"
#include "delivery/gate.h"
#include "delivery/job.h"
#include "delivery/published.h"
#include "delivery/setup.h"
#include "delivery/signer.h"
#include "delivery/worker.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/role.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum {
	LEASES = 1000,                   /* at once */
	HELD_MOST = 48 * 1024 * 1024,    /* octets of mail in memory, or `memory`: then no more leases */
	TICK_MS = 10 * 1000,
	DRAIN_MS = 20 * 1000,
	KEYDS_MAX = 8,
	LAST_WORDS_MS = 1000,
};

struct keyd_peer {
	struct delivery *delivery;
	struct channel  *channel;
};

struct delivery {
	struct worker    worker; /* first: worker.job_gone comes back with it */
	struct role     *role;
	struct keyd_peer keyds[KEYDS_MAX];
	struct timer    *tick, *drain_end;
	unsigned         capacity; /* last said to the queue */
	bool             draining;
};

static void
say_capacity(struct delivery *d)
{
	struct worker *w = &d->worker;
	unsigned       now = d->capacity;
	uint64_t       high = HELD_MOST;

	if (w->setup != NULL && w->setup->config->memory < high)
		high = w->setup->config->memory;
	if (d->draining)
		now = 0;
	else if (w->held_bytes > high && d->capacity == LEASES)
		now = (unsigned)w->jobs.n;
	else if (w->held_bytes < high / 3 * 2)
		now = LEASES;
	if (now == d->capacity || w->queue == NULL)
		return;
	d->capacity = now;
	channel_send(w->queue, WIRE_CAPACITY, &(struct wire_capacity){.leases = now}, -1);
}

static void
job_gone(struct worker *w)
{
	struct delivery *d = CONTAINER(w, struct delivery, worker);

	say_capacity(d);
	if (d->draining && list_empty(&w->jobs))
		role_done(d->role);
}

static void
drop_jobs(struct worker *w)
{
	struct link *first;

	while ((first = list_first(&w->jobs)) != NULL)
		job_drop(CONTAINER(first, struct job, all));
}

static void
take_lease(struct delivery *d, const struct wire_lease *lease, int fd)
{
	if (d->draining) { /* it was on its way; the queue gets it back when we end */
		if (fd >= 0)
			close(fd);
		return;
	}
	if (!timer_is_set(d->tick))
		timer_set(d->tick, TICK_MS);
	job_start(&d->worker, lease, fd);
	say_capacity(d);
}

static void
queue_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	if (id == WIRE_LEASE)
		take_lease(arg, msg, fd);
	else if (fd >= 0)
		close(fd);
}

/* A new queue role leases everything anew: what we hold would be sent twice. */
static void
lose_queue(struct delivery *d, const char *why)
{
	log_warn(ev("role-lost"), kv("peer", "queue"), kv("why", why));
	channel_close(d->worker.queue);
	d->worker.queue = NULL;
	drop_jobs(&d->worker);
}

static void
queue_gone(void *arg, const char *why)
{
	role_lost(ROLE_QUEUE, 0);
	lose_queue(arg, why);
}

static const struct channel_hooks queue_hooks = {queue_message, queue_gone};

/* What waits in the queue for a gate is tried again; it finds out which of it may go. */
static void
gate_opened(struct worker *w)
{
	if (w->queue != NULL)
		channel_send(w->queue, WIRE_RETRY, &(struct wire_empty){0}, -1);
}

static void
choose_keyd(struct delivery *d)
{
	unsigned from = role_index(d->role);

	for (unsigned i = 0; i < KEYDS_MAX; i++) {
		struct channel *c = d->keyds[(from + i) % KEYDS_MAX].channel;

		if (c != NULL) {
			signer_keyd(d->worker.signer, c);
			return;
		}
	}
}

static void
keyd_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	const struct keyd_peer *p = arg;

	if (id == WIRE_SIGNED)
		signer_answer(p->delivery->worker.signer, msg);
	else if (id == WIRE_KEYS)
		gate_opened(&p->delivery->worker);
	if (fd >= 0)
		close(fd);
}

static void
lose_keyd(struct keyd_peer *p, const char *why)
{
	struct channel *channel = p->channel;

	log_warn(ev("role-lost"), kv("peer", "keyd"), kv("why", why));
	p->channel = NULL;
	choose_keyd(p->delivery);
	signer_keyd_gone(p->delivery->worker.signer, channel);
	channel_close(channel);
}

static void
keyd_gone(void *arg, const char *why)
{
	const struct keyd_peer *p = arg;

	role_lost(ROLE_KEYD, (unsigned)(p - p->delivery->keyds));
	lose_keyd(arg, why);
}

static const struct channel_hooks keyd_hooks = {keyd_message, keyd_gone};

static void
connect_queue(struct delivery *d, int fd)
{
	if (d->worker.queue != NULL)
		lose_queue(d, "replaced");
	d->worker.queue = channel_open(d->worker.loop, fd, ROLE_DELIVERY, ROLE_QUEUE, &queue_hooks, d);
	d->capacity = 0;
	say_capacity(d);
}

static void
connect_keyd(struct delivery *d, unsigned index, int fd)
{
	struct keyd_peer *p = &d->keyds[index % KEYDS_MAX];

	if (p->channel != NULL)
		lose_keyd(p, "replaced");
	p->delivery = d;
	p->channel = channel_open(d->worker.loop, fd, ROLE_DELIVERY, ROLE_KEYD, &keyd_hooks, p);
	choose_keyd(d);
	gate_opened(&d->worker);
}

static void
peer(void *self, enum role_id who, unsigned index, int fd)
{
	struct delivery *d = self;

	if (who == ROLE_QUEUE)
		connect_queue(d, fd);
	else if (who == ROLE_KEYD)
		connect_keyd(d, index, fd);
	else
		close(fd);
}

static void
tell(struct worker *w, enum wire_id id, const void *msg)
{
	role_tell(CONTAINER(w, struct delivery, worker)->role, id, msg);
}

static void
key_changed(void *arg, struct str name, struct str key, struct str why)
{
	struct delivery *d = arg;

	role_tell(d->role, WIRE_KEY_STATE, &(struct wire_key_state){name, key, why});
	if (why.n == 0)
		gate_opened(&d->worker);
}

static void
told(void *self, enum wire_id id, const void *msg)
{
	struct delivery *d = self;

	if (id != WIRE_GATES ||
	    !gates_take(d->worker.gates, ((const struct wire_gates *)msg)->rows, d->worker.published))
		return;
	destination_forget_hosts(&d->worker);
	gate_opened(&d->worker);
}

static struct dns *
open_resolver(struct delivery *d, const struct config *c)
{
	struct dns_conf conf = {.recursive = c->resolver == RESOLVER_RECURSIVE,
	                        .dnssec = (enum dns_dnssec)c->dnssec};
	struct buf      why = BUF(1024);
	struct dns     *dns;

	if (c->resolver == RESOLVER_SERVERS) {
		conf.servers = c->resolvers;
		conf.n_servers = c->n_resolvers;
	}
	dns = dns_open(d->worker.loop, &conf, &why);
	if (dns == NULL) {
		log_error(ev("dns-error"), kv("why", buf_str(&why)));
		role_trouble(d->role, buf_z(&why));
		conf.dnssec = DNSSEC_OFF; /* what could fail was DNSSEC's; mail that waits for it helps nobody */
		dns = dns_open(d->worker.loop, &conf, &why);
	} else {
		role_trouble(d->role, "");
	}
	buf_free(&why);
	return dns;
}

/* Jobs that are on their way keep their setup; questions to an old resolver are asked again of the new. */
static void
take_config(void *self, struct config *c)
{
	struct delivery *d = self;
	struct worker   *w = &d->worker;
	struct setup    *old = w->setup;
	struct dns      *old_dns = NULL;

	w->setup = setup_create(c);
	if (old == NULL || !setup_same_resolver(old->config, c)) {
		old_dns = w->dns;
		w->dns = open_resolver(d, c);
		published_resolver(w->published, w->dns);
	}
	destination_retire_all(w, old_dns != NULL);
	conn_close_idle(w, true);
	dns_close(old_dns);
	if (old != NULL)
		gate_opened(w);
	setup_unref(old);
}

static void
tick(void *arg)
{
	struct delivery *d = arg;

	job_tick(&d->worker);
	destination_tick(&d->worker);
	if (!list_empty(&d->worker.jobs) || !list_empty(&d->worker.resting))
		timer_set(d->tick, TICK_MS);
}

static void
drain_ended(void *arg)
{
	struct delivery *d = arg;

	role_done(d->role);
}

static bool
start(void *self, struct role *r, struct buf *why)
{
	struct delivery *d = self;
	struct worker   *w = &d->worker;

	(void)why;
	d->role = r;
	w->loop = role_loop(r);
	w->job_gone = job_gone;
	w->signer = signer_create(w->loop);
	w->gates = gates_create();
	w->published = published_create(w->loop, key_changed, d);
	w->tell = tell;
	d->tick = timer_create_on(w->loop, tick, d);
	d->drain_end = timer_create_on(w->loop, drain_ended, d);
	return true;
}

static void
go(void *self)
{
	struct delivery *d = self;

	role_ready(d->role);
}

static void
drain(void *self)
{
	struct delivery *d = self;

	d->draining = true;
	say_capacity(d);
	conn_close_idle(&d->worker, true);
	if (list_empty(&d->worker.jobs))
		role_done(d->role);
	else
		timer_set(d->drain_end, DRAIN_MS);
}

static void
stats(void *self, struct buf *rows)
{
	const struct delivery *d = self;
	const struct worker   *w = &d->worker;
	const struct {
		const char *name;
		uint64_t    value;
	} all[] = {
		{"leases", w->jobs.n},
		{"outbound_connections", w->n_conns},
		{"delivered_total", w->count.delivered},
		{"deferred_total", w->count.deferred},
		{"refused_total", w->count.refused},
		{"connections_total", w->count.connections},
		{"reused_total", w->count.reused},
		{"lookups_total", w->count.lookups},
		{"held_total", w->count.held},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		buf_addf(rows, "%s ", all[i].name);
		buf_addn(rows, all[i].value);
		buf_addc(rows, '\n');
	}
}

static void
end(struct delivery *d)
{
	struct worker *w = &d->worker;

	w->job_gone = NULL;
	if (w->queue != NULL)
		(void)channel_finish(w->queue, LAST_WORDS_MS); /* outcomes: without them mail goes twice */
	channel_close(w->queue);
	w->queue = NULL;
	drop_jobs(w);
	conn_close_idle(w, true);
	destination_close_all(w);
	signer_destroy(w->signer);
	published_destroy(w->published);
	gates_destroy(w->gates);
	for (unsigned i = 0; i < KEYDS_MAX; i++)
		channel_close(d->keyds[i].channel);
	dns_close(w->dns);
	setup_unref(w->setup);
	timer_destroy(w->idle_end);
	timer_destroy(d->tick);
	timer_destroy(d->drain_end);
}

int
delivery_main(unsigned index)
{
	static const struct role_hooks hooks = {
		.start = start, .config = take_config, .peer = peer, .go = go, .drain = drain, .stats = stats,
		.told = told};
	struct delivery d = {.capacity = 0};
	int             code = role_run(ROLE_DELIVERY, index, &hooks, &d);

	if (d.role != NULL)
		end(&d);
	return code;
}
