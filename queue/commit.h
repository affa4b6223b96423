/* SPDX-License-Identifier: ISC */
/*
 * commit - a thread for jobs that wait for a disk.
 *
 * The store has one for the log, and one for the bodies that are too large for it, which
 * begins with the first of them: small mail waits for no sync of a large one.
 *
 * A job is a list of plain steps (octets, descriptors, names) and an error
 * number out; the thread knows nothing of mail. Jobs run in the order they were
 * started, of one thread. While one runs, its steps and what they point at must not change.
 */
#ifndef QUEUE_COMMIT_H
#define QUEUE_COMMIT_H

#include "lib/util/list.h"
#include "queue/io.h"

struct commit;
struct loop;

enum step_kind {
	STEP_WRITE,
	STEP_SYNC,
	STEP_ALLOCATE,
	STEP_RENAME,
	STEP_UNLINK,
	STEP_SYNC_DIR,
	STEP_SUM, /* io_sum() */
	STEP_CLOSE
};

enum { NAME_MAX_SPOOL = 48 };

struct step {
	enum step_kind kind;
	bool           lenient; /* its failure does not end the job */
	int            fd;      /* of the file, or of the folder */
	off_t          at;      /* WRITE: offset; ALLOCATE, SUM: size */
	uint64_t       sum;     /* SUM: seed, then result */
	struct iovec  *iov;     /* WRITE: changed by short writes */
	unsigned       n_iov;
	char           from[NAME_MAX_SPOOL], to[NAME_MAX_SPOOL];
};

struct job {
	struct link  link;
	struct step *steps;
	unsigned     n_steps, cap;
	int          error; /* 0, or errno of the step `failed` */
	unsigned     failed;
	void (*done)(struct job *job); /* in the loop, never from inside commit_start() */
	void *arg;
};

struct commit *commit_create(struct loop *l, const struct io *io);
void           commit_start(struct commit *c, struct job *job);
/* Waits for what was started; their `done` functions still run, here. NULL is allowed. */
void commit_destroy(struct commit *c);

/* A new step at the end, zeroed but for its kind and descriptor. */
struct step *job_step(struct job *job, enum step_kind kind, int fd);
void         job_clear(struct job *job); /* no steps, no error; the memory stays */
void         job_free(struct job *job);

#endif
