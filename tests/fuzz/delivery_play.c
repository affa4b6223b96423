/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/delivery_play.h"

#include "delivery/delivery.h"
#include "lib/dns/dns.h"
#include "lib/mail/reply.h"
#include "lib/net/loop.h"
#include "lib/util/mem.h"

struct dns {
	struct loop *loop;
	size_t       asked;
};

/* Stands in for lib/dns. */
struct dns_query {
	struct deferred call;
	struct dns     *dns;
	char           *name;
	enum dns_type   type;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;
};

struct dns *
dns_open(struct loop *l, const struct dns_conf *conf UNUSED, struct buf *why UNUSED)
{
	struct dns *d = mem_zero(sizeof *d);

	d->loop = l;
	return d;
}

void
dns_close(struct dns *d)
{
	must(d == NULL || d->asked == 0);
	free(d);
}

static void
forget(struct dns_query *q)
{
	q->dns->asked--;
	free(q->name);
	free(q);
}

static void
tell(void *arg)
{
	struct dns_query *q = arg;
	struct str        name = str_of(q->name);
	struct dns_record r[2] = {{.type = q->type, .ttl_s = 300}, {.type = q->type, .ttl_s = 300, .preference = 10}};
	struct dns_answer a = {.status = DNS_OK, .records = r, .n = 1};

	if (str_starts(name, STR("no")))
		a = (struct dns_answer){.status = DNS_NXDOMAIN, .why = "no such name"};
	else if (str_starts(name, STR("late")) || (q->type != DNS_A && q->type != DNS_AAAA && q->type != DNS_MX))
		a = (struct dns_answer){.status = DNS_TEMPFAIL, .why = "no answer"};
	else if (q->type == DNS_MX)
		a.n = 2;
	r[0].name = STR("mx1.example.net");
	r[1].name = STR("mx2.example.net");
	if (q->type == DNS_A)
		must(addr_parse(str_starts(name, STR("own")) ? STR("127.0.0.1") : STR("192.0.2.7"), &r[0].addr));
	if (q->type == DNS_AAAA)
		must(addr_parse(STR("2001:db8::7"), &r[0].addr));
	q->fn(q->arg, &a);
	forget(q);
}

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = mem_zero(sizeof *q);

	*q = (struct dns_query){.dns = d, .name = str_dup(name), .type = type, .fn = fn, .arg = arg};
	q->call = (struct deferred){.fn = tell, .arg = q};
	d->asked++;
	loop_defer(d->loop, &q->call);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	loop_defer_cancel(q->dns->loop, &q->call);
	forget(q);
}

static void
lease(struct loop *l, unsigned which)
{
	static const char *const lanes[] = {"example.net", "no.example", "late.example", "own.example", "[192.0.2.9]"};
	static uint64_t          token;
	struct str               lane = str_of(lanes[which % ARRAY_LEN(lanes)]), body = STR("From: a@example.com\r\n\r\nhello\r\n");
	struct buf               envelope = BUF(4096);

	buf_addf(&envelope, "from: a@example.com\naccepted-ms: 1767323045000\nsize: %zu\nheader-from: example.com\n", body.n);
	buf_addf(&envelope, "to: b@%.*s\nto: c@%.*s\n", (int)lane.n, lane.p, (int)lane.n, lane.p);
	stage_give(l, WIRE_LEASE,
		&(struct wire_lease){.id = which >> 3, .part = 0, .token = ++token, .attempt = 1, .lane = lane, .rcpts = STR("0 1"),
	                             .envelope = buf_str(&envelope), .size = body.n, .body = body}, -1);
	buf_free(&envelope);
}

/* An outcome has one reply for each recipient it was asked for, be it none, fit for log and bounce. */
static void
check_outcome(const struct wire_outcome *m)
{
	struct str   rest = m->replies, line;
	struct reply r;

	must(m->scope <= SCOPE_GATE);
	while (str_cut(&rest, '\n', &line))
		must(reply_parse(line, &r));
	must(str_find(m->facts, '\n') < 0 && str_find(m->mta, '\n') < 0 && str_find(m->dkim, '\n') < 0);
}

static void
answer(struct loop *l, const struct fake_frame *f)
{
	const struct wire_sign *sign = f->msg;

	if (f->id == WIRE_OUTCOME)
		check_outcome(f->msg);
	if (f->id == WIRE_SIGN)
		stage_give(l, WIRE_SIGNED, &(struct wire_signed){.id = sign->id, .ok = 1, .signature = str_sub(sign->last, 0, 32)}, -1);
}

static void
act(struct role *r, unsigned what, struct str *rest)
{
	if (what == 'l')
		lease(r->loop, take_octet(rest));
}

const struct play delivery_play = {
	.role_main = delivery_main,
	.config = "hostname mail.example.com\ndomains example.com\n"
		"dkim example.com { key s1 /k/1.pem ed25519 data:QUJD }\n"
		"outbound { port 25 connect-timeout 30s greeting-timeout 300s ipv6 on }\n",
	.answer = answer,
	.act = act,
};
