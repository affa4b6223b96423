/* SPDX-License-Identifier: ISC */
/* Can bounces come back? Many receivers take no mail from a domain that takes none. */
#include "doctor/exam.h"

static const struct fact *
ask_any(struct exam *e, struct finding *f, struct str name, bool *found)
{
	const struct fact *a = exam_ask(e, f, name, DNS_A), *b = exam_ask(e, f, name, DNS_AAAA);

	*found = (a != NULL && a->n > 0) || (b != NULL && b->n > 0);
	return *found ? (a != NULL && a->n > 0 ? a : b) : a != NULL && b != NULL ? a : NULL;
}

static bool
is_address(struct str name)
{
	struct addr a;

	return addr_parse(name, &a);
}

static void
fix_mx(struct exam *e, struct finding *f, struct str domain)
{
	struct buf value = BUF(512);

	buf_addz(&value, "10 ");
	buf_add(&value, exam_ehlo(e));
	buf_addc(&value, '.');
	finding_fix(
		f,
		"Name the server that takes mail for the domain (postern only sends; put its name in place of this one):");
	finding_record(f, domain, "MX", buf_str(&value));
	buf_free(&value);
}

/* No MX: the domain's own address stands in (RFC 5321 section 5.1). */
static void
judge_address(struct exam *e, const struct subject *s, struct finding *f)
{
	bool found;

	if (ask_any(e, f, s->domain, &found) == NULL)
		return;
	if (found)
		finding_say(f, CHECK_WARN,
		            "the domain has no MX, only an address: some receivers want an MX");
	else
		finding_say(f, CHECK_FAIL,
		            "bounces cannot come back: the domain has neither MX nor address");
	fix_mx(e, f, s->domain);
}

static void
judge_target(struct exam *e, struct finding *f, struct str name)
{
	const struct fact *alias;
	bool               found;

	if (is_address(name)) {
		finding_say(f, CHECK_FAIL, "the MX %.*s is an address, it must be a name", S(name));
		return;
	}
	if (ask_any(e, f, name, &found) == NULL)
		return;
	if (!found) {
		finding_say(f, CHECK_FAIL, "the MX %.*s has no address", S(name));
		return;
	}
	if (f->status == CHECK_PASS && (alias = exam_ask(e, f, name, DNS_CNAME)) != NULL &&
	    alias->n > 0)
		finding_say(f, CHECK_WARN, "the MX %.*s is an alias (CNAME), which it must not be",
		            S(name));
}

void
check_bounce_mx(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *mx = exam_ask(e, f, s->domain, DNS_MX);

	if (mx == NULL)
		return;
	for (size_t i = 0; i < mx->n; i++)
		finding_see(f, mx->records[i].name);
	if (mx->n == 0) {
		judge_address(e, s, f);
		return;
	}
	if (mx->n == 1 && mx->records[0].name.n == 0) {
		finding_say(
			f, CHECK_FAIL,
			"the domain says that it takes no mail (null MX): receivers refuse senders who cannot be answered");
		fix_mx(e, f, s->domain);
		return;
	}
	for (size_t i = 0; i < mx->n && f->status != CHECK_FAIL; i++)
		judge_target(e, f, mx->records[i].name);
	if (f->status == CHECK_PASS)
		finding_say(f, CHECK_PASS, "bounces go to %.*s", S(mx->records[0].name));
	else if (f->status == CHECK_FAIL)
		finding_fix(f, "Correct the MX of %.*s.", S(s->domain));
}
