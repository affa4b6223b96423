/* SPDX-License-Identifier: ISC */
/*
 * cmd - what the subcommands of `postern` share.
 *
 * main.c owns the table of verbs; each verb is one function in a file of its
 * name. Options known everywhere (-c FILE, --json, --help) are taken out of the
 * arguments before the verb runs, wherever they stood.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "lib/util/buf.h"

struct config;
struct cmd;

enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_NOTHING = 3, /* nothing matched */
	CMD_NO_DAEMON = 69,
	CMD_TRY_AGAIN = 75,
	CMD_CONFIG = 78,
};

struct verb {
	const char *name;
	int (*run)(struct cmd *c);
	const char *args; /* "list | show ID": the rest of the usage line, may be empty */
	const char *help; /* one line */
	const char *more; /* what --help adds, whole lines; may be NULL */
};

struct cmd {
	const struct verb *verb;
	const char        *config_file; /* -c; NULL: the usual place */
	bool               json;
	int                connection; /* > 0: daemon_connect() gives this, once */
	int                argc;       /* words after the verb */
	char             **argv; /* ends with NULL */
};

/*
 * Take an option out of the arguments: the value of `--name VALUE` or
 * `--name=VALUE`, or NULL if it is not there. An option given twice comes with
 * the next call. A missing value comes as "". `name` may have its dashes or not.
 */
const char *cmd_option(struct cmd *c, const char *name);
bool        cmd_flag(struct cmd *c, const char *name);

/* Take the next word out of the arguments; NULL at the end. */
const char *cmd_word(struct cmd *c);

/* True if nothing is left; otherwise says on stderr what was not understood. */
bool cmd_end(struct cmd *c) MUST_USE;

/* "postern: what: why" and, unless NULL, "hint: ..." on stderr. */
void cmd_error(const char *what, const char *why, const char *hint);

/* The same for a wrong command line, and how it should look. Gives CMD_USAGE. */
int cmd_usage(struct cmd *c, const char *why);

/* The configuration, or NULL after all its errors are on stderr: then end with CMD_CONFIG. */
struct config *cmd_load(struct cmd *c) MUST_USE;

/*
 * If logins are configured: can this machine check any? False with a line in `report`, in the
 * form of the configuration's errors, that names the package that is missing.
 */
bool cmd_can_log_in(const struct config *c, struct buf *report) MUST_USE;

int cmd_run(struct cmd *c);
int cmd_check(struct cmd *c);
int cmd_config(struct cmd *c);
int cmd_status(struct cmd *c);
int cmd_readyz(struct cmd *c);
int cmd_reload(struct cmd *c);
int cmd_pause(struct cmd *c);
int cmd_resume(struct cmd *c);
int cmd_setup(struct cmd *c);
int cmd_user(struct cmd *c);
int cmd_dkim(struct cmd *c);
int cmd_dns(struct cmd *c);
int cmd_doctor(struct cmd *c);
int cmd_queue(struct cmd *c);
int cmd_send(struct cmd *c);
int cmd_explain(struct cmd *c);
int cmd_lint(struct cmd *c);
int cmd_version(struct cmd *c);

#endif
