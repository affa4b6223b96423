/* SPDX-License-Identifier: ISC */
/* Who answers our questions, and whether he vouches for the answers. */
#include "doctor/exam.h"

static const struct {
	const char *ip, *whose;
} public_resolvers[] = {
	{"8.8.8.8", "Google"},
	{"8.8.4.4", "Google"},
	{"2001:4860:4860::8888", "Google"},
	{"2001:4860:4860::8844", "Google"},
	{"1.1.1.1", "Cloudflare"},
	{"1.0.0.1", "Cloudflare"},
	{"2606:4700:4700::1111", "Cloudflare"},
	{"2606:4700:4700::1001", "Cloudflare"},
	{"9.9.9.9", "Quad9"},
	{"149.112.112.112", "Quad9"},
	{"2620:fe::fe", "Quad9"},
	{"208.67.222.222", "OpenDNS"},
	{"208.67.220.220", "OpenDNS"},
};

static const char *
whose(struct addr a)
{
	struct addr known;

	for (size_t i = 0; i < ARRAY_LEN(public_resolvers); i++)
		if (addr_parse(str_of(public_resolvers[i].ip), &known) && addr_equal(a, known))
			return public_resolvers[i].whose;
	return NULL;
}

/*
 * A zone that has been signed for as long as there are signatures, and a resolver that cannot tell so cannot
 * tell anything. Whatever else was validated is as good a proof.
 */
static bool
is_validated(struct exam *e, bool *pending)
{
	const struct fact *probe = facts_get(e->facts, STR("org"), DNS_SOA);

	*pending = !probe->known;
	for (size_t i = 0; i < facts_count(e->facts); i++)
		if (facts_at(e->facts, i)->secure)
			return true;
	return false;
}

static void
judge_dnssec(struct exam *e, struct finding *f)
{
	bool pending;

	if (e->config->dnssec == DNSSEC_OFF) {
		finding_say(f, CHECK_NOTE, "DNSSEC is turned off: forged answers are not noticed");
	} else if (!is_validated(e, &pending) && !pending) {
		finding_say(
			f, CHECK_NOTE,
			"no answer was validated by DNSSEC (no AD bit): forged answers are not noticed");
		finding_fix(f,
		            "Use a resolver that passes signatures on, or `resolver recursive`.");
	}
}

void
check_dns_resolver(struct exam *e, const struct subject *s, struct finding *f)
{
	(void)s;
	for (size_t i = 0; i < e->n_resolvers; i++) {
		struct buf ip = BUF(64);

		addr_format(&ip, e->resolvers[i]);
		finding_see(f, buf_str(&ip));
		buf_free(&ip);
		if (f->status == CHECK_PASS && whose(e->resolvers[i]) != NULL)
			finding_say(
				f, CHECK_WARN,
				"the resolver is a public one (%s): block lists refuse to answer it, others see your questions",
				whose(e->resolvers[i]));
	}
	if (f->status == CHECK_WARN)
		finding_fix(
			f,
			"Say `resolver recursive` in the configuration, or run a resolver here (unbound).");
	else
		finding_say(f, CHECK_PASS,
		            e->n_resolvers == 0 ? "asks the name servers of the world itself"
		                                : "an own resolver");
	if (f->status == CHECK_PASS && !e->offline)
		judge_dnssec(e, f);
}
