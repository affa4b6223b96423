/* SPDX-License-Identifier: ISC */
/*
 * hint - `<seq>-<salt>.hint`: what a sealed segment says, without envelopes and bodies.
 *
 * Only a short cut for the start: one that is missing, of another machine, or damaged costs
 * nothing but reading the segment. Its entries are structs as they stand in memory.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "queue/disk.h"

enum { HINT_MAGIC = 0x31687370, HINT_FILE_MAX = SEGMENT_MAX };

struct head {
	uint32_t magic, used;
	uint64_t first_batch, last_batch;
	uint64_t n; /* octets that follow */
	uint64_t sum;
};

struct entry {
	uint8_t  type;
	uint8_t  flags;
	uint16_t pad;
	uint32_t off;
	uint64_t id;
	uint32_t meta_len, size, accepted_s, part;
	uint32_t origin, n_parts;
};

struct entry_part {
	int64_t  due_ms;
	uint32_t n_rcpts;
	uint16_t tries, lane_n;
	uint8_t  state, noticed;
	uint8_t  pad[6];
};

static void
add(struct buf *out, const void *p, size_t n)
{
	buf_add(out, (struct str){p, n});
}

void
hint_add(struct buf *hint, const struct found *f)
{
	struct entry e;

	memset(&e, 0, sizeof e);
	e.type = (uint8_t)f->type;
	e.flags = (uint8_t)f->flags;
	e.off = f->off;
	e.id = f->id;
	e.meta_len = f->meta_len;
	e.size = f->size;
	e.accepted_s = f->accepted_s;
	e.part = f->part;
	e.origin = f->origin;
	e.n_parts = f->n_parts;
	add(hint, &e, sizeof e);
	for (uint32_t i = 0; i < f->n_parts; i++) {
		const struct found_part *p = &f->parts[i];
		struct entry_part        ep;

		memset(&ep, 0, sizeof ep);
		ep.due_ms = p->due_ms;
		ep.n_rcpts = p->n_rcpts;
		ep.tries = p->tries;
		ep.lane_n = (uint16_t)p->lane.n;
		ep.state = p->state;
		ep.noticed = p->noticed;
		add(hint, &ep, sizeof ep);
		add(hint, p->lane.p, p->lane.n);
	}
}

static bool
take(struct str *rest, void *to, size_t n)
{
	if (rest->n < n)
		return false;
	memcpy(to, rest->p, n);
	*rest = str_skip(*rest, n);
	return true;
}

/* Cut an entry off; the parts are kept in `parts`, which grows. */
static bool
next(struct str *rest, struct found *f, struct found_part **parts, size_t *cap)
{
	struct entry e;

	if (!take(rest, &e, sizeof e) || e.n_parts > rest->n)
		return false;
	*f = (struct found){
		.type = (enum record_type)e.type,
		.flags = e.flags,
		.id = e.id,
		.off = e.off,
		.meta_len = e.meta_len,
		.size = e.size,
		.accepted_s = e.accepted_s,
		.part = e.part,
		.origin = e.origin,
		.n_parts = e.n_parts,
	};
	if (e.n_parts > *cap) {
		*cap = e.n_parts;
		*parts = mem_resize(*parts, *cap, sizeof **parts);
	}
	f->parts = *parts;
	for (uint32_t i = 0; i < e.n_parts; i++) {
		struct entry_part ep;

		if (!take(rest, &ep, sizeof ep) || rest->n < ep.lane_n || ep.state > PART_DONE)
			return false;
		(*parts)[i] = (struct found_part){
			.lane = str_sub(*rest, 0, ep.lane_n),
			.n_rcpts = ep.n_rcpts,
			.due_ms = ep.due_ms,
			.tries = ep.tries,
			.state = ep.state,
			.noticed = ep.noticed != 0,
		};
		*rest = str_skip(*rest, ep.lane_n);
	}
	return true;
}

/* An entry that says nothing any more is left out: most mail is gone before its segment is full. */
static bool
is_live(const struct disk *d, const struct segment *g, const struct found *f)
{
	const struct msg *m = index_find(&d->index, f->id);

	switch (f->type) {
	case RECORD_MSG:
	case RECORD_MOVE:
		if (m == NULL)
			return (f->flags & RECORD_DERIVED) != 0 && index_has_tomb(&d->index, f->id);
		return m->seq == g->seq && m->off == f->off;
	case RECORD_STATE:
		return m != NULL && f->part < m->n_parts && m->parts[f->part].state_seq == g->seq &&
		       m->parts[f->part].state_off == f->off;
	case RECORD_DONE:
		return f->origin != g->seq || index_has_tomb(&d->index, f->id);
	case RECORD_SEAL:
		break;
	}
	return false;
}

static void
filter(const struct disk *d, const struct segment *g, struct str all, struct buf *out)
{
	struct found_part *parts = NULL;
	struct found       f;
	size_t             cap = 0;
	struct str         rest = all;

	while (rest.n > 0) {
		const char *begin = rest.p;

		if (!next(&rest, &f, &parts, &cap))
			break;
		if (is_live(d, g, &f))
			add(out, begin, (size_t)(rest.p - begin));
	}
	free(parts);
}

struct writing {
	struct job   job;
	struct disk *d;
	struct head  head;
	struct buf   body;
	struct iovec iov[2];
	char         name[NAME_MAX_SPOOL];
};

/* Half a hint, for want of room, would be of no use and in the way: the next start makes it anew. */
static void
written(struct job *job)
{
	struct writing *w = job->arg;

	w->d->n_jobs--;
	close(job->steps[0].fd);
	if (job->error != 0)
		(void)w->d->io->unlink(w->d->dirfd, w->name);
	buf_free(&w->body);
	job_free(job);
	free(w);
}

static void
start_write(struct writing *w, const struct segment *g)
{
	struct disk *d = w->d;
	struct step *step;
	int          fd;

	segment_hint_name(w->name, g);
	/* No temporary name: a hint that is not whole does not match its sum. */
	fd = openat(d->dirfd, w->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		buf_free(&w->body);
		free(w);
		return;
	}
	w->iov[0] = (struct iovec){&w->head, sizeof w->head};
	w->iov[1] = (struct iovec){w->body.p, w->body.n};
	step = job_step(&w->job, STEP_WRITE, fd);
	step->iov = w->iov;
	step->n_iov = w->body.n > 0 ? 2 : 1;
	job_step(&w->job, STEP_SYNC, fd);
	w->job.done = written;
	w->job.arg = w;
	d->n_jobs++;
	commit_start(d->commit, &w->job);
}

void
hint_write(struct disk *d, struct segment *g, const struct buf *hint)
{
	struct writing *w;

	if (hint->over)
		return;
	w = mem_zero(sizeof *w);
	w->d = d;
	w->body = BUF(HINT_FILE_MAX);
	filter(d, g, buf_str(hint), &w->body);
	w->head.magic = HINT_MAGIC;
	w->head.used = g->used;
	w->head.first_batch = g->first_batch;
	w->head.last_batch = g->last_batch;
	w->head.n = w->body.n;
	w->head.sum = record_sum(g->salt ^ g->used, w->body.p == NULL ? "" : w->body.p, w->body.n);
	start_write(w, g);
}

/* `data` has room for SEGMENT_MAX octets. */
static bool
read_file(struct disk *d, struct segment *g, struct head *h, uint8_t *data)
{
	char        name[NAME_MAX_SPOOL];
	struct stat st;
	int         fd;
	bool        ok;

	segment_hint_name(name, g);
	fd = openat(d->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	     d->io->read(fd, h, sizeof *h, 0) == (ssize_t)sizeof *h && h->magic == HINT_MAGIC &&
	     h->n <= HINT_FILE_MAX && (uint64_t)st.st_size == sizeof *h + h->n &&
	     h->used <= g->size;
	ok = ok && d->io->read(fd, data, h->n, sizeof *h) == (ssize_t)h->n &&
	     record_sum(g->salt ^ h->used, data, h->n) == h->sum;
	close(fd);
	return ok;
}

bool
hint_load(struct disk *d, struct segment *g, uint8_t *data)
{
	struct found_part *parts = NULL;
	struct found       f;
	struct head        h;
	size_t             cap = 0;
	struct str         rest;

	if (!read_file(d, g, &h, data))
		return false;
	g->used = h.used;
	g->first_batch = h.first_batch;
	g->last_batch = h.last_batch;
	rest = (struct str){(const char *)data, h.n};
	while (rest.n > 0 && next(&rest, &f, &parts, &cap))
		recovery_replay(d, g, &f);
	free(parts);
	return true;
}

enum hint_state
hint_look(struct disk *d, struct segment *g, uint8_t *data)
{
	struct head h;
	char        name[NAME_MAX_SPOOL];

	segment_hint_name(name, g);
	if (faccessat(d->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return HINT_NONE;
	if (!read_file(d, g, &h, data))
		return HINT_BAD;
	g->first_batch = h.first_batch;
	g->last_batch = h.last_batch;
	return HINT_GOOD;
}
