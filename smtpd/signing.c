/* SPDX-License-Identifier: ISC */
#include "smtpd/signing.h"

#include "lib/proc/config.h"

void
signing_format(struct buf *out, const struct config *c, struct str domain, const char **why)
{
	const struct dkim_conf *d = config_find_dkim(c, domain);

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
