/* SPDX-License-Identifier: ISC */
#include "delivery/mx.h"

#include <stdlib.h>
#include <string.h>

#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

struct host {
	char             *name; /* NUL-terminated */
	unsigned          preference;
	uint32_t          random; /* order among equals */
	struct dns_query *query[2];
	struct addr       addrs[2][MX_ADDRESSES_MAX]; /* IPv6, IPv4 */
	size_t            n[2];
	bool              temporary; /* an address could not be had for now */
	struct mx        *mx;
};

struct mx {
	struct mx_conf    conf;
	struct buf        domain;
	mx_fn            *fn;
	void             *arg;
	struct dns_query *query;
	struct host      *hosts;
	size_t            n_hosts;
	unsigned          waiting;  /* questions for addresses still open */
	bool              temporary; /* the same, of a host that we may use */
	bool              refused;  /* an address was there, but not allowed */
	bool              left_out; /* an address was there, but of IPv4 */
	unsigned          ttl_s;
	struct reply      failure;
	struct buf        why;
	struct hops       hops;
	struct deferred   done;
};

enum { V6, V4 };

void
hops_free(struct hops *h)
{
	free(h->v);
	free(h->names);
	*h = (struct hops){0};
}

void
mx_cancel(struct mx *m)
{
	if (m == NULL)
		return;
	loop_defer_cancel(m->conf.loop, &m->done);
	dns_cancel(m->query);
	for (size_t i = 0; i < m->n_hosts; i++) {
		dns_cancel(m->hosts[i].query[V6]);
		dns_cancel(m->hosts[i].query[V4]);
		free(m->hosts[i].name);
	}
	free(m->hosts);
	hops_free(&m->hops);
	buf_free(&m->domain);
	buf_free(&m->why);
	free(m);
}

static void
done(void *arg)
{
	struct mx *m = arg;

	m->fn(m->arg, &m->hops, m->ttl_s, m->failure);
	mx_cancel(m);
}

static void
finish(struct mx *m)
{
	loop_defer(m->conf.loop, &m->done);
}

static void
fail(struct mx *m, struct reply r)
{
	hops_free(&m->hops);
	m->failure = r;
	m->failure.text = buf_str(&m->why);
	finish(m);
}

static void
fail_for_now(struct mx *m, const char *why)
{
	buf_addf(&m->why, "no answer from DNS for %s: %s", buf_z(&m->domain), why);
	fail(m, (struct reply){.code = 451, .status = {4, 4, 3}});
}

/*
 * The hosts that may be used: sorted, and cut off where we ourselves come
 * (RFC 5321 section 5.1: a host drops itself and all that is not better).
 */
static int
by_preference(const void *va, const void *vb)
{
	const struct host *a = va, *b = vb;

	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return a->random < b->random ? -1 : a->random > b->random;
}

static bool
is_own(const struct mx *m, struct addr a)
{
	for (size_t i = 0; i < m->conf.n_own; i++)
		if (m->conf.own[i].port == m->conf.port && addr_equal(m->conf.own[i], a))
			return true;
	return false;
}

static bool
host_is_own(const struct mx *m, const struct host *h)
{
	for (int f = V6; f <= V4; f++)
		for (size_t i = 0; i < h->n[f]; i++)
			if (is_own(m, h->addrs[f][i]))
				return true;
	return false;
}

/* How many of the sorted hosts are better than ourselves. */
static size_t
usable_hosts(const struct mx *m)
{
	for (size_t i = 0; i < m->n_hosts; i++) {
		size_t n = i;

		if (!host_is_own(m, &m->hosts[i]))
			continue;
		while (n > 0 && m->hosts[n - 1].preference == m->hosts[i].preference)
			n--;
		return n;
	}
	return m->n_hosts;
}

static bool
is_allowed(const struct mx *m, struct addr a)
{
	return !m->conf.direct || m->conf.private_mx ||
	       !(addr_is_loopback(a) || addr_is_link_local(a) || addr_is_private(a) || addr_is_no_host(a));
}

static void
add_hop(struct mx *m, const struct host *h, struct addr a, size_t name_at)
{
	if (m->hops.n == MX_HOPS_MAX)
		return;
	if (!is_allowed(m, a)) {
		m->refused = true;
		return;
	}
	a.port = m->conf.port;
	m->hops.v[m->hops.n++] = (struct hop){.name = {m->hops.names + name_at, strlen(h->name)}, .addr = a};
}

/* A host's addresses by turns, so that a dead family costs one time-out and not all. */
static void
add_host(struct mx *m, const struct host *h, size_t name_at)
{
	for (size_t i = 0; i < MX_ADDRESSES_MAX; i++) {
		if (i < h->n[V6])
			add_hop(m, h, h->addrs[V6][i], name_at);
		if (i < h->n[V4] && m->conf.only_ipv6)
			m->left_out = true;
		else if (i < h->n[V4])
			add_hop(m, h, h->addrs[V4][i], name_at);
	}
}

static void
add_hosts(struct mx *m, size_t n)
{
	size_t room = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		room += strlen(m->hosts[i].name);
	m->hops.names = mem_zero(room + 1);
	m->hops.v = mem_array(MX_HOPS_MAX, sizeof *m->hops.v);
	for (size_t i = 0; i < n; i++) {
		memcpy(m->hops.names + at, m->hosts[i].name, strlen(m->hosts[i].name));
		add_host(m, &m->hosts[i], at);
		at += strlen(m->hosts[i].name);
	}
}

static void
fail_without_hops(struct mx *m, bool loops)
{
	const char *domain = buf_z(&m->domain);

	if (m->left_out) {
		buf_addf(&m->why, "held: our IPv4 address fails a check, and %s has no mail host with IPv6; "
		                  "`postern doctor` tells how to repair it (preflight enforce)", domain);
		fail(m, (struct reply){.code = 451, .status = {4, 7, 25}});
	} else if (m->temporary) {
		fail_for_now(m, "the addresses of its mail hosts could not be looked up");
	} else if (loops) {
		buf_addf(&m->why, "mail for %s loops back to myself: its best mail host is this server, "
		                  "which only sends", domain);
		fail(m, (struct reply){.code = 554, .status = {5, 4, 6}});
	} else if (m->refused) {
		buf_addf(&m->why, "the mail hosts of %s have only loopback, link-local or private addresses "
		                  "(outbound { private-mx allow } permits them)", domain);
		fail(m, (struct reply){.code = 550, .status = {5, 4, 4}});
	} else if (m->conf.direct && m->n_hosts > 0 && !str_eq(buf_str(&m->domain), str_of(m->hosts[0].name))) {
		buf_addf(&m->why, "none of the mail hosts of %s has an address", domain);
		fail(m, (struct reply){.code = 550, .status = {5, 4, 4}});
	} else if (m->conf.direct) {
		buf_addf(&m->why, "domain %s has neither mail host nor address in DNS", domain);
		fail(m, (struct reply){.code = 550, .status = {5, 1, 2}});
	} else { /* a route of ours: the operator's mistake must not cost mail */
		buf_addf(&m->why, "smarthost %s has no address in DNS", domain);
		fail(m, (struct reply){.code = 451, .status = {4, 4, 4}});
	}
}

static void
conclude(struct mx *m)
{
	size_t n;

	qsort(m->hosts, m->n_hosts, sizeof *m->hosts, by_preference);
	n = m->conf.direct ? usable_hosts(m) : m->n_hosts;
	for (size_t i = 0; i < n; i++)
		m->temporary = m->temporary || m->hosts[i].temporary;
	add_hosts(m, n);
	if (m->hops.n > 0)
		finish(m);
	else
		fail_without_hops(m, n < m->n_hosts);
}

static void
bound_ttl(struct mx *m, const struct dns_answer *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].ttl_s < m->ttl_s)
			m->ttl_s = a->records[i].ttl_s;
}

static void
addresses(struct host *h, int family, const struct dns_answer *a)
{
	struct mx *m = h->mx;
	size_t     from = a->n > 1 ? random_below((uint32_t)a->n) : 0;

	h->query[family] = NULL;
	if (a->status == DNS_TEMPFAIL || a->status == DNS_BOGUS)
		h->temporary = true;
	bound_ttl(m, a);
	for (size_t i = 0; i < a->n && h->n[family] < MX_ADDRESSES_MAX; i++)
		h->addrs[family][h->n[family]++] = a->records[(from + i) % a->n].addr;
	if (--m->waiting == 0)
		conclude(m);
}

static void
got_aaaa(void *arg, const struct dns_answer *a)
{
	addresses(arg, V6, a);
}

static void
got_a(void *arg, const struct dns_answer *a)
{
	addresses(arg, V4, a);
}

static void
ask_addresses(struct mx *m)
{
	for (size_t i = 0; i < m->n_hosts; i++) {
		struct host *h = &m->hosts[i];

		h->mx = m;
		m->waiting += m->conf.ipv6 ? 2 : 1;
		if (m->conf.ipv6)
			h->query[V6] = dns_ask(m->conf.dns, str_of(h->name), DNS_AAAA, got_aaaa, h);
		h->query[V4] = dns_ask(m->conf.dns, str_of(h->name), DNS_A, got_a, h);
	}
}

static void
add_name(struct mx *m, struct str name, unsigned preference)
{
	for (size_t i = 0; i < m->n_hosts; i++)
		if (str_eq(str_of(m->hosts[i].name), name)) {
			if (preference < m->hosts[i].preference)
				m->hosts[i].preference = preference;
			return;
		}
	m->hosts[m->n_hosts++] = (struct host){
		.name = str_dup(name), .preference = preference, .random = random_below(UINT32_MAX), .mx = m};
}

/* Literals among MX hosts are not allowed (RFC 5321 section 5.1); a name that looks like one resolves to nothing. */
static void
take_mx(struct mx *m, const struct dns_answer *a)
{
	m->hosts = mem_array(a->n + 1, sizeof *m->hosts);
	for (size_t i = 0; i < a->n; i++)
		if (a->records[i].name.n > 0)
			add_name(m, a->records[i].name, a->records[i].preference);
	if (m->n_hosts == 0) {
		buf_addf(&m->why, "domain %s does not accept mail (null MX)", buf_z(&m->domain));
		fail(m, (struct reply){.code = 556, .status = {5, 1, 10}});
		return;
	}
	/* The best twenty of a list that nobody needs to be longer. */
	qsort(m->hosts, m->n_hosts, sizeof *m->hosts, by_preference);
	while (m->n_hosts > MX_HOSTS_MAX)
		free(m->hosts[--m->n_hosts].name);
	ask_addresses(m);
}

/* The name itself is the host: no MX there, or a smarthost. */
static void
take_name(struct mx *m)
{
	m->hosts = mem_array(1, sizeof *m->hosts);
	add_name(m, buf_str(&m->domain), 0);
	ask_addresses(m);
}

static void
got_mx(void *arg, const struct dns_answer *a)
{
	struct mx *m = arg;

	m->query = NULL;
	bound_ttl(m, a);
	switch (a->status) {
	case DNS_OK:
		take_mx(m, a);
		break;
	case DNS_NODATA:
		take_name(m);
		break;
	case DNS_NXDOMAIN:
		buf_addf(&m->why, "domain %s does not exist", buf_z(&m->domain));
		fail(m, (struct reply){.code = 550, .status = {5, 1, 2}});
		break;
	case DNS_TEMPFAIL:
	case DNS_BOGUS:
		fail_for_now(m, a->why);
		break;
	}
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3), or a bare address in a route. */
static bool
parse_literal(const struct mx *m, struct str name, struct addr *a)
{
	struct str inner = name;

	if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']') {
		inner = str_sub(name, 1, name.n - 2);
		if (str_istarts(inner, STR("IPv6:")))
			inner = str_skip(inner, 5);
	} else if (m->conf.direct) {
		return false;
	}
	return addr_parse(inner, a);
}

static void
take_literal(struct mx *m, struct addr a)
{
	int family = a.family == 6 ? V6 : V4;

	m->hosts = mem_array(1, sizeof *m->hosts);
	add_name(m, buf_str(&m->domain), 0);
	m->hosts[0].addrs[family][0] = a;
	m->hosts[0].n[family] = 1;
	conclude(m);
}

struct mx *
mx_start(const struct mx_conf *conf, struct str domain, mx_fn *fn, void *arg)
{
	struct mx  *m = mem_zero(sizeof *m);
	struct addr literal;

	m->conf = *conf;
	m->domain = BUF(512);
	buf_add(&m->domain, domain);
	m->why = BUF(REPLY_TEXT_MAX);
	m->fn = fn;
	m->arg = arg;
	m->ttl_s = MX_TTL_MAX_S;
	m->done = (struct deferred){.fn = done, .arg = m};
	if (parse_literal(m, domain, &literal)) {
		take_literal(m, literal);
	} else if (conf->direct && domain.n > 0 && domain.p[0] == '[') {
		buf_addf(&m->why, "%s is no address literal that I know", buf_z(&m->domain));
		fail(m, (struct reply){.code = 501, .status = {5, 1, 3}});
	} else if (conf->direct) {
		m->query = dns_ask(conf->dns, domain, DNS_MX, got_mx, m);
	} else {
		take_name(m);
	}
	return m;
}
