/* SPDX-License-Identifier: ISC */
#include "doctor/records.h"

#include <stdlib.h>

#include "dkim/key.h"
#include "dkim/record.h"
#include "doctor/dmarc.h"
#include "doctor/spf.h"

enum { TEXT_LIMIT = 16 * 1024 };

static const char *const state_names[] = {
	[RECORD_PRESENT] = "present",
	[RECORD_MISSING] = "missing",
	[RECORD_DIFFERS] = "differs",
	[RECORD_UNKNOWN] = "unknown",
};

const char *
record_state_name(enum record_state s)
{
	return state_names[s];
}

static struct wanted *
add(struct records *r, const char *what, const char *type, struct str domain)
{
	struct wanted *w;

	r->v = mem_resize(r->v, r->n + 1, sizeof *r->v);
	w = &r->v[r->n++];
	*w = (struct wanted){.type = type, .what = what, .domain = domain};
	buf_init(&w->name, TEXT_LIMIT);
	buf_init(&w->value, TEXT_LIMIT);
	buf_init(&w->have, TEXT_LIMIT);
	buf_init(&w->whom, TEXT_LIMIT);
	return w;
}

static bool
has_answer(const struct fact *f)
{
	return f->known && f->status != DNS_TEMPFAIL && f->status != DNS_BOGUS;
}

/* No answer is no reason to tell somebody to publish a thing that may be there. */
static bool
settle(struct wanted *w, const struct fact *f)
{
	if (has_answer(f))
		return true;
	w->state = RECORD_UNKNOWN;
	return false;
}

static void
have(struct wanted *w, struct str s)
{
	buf_addz(&w->have, w->have.n > 0 ? ", " : "");
	buf_add(&w->have, s);
}

/* ---- of the host ---- */

static void
add_host(struct records *r, struct exam *e, struct addr source)
{
	struct wanted     *w = add(r, "address of the host", source.family == 4 ? "A" : "AAAA",
	                           STR_NONE);
	const struct fact *f = facts_get(e->facts, exam_ehlo(e),
	                                 source.family == 4 ? DNS_A : DNS_AAAA);

	buf_add(&w->name, exam_ehlo(e));
	addr_format(&w->value, source);
	w->state = RECORD_MISSING;
	if (!settle(w, f))
		return;
	for (size_t i = 0; i < f->n; i++) {
		struct buf ip = BUF(64);

		addr_format(&ip, f->records[i].addr);
		have(w, buf_str(&ip));
		buf_free(&ip);
		if (addr_equal(f->records[i].addr, source))
			w->state = RECORD_PRESENT;
	}
	if (f->n > 0 && w->state != RECORD_PRESENT && e->n_sources == 1)
		w->state = RECORD_DIFFERS; /* of several addresses each is just missing */
}

static void
say_whom(struct wanted *w, struct exam *e, struct addr source)
{
	struct buf zone = BUF(TEXT_LIMIT);
	struct str server;

	if (exam_reverse_zone(e, source, &zone, &server))
		buf_addf(&w->whom, "the zone %.*s is served by %.*s", S(buf_str(&zone)),
		         S(server));
	buf_free(&zone);
}

static void
add_ptr(struct records *r, struct exam *e, struct addr source)
{
	struct wanted     *w = add(r, "reverse name", "PTR", STR_NONE);
	const struct fact *f;

	reverse_name(&w->name, source, true);
	buf_add(&w->value, exam_ehlo(e));
	w->note = "set by the provider of the address: in his panel, or ask him";
	w->state = RECORD_MISSING;
	f = facts_get(e->facts, buf_str(&w->name), DNS_PTR);
	if (!settle(w, f))
		return;
	for (size_t i = 0; i < f->n; i++) {
		have(w, f->records[i].name);
		if (str_ieq(f->records[i].name, exam_ehlo(e)))
			w->state = RECORD_PRESENT;
	}
	if (f->n > 0 && w->state != RECORD_PRESENT)
		w->state = RECORD_DIFFERS;
	if (w->state != RECORD_PRESENT)
		say_whom(w, e, source);
}

/* A bounce has no sender: its SPF is that of the EHLO name. */
static void
add_helo_spf(struct records *r, struct exam *e)
{
	struct wanted     *w = add(r, "SPF of the host, for bounces", "TXT", STR_NONE);
	const struct fact *f = facts_get(e->facts, exam_ehlo(e), DNS_TXT);

	buf_add(&w->name, exam_ehlo(e));
	buf_addz(&w->value, "v=spf1 a -all");
	w->optional = true;
	w->state = RECORD_MISSING;
	if (!settle(w, f))
		return;
	for (size_t i = 0; i < f->n; i++)
		if (spf_is_record(f->records[i].data)) {
			/* Whatever it says is its owner's will; the doctor judges it. */
			have(w, f->records[i].data);
			w->state = RECORD_PRESENT;
		}
}

/* ---- of a domain ---- */

static void
add_spf(struct records *r, struct exam *e, struct str domain)
{
	struct wanted      *w = add(r, "SPF", "TXT", domain);
	const struct fact  *f = facts_get(e->facts, domain, DNS_TXT);
	struct buf          text = BUF(TEXT_LIMIT);
	struct spf_standing s = {.text = &text};

	buf_add(&w->name, domain);
	if (settle(w, f)) {
		for (size_t i = 0; i < f->n; i++)
			if (spf_is_record(f->records[i].data))
				have(w, f->records[i].data);
		exam_spf_wanted(e, domain, &s);
		w->state = s.records == 0                                         ? RECORD_MISSING
		           : s.records == 1 && s.missing == 0 && s.misquoted == 0 ? RECORD_PRESENT
		                                                                  : RECORD_DIFFERS;
		buf_add(&w->value, w->state == RECORD_PRESENT ? buf_str(&w->have) : buf_str(&text));
		if (w->state == RECORD_MISSING && exam_smarthost(e).n > 0)
			w->note = "ask the owner of the smarthost what to include";
		if (w->state == RECORD_DIFFERS)
			w->note = "replaces the record that is there: there can be only one";
	}
	buf_free(&text);
}

static void
add_dkim(struct records *r, struct exam *e, const struct dkim_conf *d,
         const struct dkim_key_conf *k)
{
	struct buf         why = BUF(TEXT_LIMIT);
	struct key        *key = key_load(k->pem, &why);
	struct wanted     *w;
	const struct fact *f;
	struct dkim_record own, theirs;

	buf_free(&why);
	if (key == NULL)
		return;
	w = add(r, "DKIM", "TXT", d->domain);
	buf_addf(&w->name, "%.*s._domainkey.%.*s", S(k->selector), S(d->domain));
	key_format_record(key, &w->value);
	key_destroy(key);
	w->state = RECORD_MISSING;
	f = facts_get(e->facts, buf_str(&w->name), DNS_TXT);
	if (!settle(w, f))
		return;
	for (size_t i = 0; i < f->n; i++)
		have(w, f->records[i].data);
	if (f->n == 1) {
		bool same = dkim_record_parse(&own, buf_str(&w->value), &why);

		same = dkim_record_parse(&theirs, f->records[0].data, &why) && same &&
		       own.type == theirs.type && str_eq(buf_str(&own.key), buf_str(&theirs.key)) &&
		       !theirs.testing && !theirs.no_email && !theirs.no_sha256;
		w->state = same ? RECORD_PRESENT : RECORD_DIFFERS;
		dkim_record_free(&own);
		dkim_record_free(&theirs);
	} else if (f->n > 1) {
		w->state = RECORD_DIFFERS;
	}
	buf_free(&why);
}

static void
add_dmarc(struct records *r, struct exam *e, struct str domain)
{
	struct wanted *w = add(r, "DMARC", "TXT", domain);
	struct dmarc   d;

	dmarc_find(&d, e->facts, domain);
	buf_addz(&w->name, "_dmarc.");
	buf_add(&w->name, d.state == DMARC_FOUND ? d.at : domain);
	if (d.state == DMARC_FOUND)
		buf_add(&w->value, d.record);
	else
		buf_addf(&w->value, "v=DMARC1; p=none; rua=mailto:postmaster@%.*s", S(domain));
	if (d.state == DMARC_SEVERAL)
		w->note = "there is more than one: this one replaces all";
	have(w, d.state == DMARC_FOUND ? d.record : d.wrong);
	w->state = d.state == DMARC_FOUND                      ? RECORD_PRESENT
	           : d.state == DMARC_SEVERAL || d.wrong.n > 0 ? RECORD_DIFFERS
	           : d.state == DMARC_NONE                     ? RECORD_MISSING
	                                                       : RECORD_UNKNOWN;
}

/* Reports that go to somebody else: he must say that he takes them, or nobody sends him any. */
static void
add_consents(struct records *r, struct exam *e, struct str domain)
{
	struct dmarc d;
	struct str   rest;
	struct buf   name = BUF(TEXT_LIMIT);

	dmarc_find(&d, e->facts, domain);
	for (rest = d.state == DMARC_FOUND ? d.rua : STR_NONE; dmarc_next_report(&d, &rest, &name);) {
		const struct fact *f;
		struct wanted     *w;

		if (name.n == 0)
			continue;
		w = add(r, "consent to DMARC reports", "TXT", domain);
		f = facts_get(e->facts, buf_str(&name), DNS_TXT);
		buf_add(&w->name, buf_str(&name));
		buf_addz(&w->value, "v=DMARC1");
		w->note = "set by the owner of the domain that the reports go to";
		w->optional = true;
		w->state = RECORD_MISSING;
		for (size_t i = 0; settle(w, f) && i < f->n; i++)
			if (dmarc_is_record(f->records[i].data)) {
				have(w, f->records[i].data);
				w->state = RECORD_PRESENT;
			}
	}
	buf_free(&name);
}

/* Only where nothing at all could come back: postern takes no mail itself. */
static void
add_mx(struct records *r, struct exam *e, struct str domain)
{
	const struct fact *mx = facts_get(e->facts, domain, DNS_MX);
	const struct fact *a = facts_get(e->facts, domain, DNS_A);
	const struct fact *aaaa = facts_get(e->facts, domain, DNS_AAAA);
	bool               null_mx = mx->n == 1 && mx->records[0].name.n == 0;
	bool               known = has_answer(mx) && has_answer(a) && has_answer(aaaa);
	struct wanted     *w;

	if (!known || (!null_mx && (mx->n > 0 || a->n > 0 || aaaa->n > 0)))
		return;
	w = add(r, "MX: where bounces go", "MX", domain);
	buf_add(&w->name, domain);
	buf_addf(&w->value, "10 %.*s.", S(exam_ehlo(e)));
	w->note = "postern takes no mail: put the name of the server that does";
	w->state = null_mx ? RECORD_DIFFERS : RECORD_MISSING;
	have(w, null_mx ? STR("0 .") : STR_NONE);
}

static void
add_tlsrpt(struct records *r, struct exam *e, struct str domain)
{
	struct wanted     *w = add(r, "TLS reports", "TXT", domain);
	const struct fact *f;

	buf_addf(&w->name, "_smtp._tls.%.*s", S(domain));
	buf_addf(&w->value, "v=TLSRPTv1; rua=mailto:postmaster@%.*s", S(domain));
	w->optional = true;
	w->state = RECORD_MISSING;
	f = facts_get(e->facts, buf_str(&w->name), DNS_TXT);
	if (!settle(w, f))
		return;
	for (size_t i = 0; i < f->n; i++)
		if (str_starts(f->records[i].data, STR("v=TLSRPTv1"))) {
			have(w, f->records[i].data);
			w->state = RECORD_PRESENT;
		}
}

/* ---- all ---- */

void
records_make(struct records *r, struct exam *e)
{
	*r = (struct records){0};
	for (size_t i = 0; i < e->n_sources; i++)
		if (exam_is_public(e->sources[i]) && exam_smarthost(e).n == 0) {
			add_host(r, e, e->sources[i]);
			add_ptr(r, e, e->sources[i]);
		}
	if (exam_ehlo(e).n > 0 && exam_ehlo(e).p[0] != '[' && exam_smarthost(e).n == 0)
		add_helo_spf(r, e);
	for (size_t i = 0; i < e->n_domains && r->n < RECORDS_MAX; i++) {
		/* A host named like its domain has one SPF record, and that is the domain's. */
		if (str_eq(e->domains[i], exam_ehlo(e)))
			for (size_t k = 0; k < r->n; k++)
				if (r->v[k].domain.n == 0 &&
				    str_eq(str_of(r->v[k].type), STR("TXT")))
					r->v[k].state = RECORD_PRESENT;
		add_mx(r, e, e->domains[i]);
		add_spf(r, e, e->domains[i]);
		for (size_t k = 0; k < e->config->n_dkim; k++)
			for (size_t m = 0; str_eq(e->config->dkim[k].domain, e->domains[i]) &&
			                   m < e->config->dkim[k].n_keys;
			     m++)
				add_dkim(r, e, &e->config->dkim[k], &e->config->dkim[k].keys[m]);
		add_dmarc(r, e, e->domains[i]);
		add_consents(r, e, e->domains[i]);
		add_tlsrpt(r, e, e->domains[i]);
	}
}

void
records_free(struct records *r)
{
	for (size_t i = 0; i < r->n; i++) {
		buf_free(&r->v[i].name);
		buf_free(&r->v[i].value);
		buf_free(&r->v[i].have);
		buf_free(&r->v[i].whom);
	}
	free(r->v);
	*r = (struct records){0};
}

size_t
records_count(const struct records *r, enum record_state s, bool optional_too)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->v[i].state == s && (optional_too || !r->v[i].optional);
	return n;
}
