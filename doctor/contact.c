/* SPDX-License-Identifier: ISC */
/*
 * Does the server that takes our mail take bounces, and letters to those who answer for the domain? It is
 * asked as far as RCPT, and nothing is sent.
 */
#include "doctor/exam.h"

enum { SCRIPT_LIMIT = 4096, SERVERS_MAX = 2, SENDERS_MAX = 4, FIRST_RCPT = 3, CONTACTS = 2 };

static const char *const contacts[CONTACTS] = {"postmaster", "abuse"};

/* ---- whom bounces of a domain go to ---- */

struct senders {
	struct str v[SENDERS_MAX]; /* whole addresses that the configuration names */
	size_t     n;
};

static void
add_senders(struct senders *s, const struct strs *patterns, struct str domain)
{
	for (size_t i = 0; i < patterns->n && s->n < SENDERS_MAX; i++) {
		struct str p = patterns->v[i];
		ptrdiff_t  at = str_rfind(p, '@');

		if (at > 0 && str_find(p, '*') < 0 && str_ieq(str_skip(p, (size_t)at + 1), domain))
			s->v[s->n++] = p;
	}
}

static struct senders
find_senders(const struct config *c, struct str domain)
{
	struct senders s = {0};

	add_senders(&s, &c->domains, domain);
	for (size_t i = 0; i < c->n_trusts; i++)
		add_senders(&s, &c->trusts[i].from, domain);
	for (size_t i = 0; i < c->n_user; i++)
		add_senders(&s, &c->user[i].from, domain);
	return s;
}

/* ---- the conversation ---- */

static void
add_rcpt(struct buf *script, struct str address)
{
	buf_addz(script, "\nRCPT TO:<");
	for (size_t i = 0; i < address.n; i++)
		if (address.p[i] > ' ' && address.p[i] < 127 && address.p[i] != '%')
			buf_addc(script, address.p[i]);
		else
			buf_addf(script, "%%%02X", (unsigned char)address.p[i]);
	buf_addc(script, '>');
}

/* One script for all checks of a domain: one connection. */
static void
write_script(struct buf *out, struct exam *e, struct str domain, const struct senders *s)
{
	struct buf address = BUF(SCRIPT_LIMIT);

	buf_addf(out, "EHLO %.*s\nMAIL FROM:<>", S(exam_ehlo(e)));
	for (size_t i = 0; i < CONTACTS; i++) {
		buf_clear(&address);
		buf_addf(&address, "%s@%.*s", contacts[i], S(domain));
		add_rcpt(out, buf_str(&address));
	}
	for (size_t i = 0; i < s->n; i++)
		add_rcpt(out, s->v[i]);
	buf_free(&address);
}

/* The address of one MX. NULL: none, or not known yet. */
static const struct fact *
find_address(struct exam *e, struct str host, bool *pending)
{
	const struct fact *v4 = facts_get(e->facts, host, DNS_A);
	const struct fact *v6 = facts_get(e->facts, host, DNS_AAAA);

	*pending = *pending || !v4->known || (v4->n == 0 && !v6->known);
	return v4->n > 0 ? v4 : v6->n > 0 && v4->known ? v6 : NULL;
}

/* The MX hosts in the order in which senders try them. */
static size_t
best_hosts(const struct fact *mx, struct str hosts[static SERVERS_MAX])
{
	size_t n = 0;

	for (unsigned least = 0; n < SERVERS_MAX; n++) {
		const struct dns_record *best = NULL;

		for (size_t i = 0; i < mx->n; i++) {
			const struct dns_record *r = &mx->records[i];

			if (r->preference >= least && r->name.n > 0 &&
			    (best == NULL || r->preference < best->preference))
				best = r;
		}
		if (best == NULL)
			break;
		hosts[n] = best->name;
		least = best->preference + 1;
	}
	return n;
}

/* What the domain's server said, as far as RCPT. NULL: pending, or a skip that is told. */
static const struct fact *
ask_server(struct exam *e, struct finding *f, struct str domain, const struct senders *s)
{
	const struct fact *mx = exam_ask(e, f, domain, DNS_MX), *a, *talk;
	struct buf         script = BUF(SCRIPT_LIMIT);
	struct str         hosts[SERVERS_MAX];
	size_t             n = mx != NULL ? best_hosts(mx, hosts) : 0;
	bool               pending = mx == NULL;

	write_script(&script, e, domain, s);
	for (size_t i = 0; i < n && !pending; i++) {
		struct addr to;

		if ((a = find_address(e, hosts[i], &pending)) == NULL)
			continue;
		to = a->records[0].addr;
		to.port = e->config->outbound.port;
		talk = facts_talk(e->facts, to, buf_str(&script));
		pending = !talk->known;
		if (talk->status == DNS_OK && talk->known) {
			finding_see(f, hosts[i]);
			buf_free(&script);
			return talk;
		}
	}
	buf_free(&script);
	if (mx != NULL && n == 0)
		finding_say(f, CHECK_SKIP, "the domain has no MX that could be asked");
	else if (!pending)
		finding_say(f, CHECK_SKIP, "the MX of %.*s could not be reached from here",
		            S(domain));
	return NULL;
}

static unsigned
code_at(const struct fact *talk, size_t i)
{
	return i < talk->n ? talk->records[i].preference : 0;
}

static struct str
text_at(const struct fact *talk, size_t i)
{
	return i < talk->n ? str_sub(talk->records[i].data, 0, 200) : STR_NONE;
}

/* Did it come to RCPT at all? False: a skip, with what was said instead. */
static bool
came_to_rcpt(struct finding *f, const struct fact *talk)
{
	if (code_at(talk, FIRST_RCPT) != 0 && code_at(talk, FIRST_RCPT - 1) / 100 == 2)
		return true;
	if (talk->n == 0)
		finding_say(f, CHECK_SKIP, "the MX did not greet in time");
	else
		finding_say(f, CHECK_SKIP, "the MX does not talk to us: %u %.*s",
		            code_at(talk, talk->n - 1), S(text_at(talk, talk->n - 1)));
	return false;
}

/* ---- checks ---- */

/* A server that never heard of the domain refuses everybody, and says so in one of these ways. */
static bool
is_foreign(const struct fact *talk, size_t i)
{
	struct str text = text_at(talk, i);

	return code_at(talk, i) / 100 == 5 &&
	       (str_find_str(text, STR("elay")) >= 0 || str_starts(text, STR("5.7.1")));
}

static void
say_refused(struct finding *f, const char *whom, struct str domain, struct str reply)
{
	finding_say(f, CHECK_FAIL, "the MX refuses %s: %.*s", whom, S(reply));
	finding_fix(
		f,
		"Let the server of %.*s take mail for it: receivers that check the sender by a call refuse it else, and no bounce comes back.",
		S(domain));
}

void
check_bounce_rcpt(struct exam *e, const struct subject *s, struct finding *f)
{
	struct senders     senders = find_senders(e->config, s->domain);
	const struct fact *talk = ask_server(e, f, s->domain, &senders);
	bool               wait = false;

	if (talk == NULL)
		return;
	/* A server that refuses the null sender refuses every bounce (RFC 5321 section 6.1). */
	if (code_at(talk, FIRST_RCPT - 1) / 100 == 5) {
		say_refused(f, "the null sender, which bounces have", s->domain,
		            text_at(talk, FIRST_RCPT - 1));
		return;
	}
	if (!came_to_rcpt(f, talk))
		return;
	for (size_t i = 0; i < senders.n; i++) {
		size_t     at = FIRST_RCPT + CONTACTS + i;
		struct buf whom = BUF(SCRIPT_LIMIT);

		buf_addf(&whom, "bounces to %.*s", S(senders.v[i]));
		if (code_at(talk, at) / 100 == 5 && f->status != CHECK_FAIL)
			say_refused(f, buf_z(&whom), s->domain, text_at(talk, at));
		wait = wait || code_at(talk, at) / 100 != 2;
		buf_free(&whom);
	}
	if (f->status == CHECK_FAIL)
		return;
	/* No sender is named: whoever takes letters to postmaster knows the domain. */
	if (senders.n == 0 && is_foreign(talk, FIRST_RCPT) && is_foreign(talk, FIRST_RCPT + 1))
		say_refused(f, "mail to the domain", s->domain, text_at(talk, FIRST_RCPT));
	else if (senders.n == 0 && code_at(talk, FIRST_RCPT) / 100 != 2)
		finding_say(
			f, CHECK_SKIP,
			"no sender is named in the configuration, and postmaster is no answer: %u %.*s",
			code_at(talk, FIRST_RCPT), S(text_at(talk, FIRST_RCPT)));
	else if (wait)
		finding_say(f, CHECK_SKIP, "the MX wants us to come again later");
	else
		finding_say(f, CHECK_PASS, "the MX takes bounces");
}

void
check_contact(struct exam *e, const struct subject *s, struct finding *f)
{
	struct senders     senders = find_senders(e->config, s->domain);
	const struct fact *talk = ask_server(e, f, s->domain, &senders);
	struct buf         refused = BUF(SCRIPT_LIMIT);
	bool               wait = false;

	if (talk == NULL || !came_to_rcpt(f, talk))
		return;
	for (size_t i = 0; i < CONTACTS; i++) {
		if (code_at(talk, FIRST_RCPT + i) / 100 == 5)
			buf_addf(&refused, "%s%s@%.*s", refused.n > 0 ? " and " : "", contacts[i],
			         S(s->domain));
		wait = wait || code_at(talk, FIRST_RCPT + i) / 100 != 2;
	}
	if (refused.n > 0) {
		finding_say(f, CHECK_WARN, "the MX refuses %s: who complains is not heard",
		            buf_z(&refused));
		finding_fix(f, "Make the mailbox or alias %s.", buf_z(&refused));
	} else if (wait) {
		finding_say(f, CHECK_SKIP, "the MX wants us to come again later");
	} else {
		finding_say(f, CHECK_PASS, "the MX takes mail to postmaster and abuse");
	}
	buf_free(&refused);
}
