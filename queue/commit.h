/* SPDX-License-Identifier: ISC */
/*
 * commit - a thread for jobs that wait for a disk.
 *
 * The store has one for the log, and one for the bodies that are too large for it, which
 * begins with the first of them: small mail waits for no sync of a large one.
 *
 * Jobs (job.h) run in the order they were started, of one thread. While one waits or runs, its
 * steps and what they point at must not change. After a job that failed none is begun until the
 * `done` of that one has run: it may have to withdraw those that build on it.
 */
#ifndef QUEUE_COMMIT_H
#define QUEUE_COMMIT_H

#include "queue/job.h"

struct commit;
struct loop;

struct commit *commit_create(struct loop *l, const struct io *io);
void           commit_start(struct commit *c, struct job *job);

/* Take back a job; false: too late, the thread has begun it. */
bool commit_withdraw(struct commit *c, struct job *job);

/* Waits for what was started; their `done` functions still run, here. NULL is allowed. */
void commit_destroy(struct commit *c);

#endif
