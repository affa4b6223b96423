/* SPDX-License-Identifier: ISC */
#include "doctor/ask.h"

#include <stdlib.h>

#include "doctor/talk.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"
#include "lib/util/mem.h"

enum {
	SERVERS_MAX = 32,
	TEXT_MAX = 1024,
	PAUSE_MS = 5, /* answers come in swarms: judge after the swarm */
};

struct server {
	struct addr addr;
	struct dns *dns;
};

/* Kept to the end: a talk may not be destroyed from inside of its own news. */
struct conversation {
	struct link  link;
	struct ask  *ask;
	struct fact *fact;
	struct talk *talk;
};

struct ask {
	struct loop  *loop;
	struct dns   *dns;
	struct addr   resolver; /* the first one; family 0: the system's or none */
	struct server servers[SERVERS_MAX];
	size_t        n_servers;
	struct facts *facts;
	struct list   conversations, questions;
	struct timer *limit, *soon;

	struct ask_door    door;
	struct tls_client *tls; /* NULL until the first conversation */

	bool (*judge)(void *arg);
	void *arg;
	bool  done;
};

static void
news(struct ask *a)
{
	if (!timer_is_set(a->soon))
		timer_set(a->soon, PAUSE_MS);
}

/* Whose answer comes: the facts know their own, the callback needs both. */
struct question {
	struct link  link;
	struct ask  *ask;
	struct fact *fact;
};

static void
answered(void *arg, const struct dns_answer *answer)
{
	struct question *q = arg;

	fact_put(q->fact, answer);
	news(q->ask);
	list_remove(&q->ask->questions, &q->link);
	free(q);
}

static void
put_failure(struct ask *a, struct fact *f, const char *why)
{
	fact_put(f, &(struct dns_answer){.status = DNS_TEMPFAIL, .why = why});
	news(a);
}

/*
 * The resolver for one authoritative server. On loopback a name server is a stand-in for the
 * world, on whatever port the resolver has.
 */
static struct dns *
find_server(struct ask *a, struct addr addr)
{
	struct buf     why = BUF(TEXT_MAX);
	struct dns    *dns;
	struct server *s;

	for (size_t i = 0; i < a->n_servers; i++)
		if (addr_equal(a->servers[i].addr, addr))
			return a->servers[i].dns;
	if (a->n_servers == SERVERS_MAX)
		return NULL;
	s = &a->servers[a->n_servers];
	s->addr = addr;
	s->addr.port = addr_is_loopback(addr) && addr_is_loopback(a->resolver) ? a->resolver.port
	                                                                       : 53;
	dns = dns_open(
		a->loop,
		&(struct dns_conf){.servers = &s->addr, .n_servers = 1, .dnssec = DNSSEC_OFF},
		&why);
	buf_free(&why);
	if (dns != NULL) {
		s->dns = dns;
		a->n_servers++;
	}
	return dns;
}

/* ---- conversations ---- */

static void
finished(void *arg)
{
	struct conversation *c = arg;
	struct dns_answer    answer;

	talk_answer(c->talk, &answer);
	fact_put(c->fact, &answer);
	news(c->ask);
}

/* How a talk gets there. False: not at all, and it has been told. */
static bool
find_way(struct ask *a, struct fact *f, struct talk_way *way)
{
	struct buf why = BUF(TEXT_MAX);
	bool       needs_tls = str_find_str(buf_str(&f->name), STR("!tls")) >= 0;

	*way = (struct talk_way){.loop = a->loop, .fd = -1, .to = f->server};
	if (needs_tls && a->tls == NULL)
		a->tls = tls_client_create(a->door.ca_pem, &why);
	way->tls = a->tls;
	buf_free(&why);
	if (needs_tls && a->tls == NULL) {
		put_failure(a, f, "no way to begin TLS");
		return false;
	}
	if ((int)f->type == FACT_TALK)
		return true;
	if (a->door.open != NULL)
		way->fd = a->door.open(a->door.arg, f->server.port, f->server);
	if (way->fd < 0)
		put_failure(a, f, "no listener of our own can be opened here");
	return way->fd >= 0;
}

static void
start_talk(struct ask *a, struct fact *f)
{
	struct conversation *c;
	struct talk_way      way;

	if (!find_way(a, f, &way))
		return;
	c = mem_zero(sizeof *c);
	c->ask = a;
	c->fact = f;
	list_push(&a->conversations, &c->link);
	c->talk = talk_start(&way, buf_str(&f->name), finished, c);
}

/* Time is up: what was said so far is better than nothing. */
static void
hang_up_all(struct ask *a)
{
	struct conversation *c;
	struct dns_answer    answer;

	LIST_EACH(&a->conversations, c, struct conversation, link) {
		talk_answer(c->talk, &answer);
		fact_put(c->fact, &answer);
	}
}

/* ---- questions ---- */

static void
ask(void *arg, struct fact *f)
{
	struct ask      *a = arg;
	struct dns      *dns = f->server.family == 0 ? a->dns : NULL;
	struct buf       name = BUF(TEXT_MAX * 4);
	struct question *q;

	if (fact_is_talk(f)) {
		start_talk(a, f);
		return;
	}
	if (dns == NULL)
		dns = find_server(a, f->server);
	if (dns == NULL) {
		put_failure(a, f, "no resolver for this server");
		return;
	}
	q = mem_zero(sizeof *q);
	q->ask = a;
	q->fact = f;
	list_push(&a->questions, &q->link);
	fact_name(&name, f);
	if (dns_ask(dns, buf_str(&name), f->type, answered, q) == NULL) {
		list_remove(&a->questions, &q->link);
		free(q);
		put_failure(a, f, "could not be asked");
	}
	buf_free(&name);
}

static void
look(void *arg)
{
	struct ask *a = arg;

	if (!a->done && a->judge(a->arg)) {
		a->done = true;
		loop_stop(a->loop);
	}
}

static void
expired(void *arg)
{
	struct ask *a = arg;

	if (a->done)
		return;
	a->done = true;
	hang_up_all(a);
	facts_give_up(a->facts);
	(void)a->judge(a->arg);
	loop_stop(a->loop);
}

struct ask *
ask_create(const struct dns_conf *resolver, struct buf *why)
{
	struct ask *a = mem_zero(sizeof *a);

	a->loop = loop_create();
	list_init(&a->conversations);
	list_init(&a->questions);
	a->facts = facts_create(&(struct facts_source){ask, a});
	if (resolver->n_servers > 0)
		a->resolver = resolver->servers[0];
	a->limit = timer_create_on(a->loop, expired, a);
	a->soon = timer_create_on(a->loop, look, a);
	if ((a->dns = dns_open(a->loop, resolver, why)) == NULL) {
		ask_destroy(a);
		return NULL;
	}
	return a;
}

void
ask_destroy(struct ask *a)
{
	struct conversation *c;
	struct question     *q;

	if (a == NULL)
		return;
	LIST_EACH(&a->conversations, c, struct conversation, link) {
		talk_destroy(c->talk);
		free(c);
	}
	tls_client_destroy(a->tls);
	for (size_t i = 0; i < a->n_servers; i++)
		dns_close(a->servers[i].dns);
	dns_close(a->dns);
	LIST_EACH(&a->questions, q, struct question, link)
		free(q);
	timer_destroy(a->limit);
	timer_destroy(a->soon);
	facts_destroy(a->facts);
	loop_destroy(a->loop);
	free(a);
}

struct loop *
ask_loop(struct ask *a)
{
	return a->loop;
}

void
ask_set_door(struct ask *a, const struct ask_door *door)
{
	a->door = *door;
}

struct facts *
ask_facts(struct ask *a)
{
	return a->facts;
}

void
ask_until(struct ask *a, bool (*judge)(void *arg), void *arg, int64_t limit_ms)
{
	a->judge = judge;
	a->arg = arg;
	a->done = false;
	timer_set(a->limit, limit_ms);
	news(a);
	loop_run(a->loop);
	timer_clear(a->limit);
	timer_clear(a->soon);
}
