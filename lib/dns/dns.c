/* SPDX-License-Identifier: ISC */
#include "lib/dns/dns.h"

#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#include "lib/dns/context.h"
#include "lib/net/loop.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	IN_FLIGHT_MAX = 256, /* each costs libunbound some 12 KiB */
	LIMIT_MS = 10000,
	PROBE_LIMIT_MS = 3000, /* mail waits behind the DNSSEC probe */
	RECORDS_MAX = 64,
	SCRATCH_MAX = RECORDS_MAX * 256 + 65536,
	CLASS_IN = 1,
};

enum query_state {
	QUERY_WAITING, /* not yet given to libunbound */
	QUERY_ASKED,
	QUERY_ANSWERED, /* the owner's callback is due */
};

struct dns_query {
	struct link      place; /* in the list of its state */
	struct link      age;   /* in dns.by_age, until answered */
	struct dns      *dns;
	enum query_state state;
	enum dns_type    type;
	int              async_id;
	int64_t          deadline_ms;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;

	enum dns_status status; /* TEMPFAIL, BOGUS: final; OK: the packet tells */
	bool            secure;
	const char     *why;
	struct buf      packet;
	char            name[]; /* NUL-terminated */
};

enum validation { VALIDATION_UNTRIED, VALIDATION_PROBING, VALIDATION_ON, VALIDATION_OFF };

struct dns {
	struct loop      *loop;
	struct source     source;
	struct ub_ctx    *ctx; /* NULL until the first question */
	enum validation   validation;
	struct dns_query *probe;
	struct list       waiting, asked, answered, by_age;
	struct timer     *limit;
	struct deferred   hand_out;
};

static void
leave(struct dns_query *q)
{
	struct dns  *d = q->dns;
	struct list *of[] = {&d->waiting, &d->asked, &d->answered};

	list_remove(of[q->state], &q->place);
	list_remove(&d->by_age, &q->age); /* nothing, if it has been answered */
}

static void
answered(struct dns_query *q, enum dns_status status, const char *why)
{
	struct dns *d = q->dns;

	leave(q);
	q->status = status;
	q->why = why;
	q->state = QUERY_ANSWERED;
	list_push(&d->answered, &q->place);
	loop_defer(d->loop, &d->hand_out);
}

/*
 * libunbound's callback, perhaps from inside ub_resolve_event(). The packet is
 * copied and everything else happens later: an owner that asked again or closed us
 * from here would pull the context from under its own feet.
 */
static void
resolved(void *arg, int rcode, void *packet, int length, int security, char *why_bogus, int limited)
{
	struct dns_query *q = arg;

	(void)why_bogus;
	(void)limited;
	if (security == 1) {
		answered(q, DNS_BOGUS, "DNSSEC says that the answer is forged");
	} else if (packet != NULL && length > 0 && (rcode == 0 || rcode == 3)) {
		buf_init(&q->packet, 65536);
		buf_add(&q->packet, (struct str){packet, (size_t)length});
		q->secure = security == 2;
		answered(q, DNS_OK, NULL);
	} else {
		answered(q, DNS_TEMPFAIL, rcode == 5 ? "the name server refuses to answer"
		                                     : "no usable answer from the name servers");
	}
}

static void
ask(struct dns *d, struct dns_query *q)
{
	int error;

	list_remove(&d->waiting, &q->place);
	list_push(&d->asked, &q->place);
	q->state = QUERY_ASKED;
	error = ub_resolve_event(d->ctx, q->name, (int)q->type, CLASS_IN, q, resolved, &q->async_id);
	if (error == 0 || q->state == QUERY_ANSWERED)
		return;
	if (error == UB_SYNTAX)
		answered(q, DNS_NXDOMAIN, "not a possible domain name");
	else
		answered(q, DNS_TEMPFAIL, ub_strerror(error));
}

static struct dns_query *
add(struct dns *d, struct str name, enum dns_type type, int64_t limit_ms)
{
	struct dns_query *q = mem_zero(sizeof *q + name.n + 1);

	q->dns = d;
	q->type = type;
	memcpy(q->name, name.p, name.n);
	q->deadline_ms = time_mono_ms() + limit_ms;
	list_push(&d->waiting, &q->place);
	list_push(&d->by_age, &q->age);
	if (!timer_is_set(d->limit))
		timer_set(d->limit, limit_ms);
	return q;
}

static void
query_free(struct dns_query *q)
{
	buf_free(&q->packet);
	free(q);
}

static void
fail_all(struct dns *d, const char *why)
{
	struct dns_query *q;

	LIST_EACH(&d->waiting, q, struct dns_query, place)
		answered(q, DNS_TEMPFAIL, why);
}

static bool
context(struct dns *d, bool validate)
{
	struct buf why = BUF(512);

	d->ctx = context_create(d->loop, &d->source, validate, &why);
	if (d->ctx == NULL) {
		log_error(ev("dns-error"), kv("why", buf_str(&why)));
		fail_all(d, "the resolver cannot be started");
	}
	buf_free(&why);
	return d->ctx != NULL;
}

static void
probe_answered(void *arg, const struct dns_answer *a)
{
	struct dns *d = arg;

	d->probe = NULL;
	if (a->status == DNS_OK && a->secure) {
		d->validation = VALIDATION_ON;
		return;
	}
	d->validation = VALIDATION_OFF;
	log_warn(ev("dnssec-off"), kv("why", a->why != NULL ? a->why : "the root's keys are not validated"));
	ub_ctx_delete(d->ctx);
	d->ctx = NULL;
}

/*
 * Behind a forwarder that drops signatures every name looks forged. So the root's
 * keys are asked first, with validation; if that fails, the rest goes without.
 */
static void
start_probe(struct dns *d)
{
	struct dns_query *q = add(d, STR("."), DNS_DNSKEY, PROBE_LIMIT_MS);

	/* The first to run out, so that by_age stays ordered. */
	list_remove(&d->by_age, &q->age);
	list_push_front(&d->by_age, &q->age);
	timer_set(d->limit, PROBE_LIMIT_MS);
	q->fn = probe_answered;
	q->arg = d;
	d->probe = q;
	ask(d, q);
}

static bool
start(struct dns *d)
{
	bool can = d->source.anchor.n > 0;

	if (d->validation == VALIDATION_UNTRIED) {
		d->validation = VALIDATION_OFF;
		if (d->source.dnssec == DNSSEC_ON)
			d->validation = VALIDATION_ON;
		else if (d->source.dnssec == DNSSEC_AUTO && can)
			d->validation = VALIDATION_PROBING;
	}
	if (d->ctx == NULL && !context(d, d->validation != VALIDATION_OFF))
		return false;
	if (d->validation == VALIDATION_PROBING && d->probe == NULL)
		start_probe(d);
	return d->validation != VALIDATION_PROBING;
}

static void
pump(struct dns *d)
{
	if (list_empty(&d->waiting) || !start(d))
		return;
	while (!list_empty(&d->waiting) && d->asked.n < IN_FLIGHT_MAX)
		ask(d, CONTAINER(list_first(&d->waiting), struct dns_query, place));
}

static void
call(struct dns_query *q)
{
	struct dns_record records[RECORDS_MAX];
	struct buf        scratch = BUF(SCRATCH_MAX);
	struct dns_answer a = {.status = q->status, .why = q->why, .records = records};

	if (q->status == DNS_OK) {
		a.secure = q->secure;
		a.status = dns_parse(buf_str(&q->packet), q->type, records, RECORDS_MAX, &a.n, &scratch);
	}
	if (a.why == NULL && a.status == DNS_TEMPFAIL)
		a.why = "no usable answer from the name servers";
	else if (a.why == NULL && a.status != DNS_OK)
		a.why = a.status == DNS_NXDOMAIN ? "the name does not exist" : "no such record";
	q->fn(q->arg, &a);
	buf_free(&scratch);
	query_free(q);
}

/* One answer a turn: the owner may close us from his callback, so nothing is touched after it. */
static void
hand_out(void *arg)
{
	struct dns       *d = arg;
	struct link      *first = list_pop(&d->answered);
	struct dns_query *q;

	if (first == NULL) {
		pump(d);
		return;
	}
	q = CONTAINER(first, struct dns_query, place);
	loop_defer(d->loop, &d->hand_out);
	call(q);
}

static void
expired(void *arg)
{
	struct dns  *d = arg;
	struct link *first;
	int64_t      now = time_mono_ms();

	while ((first = list_first(&d->by_age)) != NULL) {
		struct dns_query *q = CONTAINER(first, struct dns_query, age);

		if (q->deadline_ms > now) {
			timer_set(d->limit, q->deadline_ms - now);
			return;
		}
		if (q->state == QUERY_ASKED)
			ub_cancel(d->ctx, q->async_id);
		answered(q, DNS_TEMPFAIL, "no answer from the name servers in time");
	}
}

struct dns *
dns_open(struct loop *l, const struct dns_conf *conf, struct buf *why)
{
	struct dns *d = mem_zero(sizeof *d);

	d->loop = l;
	d->hand_out = (struct deferred){.fn = hand_out, .arg = d};
	list_init(&d->waiting);
	list_init(&d->asked);
	list_init(&d->answered);
	list_init(&d->by_age);
	d->limit = timer_create_on(l, expired, d);
	if (!source_read(&d->source, conf, why)) {
		dns_close(d);
		return NULL;
	}
	return d;
}

static void
close_list(struct list *l)
{
	struct link *k;

	while ((k = list_pop(l)) != NULL)
		query_free(CONTAINER(k, struct dns_query, place));
}

void
dns_close(struct dns *d)
{
	struct dns_query *q;

	if (d == NULL)
		return;
	loop_defer_cancel(d->loop, &d->hand_out);
	timer_destroy(d->limit);
	LIST_EACH(&d->asked, q, struct dns_query, place)
		ub_cancel(d->ctx, q->async_id);
	close_list(&d->waiting);
	close_list(&d->asked);
	close_list(&d->answered);
	if (d->ctx != NULL)
		ub_ctx_delete(d->ctx);
	source_free(&d->source);
	free(d);
}

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = add(d, name, type, LIMIT_MS);

	q->fn = fn;
	q->arg = arg;
	pump(d);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	struct dns *d;

	if (q == NULL)
		return;
	d = q->dns;
	if (q->state == QUERY_ASKED)
		ub_cancel(d->ctx, q->async_id);
	leave(q);
	query_free(q);
	loop_defer(d->loop, &d->hand_out); /* a place has become free */
}
