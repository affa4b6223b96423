/* SPDX-License-Identifier: ISC */
/* dkim - new signing keys, for who sets a domain up. */
#ifndef CMD_DKIM_H
#define CMD_DKIM_H

#include "cmd/cmd.h"

/*
 * Make both keys of a canonical domain in the state folder, under the default selector. An exit code;
 * what went wrong is on standard error. A running daemon is not told.
 */
int dkim_make(struct cmd *c, struct config *config, struct str domain);

/* A running daemon reads the keys anew. */
void dkim_tell_daemon(struct cmd *c);

/* The verbs `activate DOMAIN` and `retire DOMAIN SELECTOR`, from the words behind them on. */
int dkim_activate(struct cmd *c);
int dkim_retire(struct cmd *c);

/*
 * Does a check of the doctor, by its id, have to pass before a new key may sign: is it about what
 * DNS shows of it?
 */
bool dkim_is_needed(const char *id);

/* `list` and `test FILE`, likewise. */
int dkim_list(struct cmd *c);
int dkim_test(struct cmd *c);

#endif
