/* SPDX-License-Identifier: ISC */
/* config_resolver - addresses of others we ask and our own we send from. */
#include <string.h>

#include "lib/proc/config_private.h"

enum { DNS_PORT = 53 };

/* ---- resolver system | recursive | ADDRESS ... ---- */

static void
parse_resolver(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
               size_t n)
{
	struct config *c = m->c;

	for (size_t i = 0; i < n; i++) {
		struct addr a;
		bool        system = str_eq(words[i].text, STR("system"));

		if (system || str_eq(words[i].text, STR("recursive"))) {
			c->resolver = system ? RESOLVER_SYSTEM : RESOLVER_RECURSIVE;
			if (n > 1)
				conf_problem(m, CONF_ERROR, words[i].at,
				             "\"%.*s\" stands alone or not at all",
				             S(words[i].text));
		} else if (!addr_parse_port(words[i].text, DNS_PORT, &a) || a.port == 0) {
			conf_problem(m, CONF_ERROR, words[i].at, "\"%.*s\" is no resolver",
			             S(words[i].text));
			conf_hint(
				m,
				"write system, recursive, or addresses as 127.0.0.1 or 127.0.0.1@5353");
		} else {
			c->resolver = RESOLVER_SERVERS;
			c->resolvers = arena_more(&m->full->arena, c->resolvers, c->n_resolvers,
			                          sizeof *c->resolvers);
			c->resolvers[c->n_resolvers++] = a;
		}
	}
}

static bool
format_resolver(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0)
		return false;
	if (c->resolver == RESOLVER_SYSTEM)
		buf_addz(v->out, " system");
	if (c->resolver == RESOLVER_RECURSIVE)
		buf_addz(v->out, " recursive");
	for (size_t k = 0; k < c->n_resolvers; k++) {
		buf_addc(v->out, ' ');
		addr_format(v->out, c->resolvers[k]);
		buf_addf(v->out, "@%u", c->resolvers[k].port);
	}
	return true;
}

/* ---- bind, public-ip IPV4 IPV6, in the outbound block ---- */

static struct addr *
place(struct outbound_conf *o, const struct row *row, unsigned family)
{
	if (strcmp(row->name, "bind") == 0)
		return family == 4 ? &o->bind4 : &o->bind6;
	return family == 4 ? &o->public4 : &o->public6;
}

static void
parse_bind(struct maker *m, const struct row *row, void *base, struct word *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct addr  a;
		struct addr *to;

		if (!addr_parse(words[i].text, &a)) {
			conf_problem(m, CONF_ERROR, words[i].at, "\"%.*s\" is no address",
			             S(words[i].text));
			continue;
		}
		to = place(base, row, a.family);
		if (to->family != 0)
			conf_problem(m, CONF_ERROR, words[i].at,
			             "a second IPv%u address to send from", a.family);
		*to = a;
	}
}

static bool
format_bind(struct view *v, const struct row *row, const void *base, size_t i)
{
	struct outbound_conf o = *(const struct outbound_conf *)base;
	bool                 any = false;

	for (unsigned family = 4; i == 0 && family <= 6; family += 2) {
		if (place(&o, row, family)->family == 0)
			continue;
		any = true;
		buf_addc(v->out, ' ');
		addr_format(v->out, *place(&o, row, family));
	}
	return any;
}

const struct kind kind_resolver = {parse_resolver, format_resolver};
const struct kind kind_bind = {parse_bind, format_bind};
