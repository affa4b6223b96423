/* SPDX-License-Identifier: ISC */
/* What the configuration says about this host: names, addresses, networks. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor/peers.h"
#include "lib/proc/trust_nets.h"

enum { WIDEST_4 = 8, WIDEST_6 = 32 };

void
check_host_name(struct exam *e, const struct subject *s, struct finding *f)
{
	struct str  name = s->ehlo;
	const char *wrong = NULL;

	(void)e;
	finding_see(f, name);
	if (name.n > 0 && name.p[0] == '[') {
		finding_say(f, CHECK_WARN,
		            "the EHLO name is an address: many receivers want a name");
	} else {
		if (str_ieq(name, STR("localhost")) || str_istarts(name, STR("localhost.")))
			wrong = "is that of everybody's own machine";
		else if (str_find(name, '.') < 0)
			wrong = "has no domain";
		else if (str_find(name, '_') >= 0)
			wrong = "has an underscore, which no host name may have";
		if (wrong != NULL)
			finding_say(f, CHECK_FAIL, "the host name %.*s %s", S(name), wrong);
		else
			finding_say(f, CHECK_PASS, "says EHLO %.*s", S(name));
	}
	if (f->status >= CHECK_WARN)
		finding_fix(
			f,
			"Say `hostname mail.YOURDOMAIN` in the configuration, the name that the address leads to.");
}

void
check_src_public(struct exam *e, const struct subject *s, struct finding *f)
{
	struct addr seen;

	if (exam_is_public(s->source)) {
		finding_say(f, CHECK_PASS, "a public address");
	} else if (peers_see(e, s->source.family, &seen)) {
		struct buf ip = BUF(64);

		addr_format(&ip, seen);
		finding_see(f, buf_str(&ip));
		finding_say(f, CHECK_WARN, "a private address; the world sees %s instead",
		            buf_z(&ip));
		finding_fix(f, "Say `outbound { public-ip %s }` in the configuration.", buf_z(&ip));
		buf_free(&ip);
	} else {
		finding_say(f, CHECK_WARN,
		            "a private address: the one the world sees is not known");
		finding_fix(
			f,
			"Say `outbound { public-ip IP }` in the configuration, or ask with postern doctor --source IP");
	}
}

/* Receivers remember which name an address says; some count a second one as a sign of a hijacked host. */
void
check_ehlo_stable(struct exam *e, const struct subject *s, struct finding *f)
{
	struct str name = e->config->hostname;
	bool public = false;

	for (size_t i = 0; i < e->config->n_listens; i++)
	public = public || !addr_is_loopback(e->config->listens[i].addr);
	finding_see(f, s->ehlo);
	if (str_ieq(name, s->ehlo)) {
		finding_say(f, CHECK_PASS, "one name for all connections");
		return;
	}
	finding_want(f, name);
	finding_say(
		f, public ? CHECK_WARN : CHECK_NOTE,
		public ? "says EHLO %.*s, but greets its clients as %.*s: two names on one address"
		       : "says EHLO %.*s, but writes %.*s into the header",
		S(s->ehlo), S(name));
	finding_fix(f, "Drop `outbound { helo }`, or say `hostname %.*s`.", S(s->ehlo));
}

void
check_msgid(struct exam *e, const struct subject *s, struct finding *f)
{
	(void)s;
	if (str_find(e->config->hostname, '.') > 0 && e->config->hostname.p[0] != '[') {
		finding_say(f, CHECK_PASS, "Message-IDs end in @%.*s", S(e->config->hostname));
	} else {
		finding_say(f, CHECK_WARN, "Message-IDs would end in @%.*s, which is no full name",
		            S(e->config->hostname));
		finding_fix(f, "Say `hostname mail.YOURDOMAIN` in the configuration.");
	}
}

/* ---- networks that may send ---- */

static void
read_file(const char *path, struct buf *out)
{
	int     fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char   *to;

	while (fd >= 0 && (to = buf_room(out, 4096)) != NULL && (n = read(fd, to, 4096)) > 0)
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
}

static void
judge_net(struct finding *f, const struct cidr *net, const struct addr *gateways, size_t n)
{
	struct buf text = BUF(128);

	cidr_format(&text, net);
	if (net->bits < (net->addr.family == 4 ? WIDEST_4 : WIDEST_6))
		finding_say(f, CHECK_FAIL, "%s may send without a login: half the world is in it",
		            buf_z(&text));
	for (size_t i = 0; i < n && f->status != CHECK_FAIL; i++)
		if (cidr_has(net, gateways[i])) {
			struct buf ip = BUF(64);

			addr_format(&ip, gateways[i]);
			finding_say(
				f, CHECK_WARN,
				"%s may send without a login and holds the gateway %s: behind a container bridge every stranger has that address",
				buf_z(&text), buf_z(&ip));
			buf_free(&ip);
		}
	if (f->status >= CHECK_WARN && f->fix.n == 0)
		finding_fix(
			f,
			"Narrow `trust` to the machines that send, or use `trust container-net`, which leaves gateways out.");
	buf_free(&text);
}

void
check_relay_nets(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf   route4 = BUF(1 << 20), route6 = BUF(1 << 20);
	struct addr *gateways;
	size_t       n = 0;

	(void)s;
	read_file("/proc/net/route", &route4);
	read_file("/proc/net/ipv6_route", &route6);
	gateways = trust_nets_gateways(buf_str(&route4), buf_str(&route6), &n);
	for (size_t i = 0; i < e->config->n_trusts; i++)
		judge_net(f, &e->config->trusts[i].net, gateways, n);
	if (f->status == CHECK_PASS)
		finding_say(f, CHECK_PASS, "no network of strangers may send without a login");
	free(gateways);
	buf_free(&route4);
	buf_free(&route6);
}
