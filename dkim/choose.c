/* SPDX-License-Identifier: ISC */
#include "dkim/choose.h"

#include "lib/proc/config.h"

static const struct dkim_conf *
find(const struct config *c, struct str domain)
{
	for (size_t i = 0; i < c->n_dkim; i++)
		if (c->dkim[i].n_keys > 0 && str_eq(c->dkim[i].domain, domain))
			return &c->dkim[i];
	return NULL;
}

/* The domain without its first label; empty if there was but one, or if it is a literal. */
static struct str
parent(struct str domain)
{
	ptrdiff_t dot = str_starts(domain, STR("[")) ? -1 : str_find(domain, '.');

	return dot < 0 ? STR_NONE : str_skip(domain, (size_t)dot + 1);
}

const struct dkim_conf *
dkim_choose(const struct config *c, struct str from, struct buf *why)
{
	if (!c->dkim_sign) {
		buf_addz(why, "off");
		return NULL;
	}
	if (from.n == 0) {
		buf_addz(why, "no-from");
		return NULL;
	}
	for (struct str d = from; d.n > 0; d = parent(d)) {
		const struct dkim_conf *found = find(c, d);

		if (found != NULL)
			return found;
	}
	buf_addz(why, "no-key");
	return NULL;
}
