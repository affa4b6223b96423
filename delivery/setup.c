/* SPDX-License-Identifier: ISC */
#include "delivery/setup.h"

#include <ifaddrs.h>
#include <stdlib.h>

#include "lib/net/tls.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

/* Over all workers: what receivers bear from one sender without calling it a flood. */
enum { LANE_CONNECTIONS = 20 };

static void
add_own(struct setup *s, struct addr a, uint16_t port)
{
	a.port = port;
	s->own = mem_resize(s->own, s->n_own + 1, sizeof *s->own);
	s->own[s->n_own++] = a;
}

/* A listener on "any address" is on each address of the machine. */
static void
add_interfaces(struct setup *s, uint16_t port)
{
	struct ifaddrs *all = NULL;
	struct addr     a;

	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL && addr_from_sockaddr(i->ifa_addr, &a))
			add_own(s, a, port);
	freeifaddrs(all);
}

static void
find_own(struct setup *s)
{
	const struct config *c = s->config;

	for (size_t i = 0; i < c->n_listens; i++) {
		struct addr a = c->listens[i].addr;

		if (addr_is_any(a))
			add_interfaces(s, a.port);
		else
			add_own(s, a, a.port);
	}
}

static bool
demands_tls(const struct config *c)
{
	for (size_t i = 0; i < c->n_routes; i++)
		if (c->routes[i].host.n > 0 && c->routes[i].tls != ROUTE_OPPORTUNISTIC)
			return true;
	return false;
}

struct setup *
setup_create(struct config *c)
{
	struct setup *s = mem_zero(sizeof *s);

	s->users = 1;
	s->config = c;
	s->helo = c->outbound.helo.n > 0 ? c->outbound.helo : c->hostname;
	s->lane_limit = LANE_CONNECTIONS / (c->delivery_count > 0 ? c->delivery_count : 1);
	if (s->lane_limit == 0)
		s->lane_limit = 1;
	find_own(s);
	if (demands_tls(c))
		(void)setup_trust(s);
	return s;
}

struct setup *
setup_ref(struct setup *s)
{
	s->users++;
	return s;
}

void
setup_unref(struct setup *s)
{
	if (s == NULL || --s->users > 0)
		return;
	if (s->trust != NULL)
		tls_client_destroy(s->trust);
	config_unref(s->config);
	free(s->own);
	free(s);
}

struct tls_client *
setup_trust(struct setup *s)
{
	struct buf why = BUF(512);

	if (!s->trust_tried) {
		s->trust_tried = true;
		s->trust = tls_client_create(s->config->outbound.ca_pem, &why);
		if (s->trust == NULL)
			log_error(ev("tls-error"), kv("why", buf_str(&why)));
	}
	buf_free(&why);
	return s->trust;
}

bool
setup_same_resolver(const struct config *a, const struct config *b)
{
	if (a->resolver != b->resolver || a->dnssec != b->dnssec || a->n_resolvers != b->n_resolvers)
		return false;
	for (size_t i = 0; i < a->n_resolvers; i++)
		if (!addr_equal(a->resolvers[i], b->resolvers[i]) ||
		    a->resolvers[i].port != b->resolvers[i].port)
			return false;
	return true;
}
