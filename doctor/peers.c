/* SPDX-License-Identifier: ISC */
#include "doctor/peers.h"

enum { NAME_LIMIT = 512 };

/* A greeting and an EHLO is all that they are asked for. */
static const char *const test_domains[PEERS] = {"gmail.com", "outlook.com", "yahoo.com"};

struct peer_talk
peers_talk(struct exam *e, size_t i, uint8_t family)
{
	const struct fact *mx = facts_get(e->facts, str_of(test_domains[i]), DNS_MX), *a;
	struct buf         script = BUF(NAME_LIMIT);
	struct peer_talk   p = {.pending = !mx->known};
	struct addr        to;

	if (mx->n == 0)
		return p;
	a = facts_get(e->facts, mx->records[0].name, family == 4 ? DNS_A : DNS_AAAA);
	p.pending = !a->known;
	if (a->n == 0)
		return p;
	to = a->records[0].addr;
	to.port = e->config->outbound.port;
	buf_addf(&script, "EHLO %.*s", S(exam_ehlo(e)));
	p.talk = facts_talk(e->facts, to, buf_str(&script));
	p.pending = !p.talk->known;
	buf_free(&script);
	if (p.pending)
		p.talk = NULL;
	return p;
}

/* "mx.google.com at your service, [203.0.113.7]" */
static bool
find_address(struct str text, uint8_t family, struct addr *a)
{
	struct str line, piece;

	(void)str_cut(&text, '\n', &line);
	while (str_cut(&line, '[', &piece)) {
		struct str inside = line, ip;

		(void)str_cut(&inside, ']', &ip);
		if (str_istarts(ip, STR("IPv6:")))
			ip = str_skip(ip, 5);
		if (addr_parse(ip, a) && a->family == family)
			return true;
	}
	return false;
}

bool
peers_see(struct exam *e, uint8_t family, struct addr *seen)
{
	if (!exam_may_connect(e))
		return false;
	for (size_t i = 0; i < PEERS; i++) {
		const struct fact *talk = peers_talk(e, i, family).talk;

		if (talk != NULL && talk->n > 1 && talk->records[1].preference == 250 &&
		    find_address(talk->records[1].data, family, seen))
			return true;
	}
	return false;
}
