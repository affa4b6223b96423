/* SPDX-License-Identifier: ISC */
#include "doctor/exam.h"

#include <stdlib.h>

#include "doctor/spf.h"
#include "lib/proc/verdicts.h"

enum { TEXT_MAX = 16 * 1024 };

static const char *const status_names[] = {
	[CHECK_PASS] = "pass", [CHECK_NOTE] = "note", [CHECK_SKIP] = "skip",
	[CHECK_WARN] = "warn", [CHECK_FAIL] = "fail",
};

enum scope { PER_HOST, PER_SOURCE, PER_SOURCE6, PER_DOMAIN, PER_DOMAIN_SOURCE, PER_KEY };

enum needs { NEEDS_NOTHING, NEEDS_DNS, NEEDS_NET };

struct check {
	const char *id;
	enum scope  scope;
	enum needs  needs;
	void (*run)(struct exam *e, const struct subject *s, struct finding *f);
	const char *refs;
	const char *refused_by; /* who holds a failure against us, and with which reply */
};

/* clang-format off */
static const struct check checks[] = {
	{"host.name", PER_HOST, NEEDS_NOTHING, check_host_name, "RFC 5321 4.1.1.1", "GMX 554 invalid HELO"},
	{"src.public", PER_SOURCE, NEEDS_NOTHING, check_src_public, NULL, NULL},
	{"ptr.exists", PER_SOURCE, NEEDS_DNS, check_ptr_exists, "RFC 1912 2.1", "Gmail 550 5.7.25"},
	{"ptr.single", PER_SOURCE, NEEDS_DNS, check_ptr_single, NULL, NULL},
	{"ptr.fcrdns", PER_SOURCE, NEEDS_DNS, check_ptr_fcrdns, "RFC 1912 2.1", "Gmail 550 5.7.25"},
	{"ptr.generic", PER_SOURCE, NEEDS_DNS, check_ptr_generic, NULL, NULL},
	{"ehlo.resolves", PER_SOURCE, NEEDS_DNS, check_ehlo_resolves, "RFC 5321 4.1.1.1", "GMX 554 invalid HELO"},
	{"ehlo.match", PER_SOURCE, NEEDS_DNS, check_ehlo_match, "RFC 5321 4.1.4", NULL},
	{"ehlo.stable", PER_HOST, NEEDS_NOTHING, check_ehlo_stable, NULL, NULL},
	{"spf.record", PER_DOMAIN, NEEDS_DNS, check_spf_record, "RFC 7208 4.5", "Gmail 550 5.7.26"},
	{"spf.auth", PER_DOMAIN_SOURCE, NEEDS_DNS, check_spf_auth, "RFC 7208 4", "Gmail 550 5.7.26"},
	{"spf.lookups", PER_DOMAIN, NEEDS_DNS, check_spf_lookups, "RFC 7208 4.6.4", "Outlook.com 550 5.7.23"},
	{"spf.void", PER_DOMAIN, NEEDS_DNS, check_spf_void, "RFC 7208 4.6.4", "Outlook.com 550 5.7.23"},
	{"spf.all", PER_DOMAIN, NEEDS_DNS, check_spf_all, "RFC 7208 5.1", "many as spam"},
	{"spf.style", PER_DOMAIN, NEEDS_DNS, check_spf_style, "RFC 7208 3.4, 5.5", NULL},
	{"spf.helo", PER_SOURCE, NEEDS_DNS, check_spf_helo, "RFC 7208 2.3", NULL},
	{"dkim.key", PER_DOMAIN, NEEDS_NOTHING, check_dkim_present, "RFC 6376 3.10", "Gmail 550 5.7.26"},
	{"dkim.record", PER_KEY, NEEDS_DNS, check_dkim_record, "RFC 6376 3.6.1", "Gmail 550 5.7.26"},
	{"dkim.match", PER_KEY, NEEDS_DNS, check_dkim_match, "RFC 6376 6.1.2", "Gmail 550 5.7.26"},
	{"dkim.bits", PER_KEY, NEEDS_NOTHING, check_dkim_bits, "RFC 8301 3.2", "Gmail 550 5.7.26"},
	{"dkim.flags", PER_KEY, NEEDS_DNS, check_dkim_flags, "RFC 6376 3.6.1", NULL},
	{"dkim.all-ns", PER_KEY, NEEDS_DNS, check_dkim_all_ns, NULL, NULL},
	{"dkim.sign", PER_KEY, NEEDS_DNS, check_dkim_sign, "RFC 6376 6.1.3", "Gmail 550 5.7.26"},
	{"dkim.age", PER_KEY, NEEDS_NOTHING, check_dkim_age, NULL, NULL},
	{"dmarc.record", PER_DOMAIN, NEEDS_DNS, check_dmarc_record, "RFC 9989 4.10", "Outlook.com 550 5.7.515"},
	{"dmarc.policy", PER_DOMAIN, NEEDS_DNS, check_dmarc_policy, "RFC 9989 4.7", NULL},
	{"dmarc.style", PER_DOMAIN, NEEDS_DNS, check_dmarc_style, "RFC 9989 A.6", NULL},
	{"dmarc.rua", PER_DOMAIN, NEEDS_DNS, check_dmarc_rua, "RFC 9990", NULL},
	{"dmarc.align", PER_DOMAIN, NEEDS_DNS, check_dmarc_align, "RFC 9989 4.4", "Gmail 550 5.7.26"},
	{"bounce.mx", PER_DOMAIN, NEEDS_DNS, check_bounce_mx, "RFC 5321 5.1, RFC 7505", "550 5.7.27 of many"},
	{"bounce.rcpt", PER_DOMAIN, NEEDS_NET, check_bounce_rcpt, "RFC 5321 6.1", "550 5.1.7 of many"},
	{"contact", PER_DOMAIN, NEEDS_NET, check_contact, "RFC 2142 4", NULL},
	{"dnsbl.ip", PER_SOURCE, NEEDS_DNS, check_dnsbl_ip, "RFC 5782", "Outlook.com 550 5.7.1"},
	{"dnsbl.domain", PER_DOMAIN, NEEDS_DNS, check_dnsbl_domain, "RFC 5782", "550 5.7.1 of many"},
	{"dns.resolver", PER_HOST, NEEDS_NOTHING, check_dns_resolver, NULL, NULL},
	{"net.port25", PER_HOST, NEEDS_NET, check_port25, NULL, "the own network"},
	{"net.ipv6", PER_SOURCE6, NEEDS_DNS, check_ipv6, NULL, "Gmail 550 5.7.1"},
	{"relay.open", PER_HOST, NEEDS_NOTHING, check_relay_open, "RFC 2505 2.1", "everybody as soon as spammers find it"},
	{"relay.nets", PER_HOST, NEEDS_NOTHING, check_relay_nets, NULL, "everybody as soon as spammers find it"},
	{"tls.cert", PER_HOST, NEEDS_NOTHING, check_tls_cert, NULL, NULL},
	{"tls.policy", PER_DOMAIN, NEEDS_DNS, check_tls_policy, "RFC 8461, RFC 8460, RFC 7672", NULL},
	{"clock", PER_HOST, NEEDS_NOTHING, check_clock, NULL, NULL},
	{"msgid", PER_HOST, NEEDS_NOTHING, check_msgid, "RFC 5322 3.6.4", NULL},
	{"queue", PER_HOST, NEEDS_NOTHING, check_queue, NULL, NULL},
	{"fs", PER_HOST, NEEDS_NOTHING, check_fs, NULL, NULL},
};
/* clang-format on */

const char *
check_status_name(enum check_status s)
{
	return status_names[s];
}

struct str
exam_ehlo(const struct exam *e)
{
	return e->config->outbound.helo.n > 0 ? e->config->outbound.helo : e->config->hostname;
}

bool
exam_is_public(struct addr a)
{
	return !addr_is_private(a) && !addr_is_loopback(a) && !addr_is_link_local(a);
}

struct str
exam_smarthost(const struct exam *e)
{
	for (size_t i = 0; i < e->config->n_routes; i++)
		if (str_eq(e->config->routes[i].domain, STR("*")))
			return e->config->routes[i].host;
	return STR_NONE;
}

bool
exam_may_connect(const struct exam *e)
{
	return !e->offline && !e->quick && exam_smarthost(e).n == 0;
}

/* ---- findings ---- */

static void
finding_free(struct finding *f)
{
	buf_free(&f->observed);
	buf_free(&f->expected);
	buf_free(&f->why);
	buf_free(&f->fix);
	for (size_t i = 0; i < f->n_records; i++) {
		buf_free(&f->records[i].name);
		buf_free(&f->records[i].value);
	}
	free(f);
}

static struct finding *
finding_create(struct exam *e, const struct check *c, const struct subject *s)
{
	struct finding *f = mem_zero(sizeof *f);

	f->id = c->id;
	f->refs = c->refs;
	f->refused_by = c->refused_by;
	f->source = s->source;
	f->ehlo = s->ehlo;
	f->domain = s->domain;
	f->selector = s->key != NULL ? s->key->selector : STR_NONE;
	buf_init(&f->observed, TEXT_MAX);
	buf_init(&f->expected, TEXT_MAX);
	buf_init(&f->why, TEXT_MAX);
	buf_init(&f->fix, TEXT_MAX);
	list_push(&e->findings, &f->link);
	return f;
}

void
finding_say(struct finding *f, enum check_status s, const char *format, ...)
{
	va_list args;

	f->status = s;
	buf_clear(&f->why);
	va_start(args, format);
	buf_addv(&f->why, format, args);
	va_end(args);
}

void
finding_fix(struct finding *f, const char *format, ...)
{
	va_list args;

	buf_addz(&f->fix, f->fix.n > 0 ? " " : "");
	va_start(args, format);
	buf_addv(&f->fix, format, args);
	va_end(args);
}

void
finding_record(struct finding *f, struct str name, const char *type, struct str value)
{
	struct fix_record *r;

	if (f->n_records == FIX_RECORDS_MAX)
		return;
	r = &f->records[f->n_records++];
	buf_init(&r->name, TEXT_MAX);
	buf_init(&r->value, TEXT_MAX);
	buf_add(&r->name, name);
	buf_add(&r->value, value);
	r->type = type;
}

static void
add(struct buf *out, struct str s)
{
	buf_addz(out, out->n > 0 ? ", " : "");
	buf_add(out, s);
}

void
finding_see(struct finding *f, struct str observed)
{
	add(&f->observed, observed);
}

void
finding_want(struct finding *f, struct str expected)
{
	add(&f->expected, expected);
}

const struct fact *
exam_ask(struct exam *e, struct finding *f, struct str name, enum dns_type type)
{
	const struct fact *a = facts_get(e->facts, name, type);

	if (!a->known)
		return NULL;
	if (a->status == DNS_TEMPFAIL || a->status == DNS_BOGUS) {
		finding_say(f, CHECK_SKIP, "could not ask about %.*s: %s", S(name),
		            a->why != NULL ? a->why : "no answer");
		return NULL;
	}
	return a;
}

bool
exam_spf(struct exam *e, struct finding *f, struct str name, struct str *record, size_t *n)
{
	const struct fact *a = exam_ask(e, f, name, DNS_TXT);

	*n = 0;
	*record = STR_NONE;
	for (size_t i = 0; a != NULL && i < a->n; i++)
		if (spf_is_record(a->records[i].data) && (*n)++ == 0)
			*record = a->records[i].data;
	return a != NULL;
}

/* ---- the exam ---- */

static void
run_one(struct exam *e, const struct check *c, const struct subject *s)
{
	struct finding *f = finding_create(e, c, s);

	if (c->needs != NEEDS_NOTHING && e->offline)
		finding_say(f, CHECK_SKIP, "offline: nothing was asked");
	else if (c->needs == NEEDS_NET && e->quick)
		finding_say(f, CHECK_SKIP, "quick: no connections were made");
	else if ((c->needs == NEEDS_NET || s->source.family != 0) && exam_smarthost(e).n > 0)
		finding_say(
			f, CHECK_SKIP,
			"mail leaves through the smarthost %.*s: its address counts, not this one",
			S(exam_smarthost(e)));
	else if (c->needs == NEEDS_DNS && s->source.family != 0 && !exam_is_public(s->source))
		finding_say(f, CHECK_SKIP,
		            "a private address: what the world sees instead is not known");
	else
		c->run(e, s, f);
}

static void
run_keys(struct exam *e, const struct check *c, struct str domain)
{
	for (size_t i = 0; i < e->config->n_dkim; i++) {
		const struct dkim_conf *d = &e->config->dkim[i];

		for (size_t k = 0; k < d->n_keys && str_eq(d->domain, domain); k++)
			run_one(e, c,
			        &(struct subject){
					.domain = d->domain, .dkim = d, .key = &d->keys[k]});
	}
}

static void
run_domain(struct exam *e, const struct check *c, struct str domain)
{
	if (c->scope == PER_DOMAIN)
		run_one(e, c, &(struct subject){.domain = domain});
	else if (c->scope == PER_KEY)
		run_keys(e, c, domain);
	else
		for (size_t i = 0; i < e->n_sources; i++)
			run_one(e, c, &(struct subject){.domain = domain, .source = e->sources[i]});
}

static void
run_check(struct exam *e, const struct check *c)
{
	switch (c->scope) {
	case PER_HOST:
		run_one(e, c, &(struct subject){.ehlo = exam_ehlo(e)});
		break;
	case PER_SOURCE:
	case PER_SOURCE6:
		for (size_t i = 0; i < e->n_sources; i++)
			if (c->scope == PER_SOURCE || e->sources[i].family == 6)
				run_one(e, c,
				        &(struct subject){.source = e->sources[i],
				                          .ehlo = exam_ehlo(e)});
		break;
	case PER_DOMAIN:
	case PER_DOMAIN_SOURCE:
	case PER_KEY:
		for (size_t i = 0; i < e->n_domains; i++)
			run_domain(e, c, e->domains[i]);
		break;
	}
}

bool
exam_run(struct exam *e)
{
	exam_free(e);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (checks_include(e->only, e->except, str_of(checks[i].id)))
			run_check(e, &checks[i]);
	return facts_missing(e->facts) == 0;
}

void
exam_free(struct exam *e)
{
	struct link *k;

	if (e->findings.head.next == NULL)
		list_init(&e->findings);
	while ((k = list_pop(&e->findings)) != NULL)
		finding_free(CONTAINER(k, struct finding, link));
}

size_t
exam_count(const struct exam *e, enum check_status s)
{
	struct finding *f;
	size_t          n = 0;

	LIST_EACH(&e->findings, f, struct finding, link)
		n += f->status == s;
	return n;
}

enum check_status
exam_worst(const struct exam *e)
{
	return exam_count(e, CHECK_FAIL) > 0   ? CHECK_FAIL
	       : exam_count(e, CHECK_WARN) > 0 ? CHECK_WARN
	       : exam_count(e, CHECK_NOTE) > 0 ? CHECK_NOTE
	                                       : CHECK_PASS;
}
