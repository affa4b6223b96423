/* SPDX-License-Identifier: ISC */
/* check_host() of RFC 7208 section 4. */
#include "doctor/spf.h"

#include <stdlib.h>

#include "lib/util/mem.h"

enum { /* section 4.6.4 */
       LOOKUPS_MAX = 10,
       VOIDS_MAX = 2,
       MX_MAX = 10,
       NAME_OCTETS = 253,
       WHY_MAX = 1024,
       EXPLAIN_MAX = 4096,
};

struct run {
	struct facts              *facts;
	const struct spf_question *q;
	struct spf_answer         *answer;
	struct str                 local, sender_domain;
	unsigned                   lookups, voids;
	bool                       included; /* an included record explains nothing */
};

static const char *const result_names[] = {
	[SPF_PENDING] = "pending",     [SPF_NONE] = "none",           [SPF_NEUTRAL] = "neutral",
	[SPF_PASS] = "pass",           [SPF_FAIL] = "fail",           [SPF_SOFTFAIL] = "softfail",
	[SPF_TEMPERROR] = "temperror", [SPF_PERMERROR] = "permerror",
};

const char *
spf_result_name(enum spf_result r)
{
	return result_names[r];
}

static enum spf_result check_host(struct run *run, struct str domain);

static enum spf_result
failed(struct run *run, enum spf_result r, const char *why, struct str what)
{
	buf_clear(&run->answer->why);
	buf_addz(&run->answer->why, why);
	buf_add(&run->answer->why, what);
	return r;
}

/* How a mechanism came out: a match, none, or a result that ends everything. */
struct match {
	bool            matched;
	enum spf_result end; /* SPF_NONE: go on */
};

static struct match
ended(enum spf_result r)
{
	return (struct match){false, r};
}

static struct match
matched(bool yes)
{
	return (struct match){yes, SPF_NONE};
}

/* The name a term speaks of; too long names lose labels on the left (section 7.3). */
static bool
target(struct buf *out, struct run *run, const struct spf_term *t, struct str domain)
{
	struct spf_scope scope = {run->facts, run->q, run->local, run->sender_domain, domain};
	ptrdiff_t        dot;

	buf_init(out, EXPLAIN_MAX);
	if (t->domain.n == 0)
		buf_add(out, domain);
	else if (!spf_macro_expand(out, &scope, t->domain))
		return false;
	while (out->n > 0 && out->p[out->n - 1] == '.')
		buf_truncate(out, out->n - 1);
	while (out->n > NAME_OCTETS && (dot = str_find(buf_str(out), '.')) >= 0)
		buf_drop(out, (size_t)dot + 1);
	return true;
}

/* Is the fact there and of use? Otherwise `m` says how it all ends. */
static bool
usable(struct run *run, const struct fact *f, struct match *m)
{
	if (!f->known)
		*m = ended(SPF_PENDING);
	else if (f->status == DNS_TEMPFAIL || f->status == DNS_BOGUS)
		*m = ended(failed(run, SPF_TEMPERROR, "no answer for ", buf_str(&f->name)));
	else
		return true;
	return false;
}

static bool
is_void(struct run *run, const struct fact *f, struct match *m)
{
	if (f->n > 0 || ++run->voids <= VOIDS_MAX)
		return false;
	*m = ended(failed(run, SPF_PERMERROR, "more than 2 names that do not exist, the last ",
	                  buf_str(&f->name)));
	return true;
}

static bool
has_address(const struct run *run, const struct spf_term *t, const struct fact *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct cidr net = {f->records[i].addr,
		                   run->q->ip.family == 4 ? t->bits4 : t->bits6};

		if (net.addr.family == run->q->ip.family && cidr_has(&net, run->q->ip))
			return true;
	}
	return false;
}

static struct match
match_a(struct run *run, const struct spf_term *t, struct str name)
{
	const struct fact *f = facts_get(run->facts, name,
	                                 run->q->ip.family == 4 ? DNS_A : DNS_AAAA);
	struct match       m;

	if (!usable(run, f, &m) || is_void(run, f, &m))
		return m;
	return matched(has_address(run, t, f));
}

static struct match
match_mx(struct run *run, const struct spf_term *t, struct str name)
{
	const struct fact *mx = facts_get(run->facts, name, DNS_MX), *a[MX_MAX];
	struct match       m;

	if (!usable(run, mx, &m) || is_void(run, mx, &m))
		return m;
	if (mx->n > MX_MAX)
		return ended(failed(run, SPF_PERMERROR, "more than 10 MX hosts: ", name));
	for (size_t i = 0; i < mx->n; i++) /* all first: they go out side by side */
		a[i] = facts_get(run->facts, mx->records[i].name,
		                 run->q->ip.family == 4 ? DNS_A : DNS_AAAA);
	for (size_t i = 0; i < mx->n; i++) {
		if (!usable(run, a[i], &m))
			return m;
		if (has_address(run, t, a[i]))
			return matched(true);
	}
	return matched(false);
}

static struct match
match_ptr(struct run *run, struct str name)
{
	struct buf found = BUF(EXPLAIN_MAX);
	bool       known = spf_validated(&found, run->facts, run->q->ip, name);
	bool       yes = found.n > 0;

	buf_free(&found);
	return known ? matched(yes) : ended(SPF_PENDING);
}

static struct match
match_exists(struct run *run, struct str name)
{
	const struct fact *f = facts_get(run->facts, name, DNS_A);
	struct match       m;

	if (!usable(run, f, &m) || is_void(run, f, &m))
		return m;
	return matched(f->n > 0);
}

static struct match
match_include(struct run *run, struct str name)
{
	bool            outer = run->included;
	enum spf_result r;

	run->included = true;
	r = check_host(run, name);
	run->included = outer;
	if (r == SPF_NONE)
		return ended(failed(run, SPF_PERMERROR, "include of a name without SPF: ", name));
	if (r == SPF_PENDING || r == SPF_TEMPERROR || r == SPF_PERMERROR)
		return ended(r);
	return matched(r == SPF_PASS);
}

static bool
costs_lookup(enum spf_kind k)
{
	return k == SPF_INCLUDE || k == SPF_A || k == SPF_MX || k == SPF_PTR || k == SPF_EXISTS ||
	       k == SPF_REDIRECT;
}

static struct match
match_named(struct run *run, const struct spf_term *t, struct str domain)
{
	struct buf   name;
	struct match m = ended(SPF_PENDING);

	if (target(&name, run, t, domain)) {
		switch ((int)t->kind) {
		case SPF_INCLUDE:
			m = match_include(run, buf_str(&name));
			break;
		case SPF_A:
			m = match_a(run, t, buf_str(&name));
			break;
		case SPF_MX:
			m = match_mx(run, t, buf_str(&name));
			break;
		case SPF_PTR:
			m = match_ptr(run, buf_str(&name));
			break;
		default:
			m = match_exists(run, buf_str(&name));
			break;
		}
	}
	buf_free(&name);
	return m;
}

static struct match
match_term(struct run *run, const struct spf_term *t, struct str domain)
{
	struct cidr net = {t->addr, t->kind == SPF_IP4 ? t->bits4 : t->bits6};

	if (costs_lookup(t->kind) && ++run->lookups > LOOKUPS_MAX)
		return ended(failed(run, SPF_PERMERROR, "more than 10 lookups, at ", t->text));
	switch (t->kind) {
	case SPF_ALL:
		return matched(true);
	case SPF_IP4:
	case SPF_IP6:
		return matched(net.addr.family == run->q->ip.family && cidr_has(&net, run->q->ip));
	case SPF_INCLUDE:
	case SPF_A:
	case SPF_MX:
	case SPF_PTR:
	case SPF_EXISTS:
		return match_named(run, t, domain);
	case SPF_REDIRECT:
	case SPF_EXP:
	case SPF_OTHER:
		break;
	}
	return matched(false);
}

static const struct spf_term *
find_modifier(const struct spf_record *r, enum spf_kind kind)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->terms[i].kind == kind)
			return &r->terms[i];
	return NULL;
}

/* exp=: whatever goes wrong here, there is just no explanation (section 6.2). False: pending. */
static bool
explain(struct run *run, const struct spf_record *r, struct str domain)
{
	struct spf_scope       scope = {run->facts, run->q, run->local, run->sender_domain, domain};
	const struct spf_term *t = find_modifier(r, SPF_EXP);
	const struct fact     *f;
	struct buf             name;
	bool                   known = false;

	if (t == NULL || run->included)
		return true;
	if (target(&name, run, t, domain)) {
		f = facts_get(run->facts, buf_str(&name), DNS_TXT);
		known = f->known;
		if (f->n == 1 && spf_macro_valid(f->records[0].data, MACRO_TEXT))
			known = spf_macro_expand(&run->answer->explain, &scope, f->records[0].data);
	}
	buf_free(&name);
	return known;
}

static enum spf_result
redirect(struct run *run, const struct spf_term *t, struct str domain)
{
	struct buf      name;
	enum spf_result r = SPF_PENDING;

	if (++run->lookups > LOOKUPS_MAX)
		return failed(run, SPF_PERMERROR, "more than 10 lookups, at ", t->text);
	if (target(&name, run, t, domain))
		r = check_host(run, buf_str(&name));
	if (r == SPF_NONE)
		r = failed(run, SPF_PERMERROR, "redirect to a name without SPF: ", buf_str(&name));
	buf_free(&name);
	return r;
}

static enum spf_result
conclude(struct run *run, const struct spf_record *r, const struct spf_term *t, struct str domain)
{
	if (!run->included) {
		buf_clear(&run->answer->why);
		buf_add(&run->answer->why, t->text);
	}
	switch (t->qualifier) {
	case '-':
		return explain(run, r, domain) ? SPF_FAIL : SPF_PENDING;
	case '~':
		return SPF_SOFTFAIL;
	case '?':
		return SPF_NEUTRAL;
	default:
		return SPF_PASS;
	}
}

static enum spf_result
evaluate(struct run *run, const struct spf_record *r, struct str domain)
{
	const struct spf_term *t;

	for (size_t i = 0; i < r->n; i++) {
		struct match m = match_term(run, &r->terms[i], domain);

		if (m.end != SPF_NONE)
			return m.end;
		if (m.matched)
			return conclude(run, r, &r->terms[i], domain);
	}
	if ((t = find_modifier(r, SPF_REDIRECT)) != NULL)
		return redirect(run, t, domain);
	return failed(run, SPF_NEUTRAL, "nothing in the record matches", STR_NONE);
}

/* Initial processing, section 4.3: more than one label, none empty or longer than 63. */
static bool
is_checkable(struct str domain)
{
	struct str label;
	size_t     labels = 0;

	if (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (domain.n == 0 || domain.n > NAME_OCTETS || domain.p[0] == '[' ||
	    domain.p[domain.n - 1] == '.')
		return false;
	while (str_cut(&domain, '.', &label)) {
		if (label.n == 0 || label.n > 63)
			return false;
		labels++;
	}
	return labels > 1;
}

static enum spf_result
check_host(struct run *run, struct str domain)
{
	const struct fact *f;
	struct str         txt = STR_NONE;
	struct spf_record *record;
	enum spf_result    r;
	struct buf         why = BUF(WHY_MAX);
	struct match       m;
	size_t             n = 0;

	if (!is_checkable(domain))
		return SPF_NONE;
	f = facts_get(run->facts, domain, DNS_TXT);
	if (!usable(run, f, &m))
		return m.end;
	for (size_t i = 0; i < f->n; i++)
		if (spf_is_record(f->records[i].data)) {
			txt = f->records[i].data;
			n++;
		}
	if (n == 0)
		return failed(run, SPF_NONE, "no SPF record at ", domain);
	if (n > 1)
		return failed(run, SPF_PERMERROR, "more than one SPF record at ", domain);
	record = mem_zero(sizeof *record);
	r = spf_parse(record, txt, &why) ? evaluate(run, record, domain)
	                                 : failed(run, SPF_PERMERROR, "", buf_str(&why));
	free(record);
	buf_free(&why);
	return r;
}

enum spf_result
spf_check(struct facts *f, const struct spf_question *q, struct spf_answer *a)
{
	struct run run = {.facts = f, .q = q, .answer = a};

	buf_init(&a->why, WHY_MAX);
	buf_init(&a->explain, EXPLAIN_MAX);
	run.local = q->local.n > 0 ? q->local : STR("postmaster");
	run.sender_domain = q->domain.n > 0 ? q->domain : q->helo;
	return check_host(&run, run.sender_domain);
}

void
spf_answer_free(struct spf_answer *a)
{
	buf_free(&a->why);
	buf_free(&a->explain);
}
