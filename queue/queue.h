/* SPDX-License-Identifier: ISC */
/*
 * queue - the role that keeps mail: store, schedule, dispatch, bounces.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

int queue_main(unsigned index); /* the exit code of the process */

/*
 * For `postern queue list|show|cat` while no daemon runs: answer the one request
 * on `fd` (lib/proc/control.h) from the spool, which is only read. Both
 * descriptors become the callee's. Returns when the answer has been written.
 */
int queue_offline(int dirfd, const char *request, int fd);

#endif
