/* SPDX-License-Identifier: ISC */
/* Whether port 25 and IPv6 are open to us. */
#include "doctor/peers.h"
#include "doctor/spf.h"

enum { NAME_LIMIT = 512 };

struct reach {
	size_t open, closed, waiting;
};

static struct reach
try(struct exam *e, uint8_t family)
{
	struct reach r = {0};

	for (size_t i = 0; i < PEERS; i++) {
		struct peer_talk p = peers_talk(e, i, family);

		r.waiting += p.pending;
		r.open += p.talk != NULL && p.talk->status == DNS_OK;
		r.closed += p.talk != NULL && p.talk->status != DNS_OK;
	}
	return r;
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
	struct reach v4 = try(e, 4), v6 = {0};

	(void)s;
	if (has_family(e, 6))
		v6 = try(e, 6);
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

/* ---- IPv6 ---- */

static bool
leads_back(const struct fact *a, struct addr source)
{
	for (size_t i = 0; a != NULL && i < a->n; i++)
		if (addr_equal(a->records[i].addr, source))
			return true;
	return false;
}

/* The first domain whose SPF knows only our other addresses; empty: none. */
static struct str
find_unallowed(struct exam *e, struct addr source)
{
	for (size_t i = 0; i < e->n_domains; i++) {
		struct spf_question q = {
			.ip = source, .helo = exam_ehlo(e), .domain = e->domains[i]};
		struct spf_answer a;
		enum spf_result   r = spf_check(e->facts, &q, &a);

		spf_answer_free(&a);
		if (r != SPF_PASS && r != SPF_PENDING && r != SPF_TEMPERROR)
			return e->domains[i];
	}
	return STR_NONE;
}

/* Gmail takes no mail from an IPv6 address without a reverse name that leads back. */
void
check_ipv6(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *ptr, *a = NULL;
	struct str         unallowed;

	reverse_name(&name, s->source, true);
	ptr = exam_ask(e, f, buf_str(&name), DNS_PTR);
	buf_free(&name);
	if (ptr == NULL ||
	    (ptr->n > 0 && (a = exam_ask(e, f, ptr->records[0].name, DNS_AAAA)) == NULL))
		return;
	unallowed = find_unallowed(e, s->source);
	if (!leads_back(a, s->source)) {
		finding_say(f, CHECK_FAIL,
		            "mail over IPv6 is refused without a reverse name that leads back");
		finding_fix(f, "Until it has one, turn IPv6 off: outbound { ipv6 off }");
	} else if (unallowed.n > 0) {
		finding_say(f, CHECK_FAIL,
		            "SPF of %.*s does not allow this address: over IPv6 mail is refused",
		            S(unallowed));
		finding_fix(f, "Until SPF allows it, turn IPv6 off: outbound { ipv6 off }");
	} else {
		finding_say(f, CHECK_PASS, "IPv6 has its reverse name, and SPF allows it");
	}
}
