/* SPDX-License-Identifier: ISC */
/*
 * big - bodies that are too large for the log: big/<id>.tmp while they come, then big/<id>.
 *
 * The file is synced and gets its final name before the record that names it is
 * written; it goes only after the end of the message is on the disk. All that takes long happens in a
 * thread of its own: 50 MiB keep a disk busy for a while, and other mail does not wait for that. The sum is
 * seeded with the id, so that a file under another's name is found out, too. It is compared once in each life
 * of the daemon, before the first delivery of what an earlier life took.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
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

/* ---- taking in ---- */

struct saving {
	struct job    job;
	struct disk  *d;
	struct block *b;
};

/* Zero stands for a sum that nobody made: records of before there were any. */
static uint64_t
sum_of(const struct job *job)
{
	for (unsigned i = 0; i < job->n_steps; i++)
		if (job->steps[i].kind == STEP_SUM)
			return job->steps[i].sum != 0 ? job->steps[i].sum : 1;
	return 0;
}

static void
saved(struct job *job)
{
	struct saving *s = job->arg;
	struct disk   *d = s->d;
	struct block  *b = s->b;
	int            error = job->error;
	char           room[ID_TEXT + 3];
	struct buf     id = BUF(sizeof room);

	d->n_jobs--;
	d->n_syncs++;
	b->r.body_sum = sum_of(job);
	job_free(job);
	free(s);
	if (error == 0) {
		log_add(d, b);
		return;
	}
	id_format(&id, b->r.id);
	log_error(ev("spool-write"), kv("id", buf_str(&id)), kv("msg", strerror(error)));
	buf_free(&id);
	if (!b->done(d, b, error))
		free(b);
}

void
big_save(struct disk *d, struct block *b)
{
	struct saving *s = mem_zero(sizeof *s);
	struct step   *step;

	s->d = d;
	s->b = b;
	s->job.done = saved;
	s->job.arg = s;
	step = job_step(&s->job, STEP_PUSH, b->big_fd);
	step->at = (off_t)b->r.body_len;
	job_step(&s->job, STEP_SYNC, b->big_fd);
	step = job_step(&s->job, STEP_SUM, b->big_fd);
	step->at = (off_t)b->r.body_len;
	step->sum = b->r.id;
	step = job_step(&s->job, STEP_RENAME, d->bigfd);
	name_of(step->from, b->r.id, false);
	name_of(step->to, b->r.id, true);
	job_step(&s->job, STEP_SYNC_DIR, d->bigfd);
	d->n_jobs++;
	commit_start(d->bulk, &s->job);
}

/* ---- giving out ---- */

struct checking {
	struct job   job;
	struct disk *d;
	uint64_t     id, sum;
	uint32_t     part;
	int          fd;
};

static void
checked(struct job *job)
{
	struct checking *c = job->arg;
	struct disk     *d = c->d;
	struct msg      *m = index_find(&d->index, c->id);
	struct part     *p = m != NULL ? &m->parts[c->part] : NULL;
	bool             good = job->error == 0 && sum_of(job) == c->sum;

	d->n_jobs--;
	if (p != NULL && p->where == AT_SETTLING && (m->flags & MSG_ENDING) == 0) {
		p->where = AT_NONE;
		if (!good)
			msg_damage(d, m, "the file of its body is not what was written");
		m->flags |= good ? (unsigned)MSG_CHECKED : 0u;
		if ((m->flags & MSG_DAMAGED) == 0)
			part_wait(d, p, 0);
		else if (p->where == AT_NONE)
			part_hold(d, p);
	}
	disk_settled(d);
	close(c->fd);
	job_free(job);
	free(c);
}

void
big_check(struct disk *d, struct part *p, uint64_t sum, int fd)
{
	struct checking *c = mem_zero(sizeof *c);
	struct step     *step;

	c->d = d;
	c->id = msg_id(part_msg(p));
	c->part = p->no;
	c->sum = sum;
	c->fd = fd;
	c->job.done = checked;
	c->job.arg = c;
	step = job_step(&c->job, STEP_SUM, fd);
	step->at = (off_t)part_msg(p)->size;
	step->sum = c->id;
	p->where = AT_SETTLING;
	d->n_jobs++;
	commit_start(d->bulk, &c->job);
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
