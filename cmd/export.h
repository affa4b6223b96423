/* SPDX-License-Identifier: ISC */
/* export - `queue export`, `queue import` and `queue fsck`: the spool as a whole. Each is an exit code. */
#ifndef CMD_EXPORT_H
#define CMD_EXPORT_H

#include "cmd/cmd.h"

int queue_export(struct cmd *c); /* words: FILE or "-", then a filter */
int queue_import(struct cmd *c);
int queue_check(struct cmd *c);

#endif
