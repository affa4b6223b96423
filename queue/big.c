/* SPDX-License-Identifier: ISC */
/*
 * big - bodies that are too large for the log: big/<id>.tmp while they come, then big/<id>.
 *
 * The file is synced and gets its final name before the record that names it is
 * written; it goes only after the end of the message is on the disk.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/log.h"
#include "queue/disk.h"

enum { NAME_DIGITS = 16 };

static void
name_of(char out[NAME_MAX_SPOOL], uint64_t id, bool finished)
{
	snprintf(out, NAME_MAX_SPOOL, "%016llx%s", (unsigned long long)id, finished ? "" : ".tmp");
}

int
big_create(struct disk *d, uint64_t id)
{
	char name[NAME_MAX_SPOOL];

	name_of(name, id, false);
	return openat(d->bigfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void
big_drop(struct disk *d, uint64_t id, bool finished)
{
	struct job  *job;
	struct step *step;

	if (d->commit == NULL)
		return;
	job = disk_job(d);
	step = job_step(job, STEP_UNLINK, d->bigfd);
	step->lenient = true;
	name_of(step->from, id, finished);
	disk_job_start(d, job);
}

void
big_steps(struct job *job, int bigfd, uint64_t id, int fd)
{
	struct step *step;

	job_step(job, STEP_SYNC, fd);
	step = job_step(job, STEP_RENAME, bigfd);
	name_of(step->from, id, false);
	name_of(step->to, id, true);
}

int
big_open(struct disk *d, uint64_t id, uint64_t size)
{
	char        name[NAME_MAX_SPOOL];
	struct stat st;
	int         fd;

	name_of(name, id, true);
	fd = openat(d->bigfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
		return fd;
	close(fd);
	return -1;
}

static bool
wanted(const struct disk *d, const char *name)
{
	uint64_t          id = 0;
	const struct msg *m;

	for (size_t i = 0; i < NAME_DIGITS; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	if (name[NAME_DIGITS] != '\0')
		return false;
	m = index_find(&d->index, id);
	return m != NULL && (m->flags & MSG_BIG) != 0;
}

void
big_sweep(struct disk *d)
{
	int            fd = openat(d->bigfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR           *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && !wanted(d, e->d_name))
			d->io->unlink(d->bigfd, e->d_name);
	closedir(dir);
}
