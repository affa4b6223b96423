/* SPDX-License-Identifier: ISC */
/*
 * daemon - the commands' side of the control socket.
 *
 * Rows are as lib/proc/control.h says. A command either lets daemon_print() show
 * them, or takes them one by one.
 */
#ifndef CMD_DAEMON_H
#define CMD_DAEMON_H

#include "cmd/cmd.h"
#include "cmd/table.h"

struct daemon_hooks {
	void (*row)(void *arg, struct str row);    /* for control_next_cell() */
	void (*raw)(void *arg, struct str octets); /* pieces; NULL: to standard output */
	bool (*enough)(void *arg); /* asked after each row; true ends the request with CMD_OK. May be NULL */
};

/* The connection to the daemon, or -1 if there is none. Says nothing. */
int daemon_connect(struct cmd *c);

/*
 * Ask and read until the end. The exit code of the command: the daemon's, or
 * CMD_NO_DAEMON, or CMD_FAILED. The daemon's sentence goes to `said` if that is
 * not NULL, otherwise to standard error if it failed.
 */
int daemon_ask(struct cmd *c, struct str request, const struct daemon_hooks *hooks, void *arg,
               struct buf *said);

/* Rows as a table of these columns, or with --json as one JSON object a line with all cells. */
int daemon_print(struct cmd *c, struct str request, const struct column *columns, size_t n);

/* For requests that only answer with a sentence: it is printed, with --json as {"ok":...,"text":...}. */
int daemon_say(struct cmd *c, struct str request);

/* A row as a JSON object on standard output; daemon_cell() finds one cell of it, empty if it is not there. */
void daemon_json(struct str row);
bool daemon_cell(struct str row, const char *key, struct buf *value);

#endif
