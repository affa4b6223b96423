/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "auth/auth.h"
#include "cmd/cmd.h"
#include "lib/proc/config.h"

enum { REPORT_MAX = 1024 * 1024 };

struct config *
cmd_load(struct cmd *c)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *conf = config_load(c->config_file, &report, NULL, NULL);

	if (conf == NULL)
		fputs(buf_z(&report), stderr);
	buf_free(&report);
	return conf;
}

bool
cmd_can_log_in(const struct config *c, struct buf *report)
{
	struct buf why = BUF(512);
	bool       ok = (c->users_path.n == 0 && c->saslauthd.n == 0) || auth_is_available(&why);

	if (!ok)
		buf_addf(report, "error: nobody could log in: %s\n", buf_z(&why));
	buf_free(&why);
	return ok;
}
