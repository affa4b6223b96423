/* SPDX-License-Identifier: ISC */
/* setup_file - the few lines that setup puts into the configuration; all others stay as they are. */
#ifndef CMD_SETUP_FILE_H
#define CMD_SETUP_FILE_H

#include "cmd/cmd.h"

/* The file that the configuration is read from; it is made, with a comment, if there is none. NULL: told. */
const char *setup_file_path(struct cmd *c);

/* What is to stand there; what is empty stays as it is. */
struct setup_lines {
	struct str hostname; /* in the place of such a line, or at the end */
	struct str domains;  /* added as one line */
	struct str public_ips; /* as `outbound { public-ip ... }`, unless there is an outbound block */
};

/* Written only if the result is free of errors. False: told. */
bool setup_file_change(const char *path, const struct setup_lines *lines);

/* The text as it would become, for tests. */
void setup_file_edit(struct buf *out, struct str text, const struct setup_lines *lines);

#endif
