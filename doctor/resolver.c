/* SPDX-License-Identifier: ISC */
/* Who answers our questions, and whether port 25 and IPv6 are open to us. */
#include "doctor/exam.h"

enum { NAME_LIMIT = 512, PROBES_PER_DOMAIN = 1 };

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
}

/* ---- port 25 ---- */

/* Servers that are always there; connecting and closing is all that is done. */
static const char *const test_domains[] = {"gmail.com", "outlook.com", "yahoo.com"};

struct reach {
	size_t open, closed, waiting;
};

static void
try(struct exam *e, struct reach *r, struct str domain, enum dns_type type)
{
	const struct fact *mx = facts_get(e->facts, domain, DNS_MX), *a, *c;
	struct addr        to;

	if (!mx->known || mx->n == 0) {
		r->waiting += !mx->known;
		return;
	}
	a = facts_get(e->facts, mx->records[0].name, type);
	if (!a->known || a->n == 0) {
		r->waiting += !a->known;
		return;
	}
	to = a->records[0].addr;
	to.port = e->config->outbound.port;
	c = facts_connect(e->facts, to);
	r->waiting += !c->known;
	r->open += c->known && c->status == DNS_OK;
	r->closed += c->known && c->status != DNS_OK;
}

static bool
has_family(const struct exam *e, uint8_t family)
{
	for (size_t i = 0; i < e->n_sources; i++)
		if (e->sources[i].family == family)
			return true;
	return false;
}

void
check_port25(struct exam *e, const struct subject *s, struct finding *f)
{
	struct reach v4 = {0}, v6 = {0};

	(void)s;
	for (size_t i = 0; i < ARRAY_LEN(test_domains); i++) {
		try(e, &v4, str_of(test_domains[i]), DNS_A);
		if (has_family(e, 6))
			try(e, &v6, str_of(test_domains[i]), DNS_AAAA);
	}
	if (v4.waiting + v6.waiting > 0)
		return;
	if (v4.open > 0 && (v6.open > 0 || v6.closed == 0)) {
		finding_say(f, CHECK_PASS, "port %u of %zu of %zu servers was reached",
		            e->config->outbound.port, v4.open + v6.open,
		            v4.open + v4.closed + v6.open + v6.closed);
	} else if (v4.open > 0) {
		finding_say(f, CHECK_WARN, "port %u is reached over IPv4, not over IPv6",
		            e->config->outbound.port);
		finding_fix(f, "Say `outbound { ipv6 off }`, or have IPv6 repaired.");
	} else if (v4.closed > 0 && v6.open == 0) {
		finding_say(f, CHECK_FAIL,
		            "the network blocks outgoing connections to port %u: no mail can leave",
		            e->config->outbound.port);
		finding_fix(
			f,
			"Ask the provider to open it, or send through a smarthost: route * HOST:587");
	} else if (v6.open > 0) {
		finding_say(f, CHECK_WARN, "port %u is reached over IPv6 only",
		            e->config->outbound.port);
	} else {
		finding_say(f, CHECK_SKIP, "no server was found to try");
	}
}

/* Gmail takes no mail from an IPv6 address without a reverse name that leads back. */
void
check_ipv6(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *ptr, *a = NULL;

	reverse_name(&name, s->source, true);
	ptr = exam_ask(e, f, buf_str(&name), DNS_PTR);
	buf_free(&name);
	if (ptr == NULL ||
	    (ptr->n > 0 && (a = exam_ask(e, f, ptr->records[0].name, DNS_AAAA)) == NULL))
		return;
	for (size_t i = 0; a != NULL && i < a->n; i++)
		if (addr_equal(a->records[i].addr, s->source)) {
			finding_say(f, CHECK_PASS, "IPv6 has its reverse name");
			return;
		}
	finding_say(f, CHECK_FAIL,
	            "mail over IPv6 is refused without a reverse name that leads back");
	finding_fix(f, "Until it has one, turn IPv6 off: outbound { ipv6 off }");
}
