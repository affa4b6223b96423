/* SPDX-License-Identifier: ISC */
#include "delivery/route.h"

#include "lib/mail/address.h"

/* How exactly a line fits: 0 not at all; the longer pattern knows more. */
static size_t
fit(const struct route_conf *r, struct str lane)
{
	if (str_eq(r->domain, lane))
		return SIZE_MAX;
	if (str_eq(r->domain, STR("*")))
		return 1;
	if (r->domain.n > 1 && r->domain.p[0] == '*' && domain_matches(lane, r->domain))
		return r->domain.n;
	return 0;
}

struct route
route_find(const struct config *c, struct str lane)
{
	const struct route_conf *best = NULL;
	size_t                   best_fit = 0;

	for (size_t i = 0; i < c->n_routes; i++) {
		size_t f = fit(&c->routes[i], lane);

		if (f > best_fit) {
			best = &c->routes[i];
			best_fit = f;
		}
	}
	if (best == NULL || best->host.n == 0)
		return (struct route){.direct = true, .host = lane, .port = c->outbound.port,
		                      .tls = ROUTE_OPPORTUNISTIC, .by = best};
	return (struct route){.host = best->host, .port = best->port, .tls = best->tls,
	                      .user = best->user, .password = best->password,
	                      .xoauth2 = best->xoauth2, .by = best};
}

void
route_key(struct buf *out, const struct route *r)
{
	buf_addz(out, r->direct ? "mx " : "via ");
	buf_add(out, r->host);
	if (r->direct)
		return;
	buf_addf(out, " %u %u %u ", r->port, (unsigned)r->tls, (unsigned)r->xoauth2);
	buf_add(out, r->user);
}
