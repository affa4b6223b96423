/* SPDX-License-Identifier: ISC */
#include "doctor/dmarc.h"

#include "dkim/choose.h"
#include "dkim/record.h"
#include "doctor/exam.h"
#include "doctor/spf.h"
#include "lib/mail/address.h"

enum { NAME_LIMIT = 600, LABELS_MAX = 8, JUMP_LABELS = 7 };

bool
dmarc_is_record(struct str txt)
{
	struct str rest = txt, name, value;

	return tag_next(&rest, &name, &value) && str_eq(name, STR("v")) &&
	       str_eq(value, STR("DMARC1"));
}

static size_t
count_labels(struct str domain)
{
	size_t n = domain.n > 0;

	for (size_t i = 0; i < domain.n; i++)
		n += domain.p[i] == '.';
	return n;
}

static struct str
parent(struct str domain)
{
	ptrdiff_t dot = str_find(domain, '.');

	return dot < 0 ? STR_NONE : str_skip(domain, (size_t)dot + 1);
}

static void
take_tags(struct dmarc *d)
{
	struct str rest = d->record, name, value;
	const struct {
		const char *name;
		struct str *to;
	} tags[] = {{"p", &d->p},         {"sp", &d->sp}, {"rua", &d->rua},   {"pct", &d->pct},
	            {"adkim", &d->adkim}, {"t", &d->t},   {"np", &d->np}};

	while (tag_next(&rest, &name, &value))
		for (size_t i = 0; i < ARRAY_LEN(tags); i++)
			if (str_eq(name, str_of(tags[i].name)))
				*tags[i].to = value;
}

static bool
says_psd(struct str record, char what)
{
	struct str rest = record, name, value;

	while (tag_next(&rest, &name, &value))
		if (str_eq(name, STR("psd")) && value.n == 1 && value.p[0] == what)
			return true;
	return false;
}

/* The records at one name. False: not known yet, or no answer (then the state says so). */
static bool
look(struct dmarc *d, struct facts *f, struct str at, struct str *record, size_t *n)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *txt;

	buf_addz(&name, "_dmarc.");
	buf_add(&name, at);
	txt = facts_get(f, buf_str(&name), DNS_TXT);
	buf_free(&name);
	*n = 0;
	for (size_t i = 0; i < txt->n; i++) {
		struct str s = txt->records[i].data;

		if (dmarc_is_record(s)) {
			*record = s;
			(*n)++;
		} else if (d->wrong.n == 0 && str_find_str(s, STR("p=")) >= 0) {
			d->wrong = s;
		}
	}
	if (txt->known && (txt->status == DNS_TEMPFAIL || txt->status == DNS_BOGUS))
		d->state = DMARC_NO_ANSWER;
	return txt->known && d->state != DMARC_NO_ANSWER;
}

/*
 * The record of the organizational domain is that with the fewest labels, unless psd=
 * ends the walk: "n" is the organizational domain, below "y" it is.
 */
static void
walk_up(struct dmarc *d, struct facts *f, struct str domain)
{
	struct str below = domain, record = STR_NONE;
	size_t     n;

	d->state = DMARC_NONE;
	for (struct str at = parent(domain); at.n > 0; below = at, at = parent(at)) {
		while (count_labels(domain) > LABELS_MAX && count_labels(at) > JUMP_LABELS)
			at = parent(at);
		if (!look(d, f, at, &record, &n)) {
			if (d->state != DMARC_NO_ANSWER)
				d->state = DMARC_PENDING;
			return;
		}
		if (n != 1)
			continue;
		if (says_psd(record, 'y') && d->state == DMARC_FOUND && str_eq(d->at, below))
			return;
		d->state = DMARC_FOUND;
		d->at = at;
		d->record = record;
		if (says_psd(record, 'n') || says_psd(record, 'y'))
			return;
	}
}

void
dmarc_find(struct dmarc *d, struct facts *f, struct str domain)
{
	size_t n;

	*d = (struct dmarc){0};
	if (!look(d, f, domain, &d->record, &n))
		return;
	d->at = domain;
	d->state = n == 1 ? DMARC_FOUND : DMARC_SEVERAL;
	if (n == 0)
		walk_up(d, f, domain);
	if (d->state == DMARC_FOUND)
		take_tags(d);
}

/* ---- checks ---- */

static void
fix_record(struct finding *f, struct str domain)
{
	struct buf name = BUF(NAME_LIMIT), value = BUF(NAME_LIMIT);

	buf_addz(&name, "_dmarc.");
	buf_add(&name, domain);
	buf_addz(&value, "v=DMARC1; p=none; rua=mailto:postmaster@");
	buf_add(&value, domain);
	finding_record(f, buf_str(&name), "TXT", buf_str(&value));
	finding_want(f, buf_str(&value));
	finding_fix(
		f,
		"Publish this, and once reports show only mail of yours go on to p=quarantine, then p=reject:");
	buf_free(&name);
	buf_free(&value);
}

/* False: nothing can be said about the record itself. */
static bool
find(struct exam *e, struct finding *f, struct str domain, struct dmarc *d)
{
	dmarc_find(d, e->facts, domain);
	if (d->state == DMARC_NO_ANSWER)
		finding_say(f, CHECK_SKIP, "could not ask for the DMARC record");
	else if (d->state == DMARC_NONE || d->state == DMARC_SEVERAL)
		finding_say(f, CHECK_SKIP, "there is no one DMARC record");
	if (d->state == DMARC_FOUND)
		finding_see(f, d->record);
	return d->state == DMARC_FOUND;
}

void
check_dmarc_record(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dmarc d;

	if (find(e, f, s->domain, &d)) {
		finding_say(f, CHECK_PASS, "DMARC record at %.*s", S(d.at));
		if (d.p.n > 0 && !str_ieq(d.p, STR("none")) && !str_ieq(d.p, STR("quarantine")) &&
		    !str_ieq(d.p, STR("reject")))
			finding_say(f, CHECK_FAIL, "the DMARC record has an unknown policy p=%.*s",
			            S(d.p));
	} else if (d.state == DMARC_SEVERAL) {
		finding_say(f, CHECK_FAIL,
		            "there is more than one DMARC record: receivers use none");
	} else if (d.state == DMARC_NONE && d.wrong.n > 0) {
		finding_see(f, d.wrong);
		finding_say(f, CHECK_FAIL,
		            "the DMARC record is none: it must begin with v=DMARC1, in this case");
	} else if (d.state == DMARC_NONE) {
		finding_say(f, CHECK_FAIL, "there is no DMARC record");
	}
	if (f->status == CHECK_FAIL)
		fix_record(f, s->domain);
}

static bool
is_none(struct str p)
{
	return str_ieq(p, STR("none"));
}

void
check_dmarc_policy(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dmarc d;
	struct str   p;

	if (!find(e, f, s->domain, &d))
		return;
	p = d.sp.n > 0 && !str_eq(d.at, s->domain) ? d.sp : d.p;
	if (p.n == 0 || is_none(p)) {
		finding_say(f, CHECK_WARN, "the DMARC policy is none: others may use your name");
		finding_fix(
			f,
			"Once the reports show only mail of yours: p=quarantine, then p=reject, at _dmarc.%.*s.",
			S(d.at));
	} else if (is_none(d.sp) || is_none(d.np)) {
		finding_say(
			f, CHECK_WARN,
			"the DMARC policy is %.*s, but names below %.*s may be used by others (%s)",
			S(p), S(d.at), is_none(d.sp) ? "sp=none" : "np=none");
		finding_fix(f, "Drop %s from the record at _dmarc.%.*s.",
		            is_none(d.sp) ? "sp=none" : "np=none", S(d.at));
	} else if (str_ieq(d.t, STR("y"))) {
		finding_say(f, CHECK_NOTE, "the DMARC policy is in test mode (t=y)");
	} else {
		finding_say(f, CHECK_PASS, "the DMARC policy is %.*s", S(p));
	}
}

/* Tags that the standard had once (RFC 9989 appendix A.6). */
void
check_dmarc_style(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dmarc d;
	struct str   rest, name, value;
	struct buf   gone = BUF(NAME_LIMIT);

	if (!find(e, f, s->domain, &d))
		return;
	for (rest = d.record; tag_next(&rest, &name, &value);)
		if (str_eq(name, STR("rf")) || str_eq(name, STR("ri")))
			buf_addf(&gone, "%s%.*s=", gone.n > 0 ? ", " : "", S(name));
	if (d.pct.n > 0)
		finding_say(f, CHECK_WARN,
		            "the DMARC record has pct=, which is gone from the standard");
	else if (gone.n > 0)
		finding_say(f, CHECK_NOTE, "the DMARC record has %s, gone from the standard",
		            buf_z(&gone));
	else
		finding_say(f, CHECK_PASS, "nothing unusual in the DMARC record");
	if (d.pct.n > 0)
		finding_fix(f, "Remove pct= from the record at _dmarc.%.*s; use t=y while testing.",
		            S(d.at));
	buf_free(&gone);
}

/* The domain of "mailto:box@domain!10m", empty if it is no such address. */
static struct str
report_domain(struct str uri)
{
	ptrdiff_t at;

	uri = str_trim(uri);
	if (!str_istarts(uri, STR("mailto:")) || (at = str_rfind(uri, '@')) < 0)
		return STR_NONE;
	uri = str_skip(uri, (size_t)at + 1);
	at = str_find(uri, '!');
	return at < 0 ? uri : str_sub(uri, 0, (size_t)at);
}

bool
dmarc_next_report(const struct dmarc *d, struct str *rua, struct buf *name)
{
	struct str uri, theirs;

	buf_clear(name);
	while (str_cut(rua, ',', &uri)) {
		theirs = report_domain(uri);
		if (theirs.n == 0)
			continue;
		if (!domain_is_within(theirs, d->at) && !domain_is_within(d->at, theirs)) {
			buf_add(name, d->at);
			buf_addz(name, "._report._dmarc.");
			buf_add(name, theirs);
		}
		return true;
	}
	return false;
}

/* Has the receiver of reports said that he wants them? False: not known. */
static bool
consents(struct exam *e, struct finding *f, struct str ours, struct str name)
{
	const struct fact *txt = exam_ask(e, f, name, DNS_TXT);
	bool               yes = false;

	for (size_t i = 0; txt != NULL && i < txt->n; i++)
		yes = yes || dmarc_is_record(txt->records[i].data);
	if (txt != NULL && !yes && f->status != CHECK_FAIL) {
		finding_say(f, CHECK_FAIL, "%.*s has not agreed to take reports for %.*s",
		            S(str_skip(name, ours.n + STR("._report._dmarc.").n)), S(ours));
		finding_fix(f, "There this record is needed:");
		finding_record(f, name, "TXT", STR("v=DMARC1"));
	}
	return txt != NULL;
}

void
check_dmarc_rua(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dmarc d;
	struct str   rest;
	struct buf   name = BUF(NAME_LIMIT);
	bool         known = true, any = false;

	if (!find(e, f, s->domain, &d))
		return;
	for (rest = d.rua; dmarc_next_report(&d, &rest, &name); any = true)
		if (name.n > 0)
			known = consents(e, f, d.at, buf_str(&name)) && known;
	buf_free(&name);
	if (!any) {
		finding_say(f, CHECK_WARN, "nobody gets DMARC reports (no rua=)");
		finding_fix(f, "Add rua=mailto:ADDRESS to the record at _dmarc.%.*s.", S(d.at));
	} else if (known && f->status == CHECK_PASS) {
		finding_say(f, CHECK_PASS, "reports go to %.*s", S(d.rua));
	}
}

/* ---- alignment ---- */

/* Does SPF pass for every source? While that is not known nothing is held against it. */
static bool
passes_spf(struct exam *e, struct str domain)
{
	bool all = e->n_sources > 0 && exam_smarthost(e).n == 0;

	for (size_t i = 0; all && i < e->n_sources; i++) {
		struct spf_question q = {
			.ip = e->sources[i], .helo = exam_ehlo(e), .domain = domain};
		struct spf_answer a;
		enum spf_result   r = spf_check(e->facts, &q, &a);

		all = r == SPF_PASS || r == SPF_PENDING || r == SPF_TEMPERROR;
		spf_answer_free(&a);
	}
	return all;
}

/*
 * From is of `domain`. MAIL FROM is of the same unless an application sends otherwise, and then
 * the line `accept` of the log says so; d= is of it or of a parent, which adkim=s does not allow.
 */
void
check_dmarc_align(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf              why = BUF(NAME_LIMIT);
	const struct dkim_conf *key = dkim_choose(e->config, s->domain, &why);
	struct dmarc            d;
	bool                    strict;

	dmarc_find(&d, e->facts, s->domain);
	strict = d.state == DMARC_FOUND && str_ieq(d.adkim, STR("s"));
	if (key != NULL && d.state == DMARC_NO_ANSWER && !str_eq(key->domain, s->domain)) {
		finding_say(f, CHECK_SKIP,
		            "the signature is of %.*s; whether that is enough only DMARC tells",
		            S(key->domain));
		buf_free(&why);
		return;
	}
	if (key != NULL && strict && !str_eq(key->domain, s->domain)) {
		buf_clear(&why);
		buf_addf(&why, "the signature is of %.*s, and adkim=s wants %.*s", S(key->domain),
		         S(s->domain));
		key = NULL;
	}
	if (key != NULL) {
		finding_say(f, CHECK_PASS, "the signature is of %.*s, aligned with From",
		            S(key->domain));
	} else {
		bool spf = passes_spf(e, s->domain) || exam_smarthost(e).n > 0;

		finding_say(
			f, spf ? CHECK_WARN : CHECK_FAIL,
			spf ? "only SPF is aligned with From (%s): forwarded mail fails DMARC"
			    : "neither signature nor SPF is aligned with From (%s): DMARC fails",
			buf_z(&why));
		finding_fix(f, "Make a key: postern dkim new %.*s", S(s->domain));
	}
	buf_free(&why);
}
