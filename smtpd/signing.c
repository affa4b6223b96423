/* SPDX-License-Identifier: ISC */
#include "smtpd/signing.h"

#include "lib/proc/config.h"

const struct dkim_conf *
signing_find(const struct config *c, struct str domain)
{
	if (!c->dkim_sign)
		return NULL;
	while (domain.n > 0) {
		ptrdiff_t dot = str_find(domain, '.');

		for (size_t i = 0; i < c->n_dkim; i++)
			if (c->dkim[i].n_keys > 0 && str_eq(c->dkim[i].domain, domain))
				return &c->dkim[i];
		domain = dot < 0 ? STR_NONE : str_skip(domain, (size_t)dot + 1);
	}
	return NULL;
}

void
signing_format(struct buf *out, const struct config *c, struct str domain, const char **why)
{
	const struct dkim_conf *d = signing_find(c, domain);

	*why = NULL;
	if (d == NULL) {
		buf_addz(out, "none");
		*why = !c->dkim_sign ? "off" : domain.n == 0 ? "no-from" : "no-key";
		return;
	}
	buf_add(out, d->domain);
	for (size_t i = 0; i < d->n_keys; i++) {
		buf_addc(out, i == 0 ? '/' : ',');
		buf_add(out, d->keys[i].selector);
	}
}
