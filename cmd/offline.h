/* SPDX-License-Identifier: ISC */
/* offline - the spool of a daemon that does not run. */
#ifndef CMD_OFFLINE_H
#define CMD_OFFLINE_H

#include <sys/types.h>

#include "cmd/cmd.h"

/*
 * The spool's directory, locked until the process ends; or -1 after saying why, and in
 * `code` what to exit with: CMD_TRY_AGAIN if somebody works on it. `make`: it may be new.
 */
int offline_open(struct cmd *c, bool make, int *code);

/*
 * A child process has the spool and answers one request; gives the connection to it, or -1 after
 * saying why. The caller waits for `child` when all is read.
 */
int offline_start(struct cmd *c, struct buf *request, pid_t *child, int *code);

#endif
