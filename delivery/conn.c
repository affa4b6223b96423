/* SPDX-License-Identifier: ISC */
#include "delivery/conn.h"

#include <stdlib.h>

#include "delivery/destination.h"
#include "delivery/job.h"
#include "delivery/setup.h"
#include "lib/net/loop.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	MAILS_MAX = 100,  /* a connection: what common receivers allow */
	TRIES_MAX = 4,    /* connections that may break under one mail */
	IDLE_MS = 2000,   /* longer is held against a sender */
};

static void
leave_lists(struct conn *c)
{
	list_remove(c->destination != NULL ? &c->destination->conns : &c->worker->idle, &c->place);
}

/* The client has been closed or given away. */
static void
conn_free(struct conn *c)
{
	struct worker *w = c->worker;

	leave_lists(c);
	w->n_conns--;
	setup_unref(c->setup);
	buf_free(&c->name);
	buf_free(&c->key);
	free(c);
	destination_free_room(w);
}

static void
quit(struct conn *c)
{
	client_quit(c->client);
	conn_free(c);
}

static void
close_idle(void *arg)
{
	conn_close_idle(arg, false);
}

static void
park(struct conn *c)
{
	struct worker *w = c->worker;

	leave_lists(c);
	c->destination = NULL;
	c->idle_until_ms = time_mono_ms() + IDLE_MS;
	list_push(&w->idle, &c->place);
	if (w->idle_end == NULL)
		w->idle_end = timer_create_on(w->loop, close_idle, w);
	if (!timer_is_set(w->idle_end))
		timer_set(w->idle_end, IDLE_MS);
}

static bool
is_worn(const struct conn *c)
{
	unsigned said = client_facts(c->client).mail_max;

	return c->n_mails >= (said > 0 && said < MAILS_MAX ? said : MAILS_MAX);
}

/* "mx=... ip=... tls=... tlsv=... dns=... conn=... tlsms=... send=..." (docs/log.md). */
static void
note_facts(const struct conn *c, struct job *j)
{
	struct client_facts f = client_facts(c->client);
	struct destination *d = c->destination;
	bool                first = c->n_mails == 1;
	int64_t             dns = destination_dns_ms(d, j);
	int64_t             send = time_mono_ms() - j->sent_ms;

	buf_clear(&j->facts);
	buf_clear(&j->mta);
	buf_add(&j->mta, c->hop.name);
	buf_addz(&j->facts, "mx=");
	buf_add(&j->facts, c->hop.name);
	buf_addz(&j->facts, " ip=");
	addr_format(&j->facts, c->hop.addr);
	buf_addf(&j->facts, " tls=%s tlsv=%s", f.tls, f.tlsv);
	buf_addf(&j->facts, " dns=%lld.%03lld", (long long)(dns / 1000), (long long)(dns % 1000));
	buf_addf(&j->facts, " conn=%lld.%03lld", (long long)(first ? f.connect_ms / 1000 : 0),
	         (long long)(first ? f.connect_ms % 1000 : 0));
	buf_addf(&j->facts, " tlsms=%lld.%03lld", (long long)(first ? f.tls_ms / 1000 : 0),
	         (long long)(first ? f.tls_ms % 1000 : 0));
	buf_addf(&j->facts, " send=%lld.%03lld", (long long)(send / 1000), (long long)(send % 1000));
}

static void
send_job(struct conn *c, struct job *j)
{
	if (c->now == NULL)
		c->now = j;
	else
		c->next = j;
	j->conn = c;
	j->sent_ms = time_mono_ms();
	c->n_mails++;
	if (c->n_mails > 1)
		c->worker->count.reused++;
	client_send(c->client, &j->mail);
}

/* Kept for the next mail, unless it is used up or its place is wanted. */
static bool
may_rest(const struct conn *c)
{
	const struct worker *w = c->worker;

	return client_has_room(c->client) && !is_worn(c) && !c->destination->retired &&
	       w->idle.n < IDLE_MAX && list_empty(&w->starved);
}

/* Give the client what it has room for; with nothing to do, rest. */
static void
serve(struct conn *c)
{
	struct job *j;

	while (client_has_room(c->client) && !is_worn(c) && (j = destination_next(c->destination)) != NULL) {
		if (client_fits(c->client, &j->mail)) {
			send_job(c, j);
		} else {
			j->sent_ms = time_mono_ms();
			note_facts(c, j);
			job_done(j);
		}
	}
	if (c->now != NULL)
		return;
	if (may_rest(c))
		park(c);
	else
		quit(c);
}

static void
ready(void *arg)
{
	struct conn        *c = arg;
	struct destination *d = c->destination;

	c->up = true;
	d->connecting--;
	d->failing = false;
	c->worker->family[c->hop.addr.family == 6].good_ms = time_mono_ms();
	serve(c);
	destination_pump(d);
}

/* One more behind a message in flight, unless a connection is on its way that could take it at once. */
static void
more(void *arg)
{
	struct conn *c = arg;

	if (c->destination->waiting.n > c->destination->connecting)
		serve(c);
}

static void
settled(void *arg, struct mail *m)
{
	struct conn        *c = arg;
	struct destination *d = c->destination;
	struct job         *j = c->now;

	(void)m;
	note_facts(c, j);
	c->now = c->next;
	c->next = NULL;
	j->conn = NULL;
	job_done(j);
	if (c->now == NULL) {
		serve(c);
		destination_pump(d);
	}
}

static const char lost_after[] = "the connection was lost after the message was sent; it may arrive twice: ";

/*
 * A mail whose connection broke: another host may take it, unless this one may have
 * taken it already.
 */
static void
take_back(struct conn *c, struct job *j, struct reply r)
{
	struct buf text = BUF(REPLY_TEXT_MAX);

	if (j == NULL)
		return;
	j->conn = NULL;
	j->cut = j->cut || j->mail.begun;
	if (mail_is_settled(&j->mail)) { /* it only waited for replies that nobody needs */
		note_facts(c, j);
		job_done(j);
	} else if (j->mail.sent) {
		buf_addz(&text, lost_after);
		buf_add(&text, str_sub(r.text, 0, REPLY_TEXT_MAX - sizeof lost_after));
		r = (struct reply){.code = 451, .status = {4, 4, 2}, .text = buf_str(&text)};
		note_facts(c, j);
		job_fail(j, r, SCOPE_MESSAGE);
	} else if (++j->tries >= TRIES_MAX) {
		note_facts(c, j);
		job_fail(j, r, job_scope(j));
	} else {
		mail_reset(&j->mail);
		destination_return(c->destination, j);
	}
	buf_free(&text);
}

static void
broken(void *arg, enum client_stage stage, struct reply r)
{
	struct conn        *c = arg;
	struct destination *d = c->destination;
	struct job         *now = c->now, *next = c->next;

	c->now = c->next = NULL;
	if (d != NULL) {
		if (!c->up)
			d->connecting--;
		if (next != NULL)
			next->tries--; /* it was only in the line behind */
		take_back(c, next, r);
		take_back(c, now, r);
		destination_failed(d, c, stage, r);
	}
	client_close(c->client);
	conn_free(c);
	if (d != NULL)
		destination_pump(d);
}

static const struct client_hooks hooks = {ready, more, settled, broken};

static struct client_conf
client_conf(const struct destination *d, const struct hop *hop, struct conn *c)
{
	const struct outbound_conf *o = &c->setup->config->outbound;

	return (struct client_conf){
		.name = c->hop.name,
		.to = hop->addr,
		.from = hop->addr.family == 6 ? o->bind6 : o->bind4,
		.helo = c->setup->helo,
		.tls = d->route.tls,
		.trust = hop->plain ? NULL : setup_trust(c->setup),
		.user = d->route.user,
		.password = d->route.password,
		.xoauth2 = d->route.xoauth2,
		.connect_limit_ms = o->connect_timeout_ms,
		.greeting_limit_ms = o->greeting_timeout_ms,
		.debug = c->setup->config->debug,
	};
}

void
conn_open(struct destination *d, const struct hop *hop)
{
	struct conn       *c = mem_zero(sizeof *c);
	struct client_conf conf;

	c->worker = d->worker;
	c->setup = setup_ref(d->setup);
	c->destination = d;
	c->name = BUF(512);
	c->key = BUF(1024);
	buf_add(&c->name, hop->name);
	if (!d->route.direct)
		buf_add(&c->key, buf_str(&d->key));
	c->hop = *hop;
	c->hop.name = buf_str(&c->name);
	list_push(&d->conns, &c->place);
	d->connecting++;
	d->worker->n_conns++;
	d->worker->count.connections++;
	conf = client_conf(d, hop, c);
	c->client = client_open(d->worker->loop, &conf, &hooks, c);
}

static bool
fits(const struct conn *c, const struct destination *d)
{
	if (c->setup != d->setup || !str_eq(buf_str(&c->key), d->route.direct ? STR_NONE : buf_str(&d->key)))
		return false;
	for (size_t i = 0; i < d->hops.n; i++) {
		const struct hop *h = &d->hops.v[i];

		if (h->failed)
			continue;
		if (addr_equal(h->addr, c->hop.addr) && h->addr.port == c->hop.addr.port &&
		    str_eq(h->name, c->hop.name))
			return true;
	}
	return false;
}

bool
conn_reuse(struct destination *d)
{
	struct conn *c;

	LIST_EACH(&d->worker->idle, c, struct conn, place) {
		if (!fits(c, d))
			continue;
		list_remove(&d->worker->idle, &c->place);
		c->destination = d;
		list_push(&d->conns, &c->place);
		serve(c);
		return true;
	}
	return false;
}

/* A neighbour of the mail that is given up: not its fault. */
static void
spare(struct conn *c, struct job *j)
{
	if (j == NULL)
		return;
	j->tries--;
	take_back(c, j, REPLY(451, 4, 4, 2, "given up together with another mail on its connection"));
}

void
conn_abort(struct conn *c, struct job *j)
{
	struct destination *d = c->destination;
	struct job         *now = c->now, *next = c->next;

	c->now = c->next = NULL;
	j->conn = NULL;
	spare(c, next == j ? NULL : next);
	spare(c, now == j ? NULL : now);
	if (!c->up)
		d->connecting--;
	client_close(c->client);
	conn_free(c);
	destination_pump(d);
}

void
conn_close_idle(struct worker *w, bool all)
{
	int64_t      now = time_mono_ms();
	struct link *first;

	while ((first = list_first(&w->idle)) != NULL) {
		struct conn *c = CONTAINER(first, struct conn, place);

		if (!all && c->idle_until_ms > now) {
			timer_set(w->idle_end, c->idle_until_ms - now);
			return;
		}
		quit(c);
	}
}

bool
conn_evict(struct worker *w)
{
	struct link *first = list_first(&w->idle);

	if (first == NULL)
		return false;
	quit(CONTAINER(first, struct conn, place));
	return true;
}
