/* SPDX-License-Identifier: ISC */
/* places - the directories and files that the supervisor makes before anything runs. */
#ifndef LIB_PROC_PLACES_H
#define LIB_PROC_PLACES_H

#include <sys/types.h>

#include "lib/proc/sandbox.h"

/*
 * Make `path` if it is missing (and what is above it), see that it belongs to
 * `owner` and can be used by him. The directory's descriptor, or -1 and a sentence in `why`.
 */
int places_dir(struct str path, mode_t mode, const struct account *owner, struct buf *why) MUST_USE;

/*
 * The listening unix socket of the commands, for owner and group alone. One that a dead
 * daemon left behind is replaced; one that answers is not. -1 and a sentence in `why`.
 */
int places_control(struct str path, const struct account *owner, struct buf *why) MUST_USE;

/* Write our process id. */
bool places_pidfile(const char *path, struct buf *why) MUST_USE;

#endif
