/* SPDX-License-Identifier: ISC */
/*
 * job - a list of plain steps (octets, descriptors, names) in, an error number out.
 *
 * It knows nothing of mail, and touches nothing but what its steps name: so a thread can do it.
 */
#ifndef QUEUE_JOB_H
#define QUEUE_JOB_H

#include "lib/util/list.h"
#include "queue/io.h"

enum step_kind {
	STEP_WRITE,    /* all of `iov`, at `at` */
	STEP_SYNC,     /* fdatasync */
	STEP_PUSH,     /* before the SYNC of a large file, in slices */
	STEP_ALLOCATE, /* so that no later write can find the disk full */
	STEP_RENAME,   /* `from` to `to` in the folder `fd` */
	STEP_UNLINK,   /* `from` */
	STEP_SYNC_DIR, /* names are durable only after this */
	STEP_SUM,      /* io_sum() */
	STEP_CLOSE,
};

enum { NAME_MAX_SPOOL = 48 };

struct step {
	enum step_kind kind;
	bool           lenient; /* its failure does not end the job */
	int            fd;      /* of the file, or of the folder */
	off_t          at;      /* WRITE: offset; PUSH, ALLOCATE, SUM: size */
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

void job_run(struct job *job, const struct io *io); /* all steps, or up to the first that fails */

/* A new step at the end, zeroed but for its kind and descriptor. */
struct step *job_step(struct job *job, enum step_kind kind, int fd);
void         job_clear(struct job *job); /* no steps, no error; the memory stays */
void         job_free(struct job *job);

#endif
