/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "cmd/cmd.h"
#include "lib/util/json.h"

int
cmd_version(struct cmd *c)
{
	struct buf  out = BUF(4096);
	struct json j = {.out = &out};

	if (!cmd_end(c))
		return CMD_USAGE;
	if (c->json) {
		json_open(&j, NULL, '{');
		json_str(&j, "version", STR(POSTERN_VERSION));
		json_close(&j, '}');
	} else {
		buf_addz(&out, "postern " POSTERN_VERSION);
	}
	puts(buf_z(&out));
	buf_free(&out);
	return CMD_OK;
}
