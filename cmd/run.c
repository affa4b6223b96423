/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "lib/proc/config.h"
#include "lib/proc/memory.h"
#include "lib/proc/supervise.h"
#include "lib/util/log.h"

enum { REPORT_MAX = 1024 * 1024 };

/* Descriptors 0 to 2 must be something, or the next file opened becomes one of them. */
static void
fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Plain lines for a person who has just started it, and for whoever wonders why nothing is sent. */
static void
say_next(const struct config *c)
{
	struct buf at = BUF(128);

	if (c->n_listens > 0)
		addr_format_port(&at, c->listens[0].addr);
	if (config_is_capture(c))
		printf("\npostern accepts mail on %s and keeps it: no domain is configured, nothing leaves.\n"
		       "  try:      swaks --server %s --from you@example.com --to someone@example.org\n"
		       "  look:     postern queue\n"
		       "  go live:  a line `domains example.com` in the configuration, then `postern reload`\n\n",
		       buf_z(&at), buf_z(&at));
	else if (isatty(STDOUT_FILENO) == 1)
		printf("\npostern accepts mail on %s and delivers it.\n"
		       "  look:  postern status, postern queue      test:  postern send --to you@example.org\n\n",
		       buf_z(&at));
	fflush(stdout);
	buf_free(&at);
}

int
cmd_run(struct cmd *c)
{
	struct supervise_options o = {.version = POSTERN_VERSION, .ready = say_next};
	struct buf               report = BUF(REPORT_MAX);
	bool                     good;

	memory_openssl_wipes();
	o.config_file = c->config_file;
	o.pidfile = cmd_option(c, "--pidfile");
	if (!cmd_end(c))
		return CMD_USAGE;
	fill_standard_fds();
	o.config = config_load(c->config_file, &report, NULL, NULL);
	good = o.config != NULL && cmd_can_log_in(o.config, &report);
	fputs(buf_z(&report), stderr);
	buf_free(&report);
	if (!good) {
		config_unref(o.config);
		return CMD_CONFIG;
	}
	log_setup("supervisor", o.config->log_json ? LOG_JSON : LOG_LOGFMT, o.config->debug);
	log_info(ev("start"), kv("version", POSTERN_VERSION),
	         kv("mode", config_is_capture(o.config) ? "capture" : "live"),
	         kv("hostname", o.config->hostname), kv("config", c->config_file),
	         kv("pid", getpid()));
	return supervise_run(&o);
}
