/* SPDX-License-Identifier: ISC */
/*
 * Plays the scripts of this folder against everything of delivery/ but its role:
 * leases come in and outcomes go out on the queue's channel, servers are the script.
 *
 *     set config LINE     a line of configuration, as often as needed
 *     set zone ENTRY      "name MX 10 host", "name A 192.0.2.1", "name AAAA ..." or "name MX TEMPFAIL"
 *     do tick             what the role does every ten seconds
 *     do idle N           so many connections are waiting for mail
 *     do jobs N           so many leases are in hand
 *     do reload           the same configuration as a new one, and a new resolver
 */
#include <stdlib.h>

#include "delivery/conn.h"
#include "delivery/destination.h"
#include "delivery/job.h"
#include "delivery/setup.h"
#include "delivery/signer.h"
#include "delivery/worker.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/util/mem.h"
#include "tests/fake/script.h"

struct play {
	struct worker worker;
	struct script *script;
};

static struct play *current; /* dns_ask() has no other way to the script */

struct dns_query {
	struct deferred call;
	struct buf      name;
	enum dns_type   type;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;
};

static bool
is_type(struct str word, enum dns_type type)
{
	return str_eq(word, type == DNS_MX ? STR("MX") : type == DNS_A ? STR("A") : STR("AAAA"));
}

static void
add_value(struct dns_answer *a, struct dns_record *r, enum dns_type type, struct str value)
{
	uint64_t preference = 0;

	a->status = DNS_OK;
	if (str_eq(value, STR("TEMPFAIL"))) {
		a->status = DNS_TEMPFAIL;
		return;
	}
	r[a->n] = (struct dns_record){.type = type, .ttl_s = 300};
	if (type == DNS_MX && str_number(str_word(&value), 65535, &preference)) {
		r[a->n].preference = (unsigned)preference;
		r[a->n++].name = str_word(&value);
	} else if (addr_parse(value, &r[a->n].addr)) {
		a->n++;
	}
}

static void
answer(void *arg)
{
	struct dns_query *q = arg;
	struct dns_record records[16];
	struct dns_answer a = {.status = DNS_NXDOMAIN, .records = records, .why = "no such name"};
	struct str        entry;

	for (size_t i = 0; (entry = script_get_nth(current->script, "zone", i)).n > 0; i++) {
		if (!str_eq(str_word(&entry), buf_str(&q->name)))
			continue;
		if (a.status == DNS_NXDOMAIN)
			a.status = DNS_NODATA;
		if (is_type(str_word(&entry), q->type))
			add_value(&a, records, q->type, str_trim(entry));
	}
	q->fn(q->arg, &a);
	buf_free(&q->name);
	free(q);
}

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = mem_zero(sizeof *q);

	(void)d;
	*q = (struct dns_query){.name = BUF(512), .type = type, .fn = fn, .arg = arg};
	buf_add(&q->name, name);
	q->call = (struct deferred){.fn = answer, .arg = q};
	loop_defer(current->worker.loop, &q->call);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	loop_defer_cancel(current->worker.loop, &q->call);
	buf_free(&q->name);
	free(q);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct play *p = arg;

	if (id == WIRE_LEASE)
		job_start(&p->worker, msg, fd);
}

static void
gone(void *arg, const char *why)
{
	struct play *p = arg;
	struct link *first;

	(void)why;
	channel_close(p->worker.queue);
	p->worker.queue = NULL;
	while ((first = list_first(&p->worker.jobs)) != NULL)
		job_drop(CONTAINER(first, struct job, all));
}

static const struct channel_hooks hooks = {message, gone};

static struct config *
read_config(struct script *sc, struct buf *why)
{
	struct buf     text = BUF(10000);
	struct str     line;
	struct config *c;

	buf_addz(&text, "hostname me.example.com\ndkim-sign off\nlisten 192.0.2.25:25\n"
	                "outbound {\nport 25\nconnect-timeout 30s\ngreeting-timeout 300s\nipv6 on\n}\n");
	for (size_t i = 0; (line = script_get_nth(sc, "config", i)).n > 0; i++) {
		buf_add(&text, line);
		buf_addc(&text, '\n');
	}
	c = config_read(buf_str(&text), 1);
	buf_free(&text);
	if (c == NULL)
		buf_addz(why, "the configuration is not one");
	return c;
}

static void *
start(struct script *sc, struct loop *l, struct buf *why)
{
	struct config *c = read_config(sc, why);
	struct play   *p;

	if (c == NULL)
		return NULL;
	p = mem_zero(sizeof *p);
	current = p;
	p->script = sc;
	p->worker.loop = l;
	p->worker.setup = setup_create(c);
	p->worker.signer = signer_create(l);
	p->worker.queue = channel_open(l, -1, ROLE_DELIVERY, ROLE_QUEUE, &hooks, p);
	return p;
}

static void
stop(void *it)
{
	struct play   *p = it;
	struct worker *w = &p->worker;
	struct link   *first;

	channel_close(w->queue);
	w->queue = NULL;
	while ((first = list_first(&w->jobs)) != NULL)
		job_drop(CONTAINER(first, struct job, all));
	conn_close_idle(w, true);
	destination_close_all(w);
	signer_destroy(w->signer);
	setup_unref(w->setup);
	timer_destroy(w->idle_end);
	free(p);
}

static bool
count_is(size_t have, struct str rest, struct buf *why)
{
	uint64_t want;

	if (str_number(rest, 1000000, &want) && want == have)
		return true;
	buf_addf(why, "there are %zu", have);
	return false;
}

static bool
reload(struct play *p, struct buf *why)
{
	struct setup  *old = p->worker.setup;
	struct config *c = read_config(p->script, why);

	if (c == NULL)
		return false;
	c->generation = old->config->generation + 1;
	p->worker.setup = setup_create(c);
	destination_retire_all(&p->worker, true);
	conn_close_idle(&p->worker, true);
	setup_unref(old);
	return true;
}

static bool
step(void *it, struct str word, struct str rest, struct buf *why)
{
	struct play *p = it;

	if (str_eq(word, STR("idle")))
		return count_is(p->worker.idle.n, rest, why);
	if (str_eq(word, STR("jobs")))
		return count_is(p->worker.jobs.n, rest, why);
	if (str_eq(word, STR("reload")))
		return reload(p, why);
	if (!str_eq(word, STR("tick"))) {
		buf_addz(why, "no such step");
		return false;
	}
	job_tick(&p->worker);
	destination_tick(&p->worker);
	return true;
}

int
main(int argc, char **argv)
{
	static const struct script_fixture fixture = {SCRIPT_CLIENT, start, stop, step};

	return script_main(argc, argv, &fixture);
}
