/* SPDX-License-Identifier: ISC */
#include <stdio.h>

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
