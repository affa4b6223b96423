/* SPDX-License-Identifier: ISC */
/* setup_file - the few lines that setup puts into the configuration; all others stay as they are. */
#ifndef CMD_SETUP_FILE_H
#define CMD_SETUP_FILE_H

#include "cmd/cmd.h"

/* The file that the configuration is read from; it is made, with a comment, if there is none. NULL: told. */
const char *setup_file_path(struct cmd *c);

/*
 * Put `hostname NAME` in the place of such a line, or at the end; add one `domains` line with
 * `domains` (may be empty: none). Written only if the result is free of errors. False: told.
 */
bool setup_file_change(const char *path, struct str hostname, struct str domains);

/* The text as it would become, for tests. */
void setup_file_edit(struct buf *out, struct str text, struct str hostname, struct str domains);

#endif
