/* SPDX-License-Identifier: ISC */
/* file - whole files, as commands read and change them. Errors are sentences in `why`, and errno. */
#ifndef CMD_FILE_H
#define CMD_FILE_H

#include <sys/types.h>

#include "lib/util/buf.h"

/* Append all octets of `path` to `out`; over its limit is an error (EFBIG). */
bool file_read(const char *path, struct buf *out, struct buf *why) MUST_USE;

/*
 * Put `text` in the place of `path`, whole or not at all, synced; an existing file's
 * owner stays, its mode becomes `mode`.
 */
bool file_replace(const char *path, struct str text, mode_t mode, struct buf *why) MUST_USE;

/* Append `text` to `path`, on a line of its own; the file is made if missing. */
bool file_append(const char *path, struct str text, struct buf *why) MUST_USE;

#endif
