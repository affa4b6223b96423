/* SPDX-License-Identifier: ISC */
#include "dkim/choose.h"

#include "lib/proc/config.h"

const struct dkim_conf *
dkim_choose(const struct config *c, struct str from, struct buf *why)
{
	const struct dkim_conf *found = config_find_dkim(c, from);

	if (found == NULL)
		buf_addz(why, !c->dkim_sign ? "off" : from.n == 0 ? "no-from" : "no-key");
	return found;
}
