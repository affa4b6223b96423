/* SPDX-License-Identifier: ISC */
/* SPF of the domains we send as, and of the name we say in EHLO. */
#include "doctor/exam.h"
#include "doctor/spf.h"

enum {
	RECORD_MAX = 8192,
	LOOKUPS_MAX = 10,
	LOOKUPS_NEAR = 8,
	VOIDS_MAX = 2,
	TYPE_SPF = 99,
	OCTETS_MAX = 450, /* RFC 7208 section 3.4, with the rest of the answer */
};

void
exam_spf_wanted(struct exam *e, struct str domain, struct spf_standing *s)
{
	const struct fact *txt = facts_get(e->facts, domain, DNS_TXT);
	struct str         found[FACT_RECORDS_MAX];
	struct addr        add[16];
	size_t             n = 0, n_add = 0;

	for (size_t i = 0; i < txt->n; i++) {
		/* Pasted with quotes it is no record, and meant as one. */
		if (str_find_str(str_sub(txt->records[i].data, 0, 10), STR("v=spf1")) < 0)
			continue;
		found[n++] = txt->records[i].data;
		s->misquoted += !spf_is_record(txt->records[i].data);
	}
	for (size_t i = 0; i < e->n_sources && n_add < ARRAY_LEN(add); i++) {
		struct spf_question q = {
			.ip = e->sources[i], .helo = exam_ehlo(e), .domain = domain};
		struct spf_answer a;

		if (!exam_is_public(q.ip) || exam_smarthost(e).n > 0)
			continue;
		if (spf_check(e->facts, &q, &a) != SPF_PASS)
			add[n_add++] = q.ip;
		spf_answer_free(&a);
	}
	s->records = n;
	s->missing = n_add;
	/* From which addresses a smarthost sends only its owner knows: nothing may be forbidden. */
	if (n == 0 && exam_smarthost(e).n > 0)
		buf_addf(s->text, "v=spf1 a:%.*s ~all", S(exam_smarthost(e)));
	else if (n == 0 && n_add == 0)
		buf_addf(s->text, "v=spf1 a:%.*s -all", S(exam_ehlo(e)));
	else
		spf_repair(s->text, found, n, add, n_add);
}

/* All records that there are, and the sources, into one: to be pasted. */
static void
fix_record(struct exam *e, struct finding *f, struct str domain)
{
	struct buf          record = BUF(RECORD_MAX);
	struct spf_standing s = {.text = &record};

	exam_spf_wanted(e, domain, &s);
	finding_want(f, buf_str(&record));
	finding_record(f, domain, "TXT", buf_str(&record));
	finding_fix(f, s.records > 0 ? "Replace the TXT record of SPF by this one:" : "Publish:");
	buf_free(&record);
}

/* Text that somebody meant as an SPF record and that is none. */
static bool
find_misquoted(struct exam *e, struct str domain)
{
	const struct fact *txt = facts_get(e->facts, domain, DNS_TXT);

	for (size_t i = 0; i < txt->n; i++) {
		struct str s = str_sub(txt->records[i].data, 0, 10);

		if (!spf_is_record(txt->records[i].data) && str_find_str(s, STR("v=spf1")) >= 0)
			return true;
	}
	return false;
}

void
check_spf_record(struct exam *e, const struct subject *s, struct finding *f)
{
	struct str      record;
	struct spf_walk w;
	size_t          n;

	if (!exam_spf(e, f, s->domain, &record, &n))
		return;
	if (n > 0)
		finding_see(f, record);
	if (n == 0) {
		finding_say(
			f, CHECK_FAIL,
			find_misquoted(e, s->domain)
				? "the SPF record was pasted with quotes or spaces in front: nobody reads it"
				: "there is no SPF record");
	} else if (n > 1) {
		finding_say(f, CHECK_FAIL,
		            "there are %zu SPF records: receivers take that for an error", n);
	} else {
		if (!spf_walk(&w, e->facts, s->domain, record)) {
			spf_walk_free(&w);
			return;
		}
		if (w.broken && !w.loop)
			finding_say(f, CHECK_FAIL, "the SPF record is wrong: %s", buf_z(&w.why));
		else
			finding_say(f, CHECK_PASS, "one SPF record, well-formed");
		spf_walk_free(&w);
	}
	if (f->status == CHECK_FAIL)
		fix_record(e, f, s->domain);
}

void
check_spf_auth(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_question q = {.ip = s->source, .helo = exam_ehlo(e), .domain = s->domain};
	struct spf_answer   a;
	enum spf_result     r = spf_check(e->facts, &q, &a);

	finding_see(f, str_of(spf_result_name(r)));
	finding_want(f, STR("pass"));
	if (r == SPF_TEMPERROR)
		finding_say(f, CHECK_SKIP, "SPF could not be evaluated: %s", buf_z(&a.why));
	else if (r == SPF_PASS)
		finding_say(f, CHECK_PASS, "SPF allows the address (%s)", buf_z(&a.why));
	else if (r != SPF_PENDING) {
		finding_say(f, CHECK_FAIL, "SPF says %s for the address (%s)", spf_result_name(r),
		            buf_z(&a.why));
		buf_clear(&f->expected);
		fix_record(e, f, s->domain);
	}
	spf_answer_free(&a);
}

/* The walk over the one record; false (with a skip) if there is not exactly one, or not known yet. */
static bool
walk(struct exam *e, struct finding *f, struct str domain, struct spf_walk *w)
{
	struct str record;
	size_t     n;

	*w = (struct spf_walk){0};
	if (!exam_spf(e, f, domain, &record, &n))
		return false;
	if (n != 1) {
		finding_say(f, CHECK_SKIP, "there is no one SPF record");
		return false;
	}
	finding_see(f, record);
	return spf_walk(w, e->facts, domain, record);
}

void
check_spf_lookups(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_walk w;

	if (walk(e, f, s->domain, &w)) {
		if (w.loop)
			finding_say(f, CHECK_FAIL, "the SPF record includes itself in the end");
		else if (w.lookups > LOOKUPS_MAX)
			finding_say(f, CHECK_FAIL,
			            "the SPF record takes %u lookups, 10 are allowed", w.lookups);
		else if (w.lookups >= LOOKUPS_NEAR)
			finding_say(
				f, CHECK_WARN,
				"the SPF record takes %u of the 10 lookups allowed; an include that grows breaks it",
				w.lookups);
		else
			finding_say(f, CHECK_PASS, "%u of 10 lookups", w.lookups);
		if (f->status >= CHECK_WARN)
			finding_fix(
				f,
				"Write addresses (ip4:, ip6:) instead of names, drop includes that nobody needs. Lookups:\n%s",
				buf_z(&w.tree));
	}
	spf_walk_free(&w);
}

void
check_spf_void(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_walk w;

	if (walk(e, f, s->domain, &w)) {
		if (w.voids == 0)
			finding_say(f, CHECK_PASS, "all names in it exist");
		else
			finding_say(
				f, w.voids > VOIDS_MAX ? CHECK_FAIL : CHECK_WARN,
				"%u name%s in the SPF record do%s not exist (%s), 2 are allowed",
				w.voids, w.voids == 1 ? "" : "s", w.voids == 1 ? "es" : "",
				buf_z(&w.void_names));
		if (w.voids > 0)
			finding_fix(f, "Remove from the record: %s.", buf_z(&w.void_names));
	}
	spf_walk_free(&w);
}

void
check_spf_all(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_walk w;

	if (walk(e, f, s->domain, &w)) {
		if (w.all == '+')
			finding_say(f, CHECK_FAIL, "the SPF record allows the whole world (+all)");
		else if (w.all == '?' || w.all == 0)
			finding_say(f, CHECK_WARN, "the SPF record says nothing about others (%s)",
			            w.all == 0 ? "no all at its end" : "?all");
		else
			finding_say(f, CHECK_PASS, "it ends in %call", w.all);
		if (f->status >= CHECK_WARN && !w.broken)
			finding_fix(f, "End the record in ~all, or -all once you are sure.");
	}
	spf_walk_free(&w);
}

/* The type 99 that SPF had once (RFC 7208 section 3.1): no answer about it is no answer of interest. */
static bool
has_old_type(struct exam *e, struct str domain)
{
	return facts_get(e->facts, domain, (enum dns_type)TYPE_SPF)->n > 0;
}

void
check_spf_style(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_walk w;

	if (walk(e, f, s->domain, &w)) {
		if (w.ptr)
			finding_say(f, CHECK_WARN,
			            "the SPF record uses ptr, which many receivers ignore");
		else if (w.wide)
			finding_say(f, CHECK_WARN, "the SPF record allows very wide networks (%s)",
			            buf_z(&w.wide_nets));
		else if (f->observed.n > OCTETS_MAX)
			finding_say(
				f, CHECK_WARN,
				"the SPF record has %zu octets: over %d it may not fit an answer",
				f->observed.n, OCTETS_MAX);
		else if (w.macros)
			finding_say(f, CHECK_WARN,
			            "the SPF record uses macros, which not all receivers know");
		else if (has_old_type(e, s->domain))
			finding_say(
				f, CHECK_WARN,
				"there is a record of type SPF, too, which is gone from the standard");
		else
			finding_say(f, CHECK_PASS, "nothing unusual in it");
		if (w.ptr)
			fix_record(e, f, s->domain);
		else if (f->status == CHECK_WARN && has_old_type(e, s->domain))
			finding_fix(f, "Remove the record of type SPF; that of type TXT stays.");
		else if (w.wide)
			finding_fix(f, "Name only addresses that send your mail.");
	}
	spf_walk_free(&w);
}

void
check_spf_helo(struct exam *e, const struct subject *s, struct finding *f)
{
	struct spf_question q = {.ip = s->source, .helo = s->ehlo};
	struct spf_answer   a;
	enum spf_result     r = spf_check(e->facts, &q, &a);

	finding_see(f, str_of(spf_result_name(r)));
	if (r == SPF_TEMPERROR)
		finding_say(f, CHECK_SKIP, "SPF of %.*s could not be evaluated", S(s->ehlo));
	else if (r == SPF_PASS)
		finding_say(f, CHECK_PASS, "bounces pass SPF by the EHLO name");
	else if (r == SPF_NONE)
		finding_say(f, CHECK_NOTE,
		            "the EHLO name %.*s has no SPF record: bounces pass no SPF",
		            S(s->ehlo));
	else if (r != SPF_PENDING)
		finding_say(f, CHECK_WARN,
		            "SPF of the EHLO name %.*s says %s: bounces are held against you",
		            S(s->ehlo), spf_result_name(r));
	if (f->status == CHECK_NOTE || f->status == CHECK_WARN)
		finding_record(f, s->ehlo, "TXT", STR("v=spf1 a -all"));
	spf_answer_free(&a);
}
