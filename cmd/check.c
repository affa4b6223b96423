/* SPDX-License-Identifier: ISC */
/* postern check: read the configuration as the daemon would, and tell all that is wrong with it. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"

enum { REPORT_MAX = 1024 * 1024 };

static void
print_json(const struct str report, unsigned errors, unsigned warnings)
{
	struct buf  out = BUF(4 * REPORT_MAX);
	struct json j = {.out = &out};

	json_open(&j, NULL, '{');
	json_bool(&j, "ok", errors == 0);
	json_int(&j, "errors", errors);
	json_int(&j, "warnings", warnings);
	json_str(&j, "report", report);
	json_close(&j, '}');
	puts(buf_z(&out));
	buf_free(&out);
}

static void
print_good(const struct config *c)
{
	if (config_is_capture(c))
		puts("The configuration is good. Capture mode: no `domains`, so all mail is held.");
	else
		printf("The configuration is good: %.*s sends for %zu domain%s.\n",
		       (int)c->hostname.n, c->hostname.p, c->domains.n,
		       c->domains.n == 1 ? "" : "s");
}

int
cmd_check(struct cmd *c)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *conf;
	unsigned       errors, warnings;
	const char    *file = cmd_word(c);
	int            code;

	if (file != NULL && c->config_file != NULL)
		return cmd_usage(c, "two files are named");
	if (file != NULL)
		c->config_file = file;
	if (!cmd_end(c))
		return CMD_USAGE;
	conf = config_load(c->config_file, &report, &errors, &warnings);
	if (conf != NULL && !cmd_can_log_in(conf, &report)) {
		errors++;
		config_unref(conf);
		conf = NULL;
	}
	code = conf == NULL ? CMD_CONFIG : CMD_OK;
	if (c->json) {
		print_json(buf_str(&report), errors, warnings);
	} else {
		fwrite(report.p, 1, report.n, stderr);
		if (conf != NULL)
			print_good(conf);
	}
	config_unref(conf);
	buf_free(&report);
	return code;
}
