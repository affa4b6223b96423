/* SPDX-License-Identifier: ISC */
/* postern doctor: all that a receiver would hold against our mail, before he does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/table.h"
#include "cmd/world.h"
#include "doctor/report.h"

enum {
	REPORT_MAX = 8 << 20,
	WAIT_S = 10,
	WAIT_LIMIT_S = 48 * 3600, /* a zone that is not there after two days never will be */

	DOCTOR_WARN = 1,
	DOCTOR_FAIL = 2,
	DOCTOR_CANNOT = 3,
	DOCTOR_NO_DNS = 4,
};

struct visit {
	struct cmd       *c;
	struct world      world;
	bool              wait;
	enum check_status bar; /* the mildest status that counts */
};

static void
print(struct visit *v)
{
	struct buf out = BUF(REPORT_MAX);

	if (v->c->json)
		report_json(&v->world.exam, &out);
	else
		report_text(&v->world.exam, &out, output_is_tty() && getenv("NO_COLOR") == NULL);
	fwrite(out.p, 1, out.n, stdout);
	fflush(stdout);
	buf_free(&out);
}

static int
outcome(const struct visit *v)
{
	enum check_status worst = exam_worst(&v->world.exam);

	if (!v->world.exam.offline && world_is_silent(&v->world))
		return DOCTOR_NO_DNS;
	if (worst < v->bar)
		return CMD_OK;
	return worst == CHECK_FAIL ? DOCTOR_FAIL : worst == CHECK_WARN ? DOCTOR_WARN : CMD_OK;
}

static int
examine(struct visit *v)
{
	int code;

	world_judge(&v->world);
	code = outcome(v);
	for (int waited = 0; v->wait && code != CMD_OK && waited < WAIT_LIMIT_S; waited += WAIT_S) {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r%zu to repair; asking again every %d s (waited %d s) ",
			        exam_count(&v->world.exam, CHECK_FAIL) +
			                exam_count(&v->world.exam, CHECK_WARN),
			        WAIT_S, waited);
		sleep(WAIT_S);
		if (world_forget(&v->world) != CMD_OK)
			return DOCTOR_CANNOT;
		world_judge(&v->world);
		code = outcome(v);
	}
	if (v->wait && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	print(v);
	return code;
}

static int
read_options(struct visit *v)
{
	const char *bar = cmd_option(v->c, "fail-on");
	int         code = world_options(&v->world, v->c);

	if (code != CMD_OK)
		return DOCTOR_CANNOT;
	v->world.exam.quick = cmd_flag(v->c, "quick");
	v->world.exam.offline = cmd_flag(v->c, "offline");
	v->wait = cmd_flag(v->c, "wait");
	v->bar = CHECK_WARN;
	if (bar != NULL && strcmp(bar, "fail") == 0)
		v->bar = CHECK_FAIL;
	else if (bar != NULL && strcmp(bar, "warn") != 0) {
		(void)cmd_usage(v->c, "--fail-on takes warn or fail");
		return DOCTOR_CANNOT;
	}
	return cmd_end(v->c) ? CMD_OK : DOCTOR_CANNOT;
}

int
cmd_doctor(struct cmd *c)
{
	struct visit   v = {.c = c};
	struct config *config;
	int            code = read_options(&v);

	if (code == CMD_OK) {
		config = cmd_load(c);
		if (config == NULL || world_open(&v.world, config) != CMD_OK)
			code = DOCTOR_CANNOT;
	}
	if (code == CMD_OK && v.world.n_domains == 0)
		cmd_error("doctor", "no domain is configured: only the host is looked at",
		          "name one with --domain, or run `postern setup DOMAIN`");
	if (code == CMD_OK)
		code = examine(&v);
	world_close(&v.world);
	return code;
}
