/* SPDX-License-Identifier: ISC */
/*
 * control_path - where the daemon's socket is.
 *
 * The whole configuration says it. But whoever may use the socket need not be
 * able to read certificates and keys: then the `control` line alone is looked for.
 */
#ifndef CMD_CONTROL_PATH_H
#define CMD_CONTROL_PATH_H

#include "cmd/cmd.h"

void control_path(struct cmd *c, struct buf *path);

#endif
