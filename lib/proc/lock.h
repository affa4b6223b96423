/* SPDX-License-Identifier: ISC */
/*
 * lock - one daemon, or one offline command, on a spool at a time.
 *
 * A flock on the file LOCK of the spool: it ends with the process, whatever
 * happens, so there is nothing stale to clean up. It belongs to the open file:
 * a child that inherits the descriptor keeps the lock too.
 */
#ifndef LIB_PROC_LOCK_H
#define LIB_PROC_LOCK_H

#include "lib/util/buf.h"

/* The lock's descriptor, close it to let go; or -1 and in `why` who has it. Never waits. */
int lock_take(int dirfd, struct buf *why) MUST_USE;

#endif
