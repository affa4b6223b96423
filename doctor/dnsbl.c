/* SPDX-License-Identifier: ISC */
/*
 * Block lists. None is believed that does not list what it must and lists what it must not
 * (RFC 5782 section 5): a dead or parked list answers everything alike.
 */
#include "doctor/exam.h"

enum { NAME_LIMIT = 600 };

struct dnsbl {
	const char *zone;
	const char *listed, *unlisted; /* what a healthy list says about itself */
	bool        ipv6;
	const char *page;
};

/* clang-format off */
static const struct dnsbl ip_lists[] = {
	{"zen.spamhaus.org", "2.0.0.127", "1.0.0.127", true, "https://check.spamhaus.org/"},
	{"bl.spamcop.net", "2.0.0.127", "1.0.0.127", false, "https://www.spamcop.net/bl.shtml"},
	{"b.barracudacentral.org", "2.0.0.127", "1.0.0.127", false, "https://barracudacentral.org/rbl/removal-request"},
	{"psbl.surriel.com", "2.0.0.127", "1.0.0.127", false, "https://psbl.org/"},
};

static const struct dnsbl domain_lists[] = {
	{"dbl.spamhaus.org", "dbltest.com", "invalid", false, "https://check.spamhaus.org/"},
	{"multi.surbl.org", "test.surbl.org", "invalid", false, "https://surbl.org/surbl-analysis"},
};
/* clang-format on */

enum verdict { WAITING, CLEAN, LISTED, UNUSABLE };

struct entry {
	enum verdict verdict;
	const char  *why;
	uint8_t      code[4];
};

static const struct fact *
ask(struct exam *e, struct str what, const struct dnsbl *list, enum dns_type type)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *a;

	buf_add(&name, what);
	buf_addc(&name, '.');
	buf_addz(&name, list->zone);
	a = facts_get(e->facts, buf_str(&name), type);
	buf_free(&name);
	return a;
}

/* 127.255.255.x: the list says why it does not answer us. */
static const char *
refusal(const struct fact *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const uint8_t *ip = a->records[i].addr.ip;

		if (ip[0] != 127 || ip[1] != 255 || ip[2] != 255)
			continue;
		switch (ip[3]) {
		case 252:
			return "it says that its name is mistyped";
		case 254:
			return "it does not answer public resolvers: use an own recursive one";
		case 255:
			return "it says that this resolver asks too much";
		default:
			return "it refuses to answer this resolver";
		}
	}
	return NULL;
}

/* A listing is 127.x.y.z and nothing else (section 2.1). */
static bool
is_listing(const struct fact *a, uint8_t code[4])
{
	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].addr.ip[0] == 127) {
			for (size_t k = 0; k < 4; k++)
				code[k] = a->records[i].addr.ip[k];
			return true;
		}
	return false;
}

static bool
has_no_answer(const struct fact *a)
{
	return a->status == DNS_TEMPFAIL || a->status == DNS_BOGUS;
}

static struct entry
unusable(const char *why)
{
	return (struct entry){.verdict = UNUSABLE, .why = why};
}

static struct entry
look(struct exam *e, struct str what, const struct dnsbl *list)
{
	const struct fact *a = ask(e, what, list, DNS_A);
	const struct fact *good = ask(e, str_of(list->listed), list, DNS_A);
	const struct fact *bad = ask(e, str_of(list->unlisted), list, DNS_A);
	struct entry       entry = {.verdict = CLEAN};
	uint8_t            code[4];
	const char        *why;

	if (!a->known || !good->known || !bad->known)
		return (struct entry){.verdict = WAITING};
	if ((why = refusal(a)) != NULL || (why = refusal(good)) != NULL)
		return unusable(why);
	if (has_no_answer(a) || has_no_answer(good) || has_no_answer(bad))
		return unusable("it does not answer");
	if (!is_listing(good, code))
		return unusable(
			"it does not list its own test entry: it is dead, or does not answer us");
	if (bad->n > 0)
		return unusable("it lists everything");
	if (is_listing(a, entry.code))
		entry.verdict = LISTED;
	return entry;
}

/* The page where a listing is looked up and ended; the list's own TXT says it best. */
static void
say_listed(struct exam *e, struct finding *f, struct str what, const struct dnsbl *list,
           const struct entry *entry)
{
	const struct fact *txt = ask(e, what, list, DNS_TXT);
	bool pbl = str_starts(str_of(list->zone), STR("zen.")) && entry->code[1] == 0 &&
	           entry->code[2] == 0 && (entry->code[3] == 10 || entry->code[3] == 11);

	finding_see(f, str_of(list->zone));
	finding_say(f, CHECK_FAIL,
	            pbl ? "%s says that this network should not send mail directly"
	                : "is listed by %s",
	            list->zone);
	if (txt->n > 0)
		finding_fix(f, "%s says: %.*s.", list->zone,
		            S(str_sub(txt->records[0].data, 0, 300)));
	else
		finding_fix(f, "Look it up and ask for removal at %s", list->page);
}

static void
judge(struct exam *e, struct finding *f, struct str what, const struct dnsbl *lists, size_t n)
{
	size_t     clean = 0, waiting = 0;
	struct buf unusable_ones = BUF(4096);

	for (size_t i = 0; i < n; i++) {
		struct entry entry;

		if (f->source.family == 6 && !lists[i].ipv6)
			continue;
		entry = look(e, what, &lists[i]);
		if (entry.verdict == LISTED)
			say_listed(e, f, what, &lists[i], &entry);
		else if (entry.verdict == UNUSABLE)
			buf_addf(&unusable_ones, "%s%s: %s", unusable_ones.n > 0 ? "; " : "",
			         lists[i].zone, entry.why);
		clean += entry.verdict == CLEAN;
		waiting += entry.verdict == WAITING;
	}
	if (f->status == CHECK_PASS && waiting == 0 && clean > 0)
		finding_say(f, CHECK_PASS, "on none of %zu block lists%s%s", clean,
		            unusable_ones.n > 0 ? "; not asked " : "", buf_z(&unusable_ones));
	else if (f->status == CHECK_PASS && waiting == 0)
		finding_say(f, CHECK_SKIP, "no block list could be asked: %s",
		            buf_z(&unusable_ones));
	buf_free(&unusable_ones);
}

void
check_dnsbl_ip(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf reversed = BUF(NAME_LIMIT);

	reverse_name(&reversed, s->source, false);
	judge(e, f, buf_str(&reversed), ip_lists, ARRAY_LEN(ip_lists));
	buf_free(&reversed);
}

void
check_dnsbl_domain(struct exam *e, const struct subject *s, struct finding *f)
{
	judge(e, f, s->domain, domain_lists, ARRAY_LEN(domain_lists));
}
