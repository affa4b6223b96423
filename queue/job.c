/* SPDX-License-Identifier: ISC */
#include "queue/job.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/mem.h"

enum { PUSH_SLICE = 2 * 1024 * 1024 };

struct step *
job_step(struct job *job, enum step_kind kind, int fd)
{
	struct step *s;

	if (job->n_steps == job->cap) {
		job->cap = job->cap == 0 ? 4 : job->cap * 2;
		job->steps = mem_resize(job->steps, job->cap, sizeof *job->steps);
	}
	s = &job->steps[job->n_steps++];
	memset(s, 0, sizeof *s);
	s->kind = kind;
	s->fd = fd;
	return s;
}

void
job_clear(struct job *job)
{
	job->n_steps = 0;
	job->error = 0;
	job->failed = 0;
}

void
job_free(struct job *job)
{
	free(job->steps);
	job->steps = NULL;
	job->n_steps = job->cap = 0;
}

static int
write_all(const struct io *io, struct step *s)
{
	struct iovec *iov = s->iov;
	unsigned      left = s->n_iov;
	off_t         at = s->at;

	while (left > 0) {
		ssize_t n = io->write(s->fd, iov, (int)(left < IOV_MAX ? left : IOV_MAX), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		at += n;
		while (left > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			left--;
		}
		if (left > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/*
 * One sync of 50 MiB fills the queue of the disk, and mail of 4 KiB then waits for all of it. In slices of two the disk
 * keeps nearly its full speed (measured: 1,050 to 1,300 MiB/s of 1,300), and a small sync meanwhile takes 3 ms instead of 9.
 */
static int
push(const struct io *io, int fd, off_t size)
{
	for (off_t at = 0; at < size; at += PUSH_SLICE)
		if (io->push(fd, at, size - at < PUSH_SLICE ? size - at : PUSH_SLICE) != 0)
			return -1;
	return 0;
}

static int
run_step(const struct io *io, struct step *s)
{
	switch (s->kind) {
	case STEP_WRITE:
		return write_all(io, s);
	case STEP_SYNC:
		return io->sync(s->fd);
	case STEP_PUSH:
		return push(io, s->fd, s->at);
	case STEP_ALLOCATE:
		return io->allocate(s->fd, s->at);
	case STEP_RENAME:
		return io->rename(s->fd, s->from, s->to);
	case STEP_UNLINK:
		return io->unlink(s->fd, s->from);
	case STEP_SYNC_DIR:
		return io->sync_dir(s->fd);
	case STEP_SUM:
		return io_sum(io, s->fd, (uint64_t)s->at, &s->sum);
	case STEP_CLOSE:
		return close(s->fd);
	}
	return 0;
}

void
job_run(struct job *job, const struct io *io)
{
	job->error = 0;
	for (unsigned i = 0; i < job->n_steps; i++) {
		if (run_step(io, &job->steps[i]) == 0 || job->steps[i].lenient)
			continue;
		job->error = errno != 0 ? errno : EIO;
		job->failed = i;
		return;
	}
}
