/* SPDX-License-Identifier: ISC */
#include "smtpd/smtpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/proc/config.h"
#include "lib/proc/role.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "smtpd/balancer.h"
#include "smtpd/handover.h"
#include "smtpd/logins.h"
#include "smtpd/server.h"

enum {
	PORTS_MAX = 256,
	WORD_MS = 10 * 1000, /* of the queue; from then on clients hear that it is missing */
	SENDERS_ROWS_MAX = 8 * 1024, /* the supervisor compares each row with each */
};

struct smtpd;

/* A listening socket in its place of the config's listeners. */
struct port {
	struct smtpd    *owner;
	struct listener *listener; /* NULL: the place is empty */
	unsigned         index;
};

struct smtpd {
	struct role     *role;
	struct server    server;
	struct balancers balancers;
	struct port     *ports;
	size_t           n_ports;
	struct timer    *word; /* until then we wait for the queue to say how it is */
	struct timer    *rest; /* others take what comes meanwhile */
	bool             going, draining;
};

static void
on_through(void *arg, unsigned index, int fd, struct addr client)
{
	struct smtpd *d = arg;

	server_accept(&d->server, index, fd, client);
}

static bool
is_balancer(const struct listen_conf *on, struct addr peer)
{
	for (size_t i = 0; i < on->n_proxy; i++)
		if (cidr_has(&on->proxy[i], peer))
			return true;
	return false;
}

static void
each_port(struct smtpd *d, void (*fn)(struct listener *ls))
{
	for (size_t i = 0; i < d->n_ports; i++)
		if (d->ports[i].listener != NULL)
			fn(d->ports[i].listener);
}

static void
rested(void *arg)
{
	struct smtpd *d = arg;

	turns_rest(&d->server.turns, false);
	each_port(d, listener_resume);
}

static void
on_word(void *arg)
{
	struct smtpd *d = arg;

	timer_clear(d->word);
	if (d->going || d->draining)
		return;
	d->going = true;
	turns_count(&d->server.turns, d->server.sessions.n);
	each_port(d, listener_resume);
	role_ready(d->role);
}

static void
rest(struct smtpd *d)
{
	turns_rest(&d->server.turns, true);
	each_port(d, listener_pause);
	timer_set(d->rest, TURNS_REST_MS);
}

static void
on_connection(void *arg, int fd, struct addr peer)
{
	struct port         *p = arg;
	struct smtpd        *d = p->owner;
	const struct config *c = d->server.site->config;

	if (p->index < c->n_listens && is_balancer(&c->listens[p->index], peer))
		balancers_take(&d->balancers, p->index, fd, peer);
	else
		server_accept(&d->server, p->index, fd, peer);
	if (turns_is_ahead(&d->server.turns))
		rest(d);
}

static bool
start(void *self, struct role *r, struct buf *why UNUSED)
{
	struct smtpd *d = self;

	d->role = r;
	server_init(&d->server, role_loop(r), role_index(r));
	handover_on_lost(d->server.handover, role_lost);
	logins_on_lost(d->server.logins, role_lost);
	keyholder_on_lost(&d->server.keyholder, role_lost);
	balancers_init(&d->balancers, role_loop(r));
	d->word = timer_create_on(role_loop(r), on_word, d);
	d->rest = timer_create_on(role_loop(r), rested, d);
	d->balancers.through = on_through;
	d->balancers.arg = d;
	return true;
}

static void
close_port(struct port *p)
{
	listener_close(p->listener);
	p->listener = NULL;
}

/* With those who came by it and have not said yet whom they bring. */
static void
empty_port(struct port *p)
{
	close_port(p);
	balancers_drop(&p->owner->balancers, p->index);
}

/*
 * A place that the new configuration gives to another address is emptied at
 * once: no connection may come in by the old socket under the rules of the new one.
 */
static void
configure(void *self, struct config *c)
{
	struct smtpd        *d = self;
	const struct config *old = d->server.site != NULL ? d->server.site->config : NULL;

	for (size_t i = 0; i < d->n_ports && old != NULL; i++)
		if (i >= c->n_listens || i >= old->n_listens ||
		    !addr_equal(old->listens[i].addr, c->listens[i].addr) ||
		    old->listens[i].addr.port != c->listens[i].addr.port)
			empty_port(&d->ports[i]);
	server_configure(&d->server, c);
}

static struct port *
port_at(struct smtpd *d, unsigned index)
{
	if (d->ports == NULL) {
		d->ports = mem_array(PORTS_MAX, sizeof *d->ports);
		d->n_ports = PORTS_MAX;
		for (unsigned i = 0; i < PORTS_MAX; i++)
			d->ports[i] = (struct port){.owner = d, .index = i};
	}
	return index < d->n_ports ? &d->ports[index] : NULL;
}

static void
listen_on(void *self, unsigned index, int fd)
{
	struct smtpd *d = self;
	struct port  *p = port_at(d, index);

	if (p == NULL || d->draining) {
		close(fd);
		return;
	}
	close_port(p);
	p->listener = listener_open(role_loop(d->role), fd, on_connection, p);
	if (!d->going || timer_is_set(d->rest))
		listener_pause(p->listener);
}

static void
meet(void *self, enum role_id who, unsigned index, int fd)
{
	struct smtpd *d = self;

	if (who == ROLE_QUEUE)
		handover_attach(d->server.handover, fd);
	else if (who == ROLE_AUTH)
		logins_attach(d->server.logins, index, fd);
	else if (who == ROLE_KEYD)
		keyholder_attach(&d->server.keyholder, index, fd);
	else
		close(fd);
}

/* Mail is refused as long as the queue reads its spool: clients had better wait for their greeting. */
static void
go(void *self)
{
	struct smtpd *d = self;

	timer_set(d->word, WORD_MS);
	handover_on_word(d->server.handover, on_word, d);
}

/* Without it each process counts for itself. */
static void
share(void *self, const struct wire_shared *m, int fd)
{
	struct smtpd *d = self;

	if (!limits_share(&d->server.limits, fd, role_index(d->role), m->processes, m->secret))
		log_warn(ev("limits-apart"), kv("why", strerror(errno)));
	else
		turns_share(&d->server.turns, limits_cells(&d->server.limits), role_index(d->role),
		            m->processes);
	close(fd);
}

static void
on_drained(void *arg)
{
	struct smtpd *d = arg;

	role_done(d->role);
}

static void
drain(void *self)
{
	struct smtpd *d = self;

	d->draining = true;
	turns_leave(&d->server.turns);
	for (size_t i = 0; i < d->n_ports; i++)
		close_port(&d->ports[i]);
	balancers_free(&d->balancers);
	server_drain(&d->server, on_drained, d);
}

static void
add_row(struct buf *rows, const char *name, uint64_t n)
{
	buf_addz(rows, name);
	buf_addc(rows, ' ');
	buf_addn(rows, n);
	buf_addc(rows, '\n');
}

static void
add_lint_row(struct buf *rows, enum lint_rule rule, uint64_t n)
{
	lint_format_counter(rows, rule);
	add_row(rows, "", n);
}

static void
stats(void *self, struct buf *rows)
{
	const struct smtpd  *d = self;
	const struct counts *n = &d->server.counts;

	add_row(rows, "smtp_sessions", d->server.sessions.n);
	add_row(rows, "connections_total", n->sessions);
	add_row(rows, "accepted_messages_total", n->accepted);
	add_row(rows, "accepted_bytes_total", n->accepted_octets);
	add_row(rows, "rejected_total", n->rejected);
	add_row(rows, "auth_failures_total", n->auth_failures);
	add_row(rows, "turned_away_total", n->turned_away);
	for (unsigned i = 0; i < LINT_RULES; i++)
		add_lint_row(rows, (enum lint_rule)i, n->lint[i]);
	senders_format(&d->server.senders, rows, SENDERS_ROWS_MAX);
}

static void
end(struct smtpd *d)
{
	for (size_t i = 0; i < d->n_ports; i++)
		close_port(&d->ports[i]);
	free(d->ports);
	timer_destroy(d->rest);
	timer_destroy(d->word);
	balancers_free(&d->balancers);
	server_free(&d->server);
}

int
smtpd_main(unsigned index)
{
	static const struct role_hooks hooks = {
		.start = start,
		.config = configure,
		.listener = listen_on,
		.shared = share,
		.peer = meet,
		.go = go,
		.drain = drain,
		.stats = stats,
	};
	struct smtpd *d = mem_zero(sizeof *d);
	int           code = role_run(ROLE_SMTPD, index, &hooks, d);

	if (d->role != NULL)
		end(d);
	free(d);
	return code;
}
