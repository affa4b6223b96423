/* SPDX-License-Identifier: ISC */
/* store_put - taking a message in: put, write, commit, abort. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "queue/disk.h"
#include "queue/part.h"

enum { LANE_MAX = 300, BODY_MAX = 1024 * 1024, LEASES_INLINE = 4, MSG_OVERHEAD = 64 };

struct store_put {
	struct store    *store; /* first: store.c looks there */
	uint64_t         id;
	struct buf       body;
	int              fd; /* of a big body, or -1 */
	store_commit_fn *fn;
	void            *arg;
	int64_t          accepted_ms;
};

struct put_later {
	struct later      later;
	struct store_put *p;
	enum store_result result;
};

static struct disk *
disk_of(struct store *s)
{
	return CONTAINER(s, struct disk, base);
}

static void
destroy(struct store_put *p)
{
	if (p->fd >= 0)
		close(p->fd);
	buf_free(&p->body);
	free(p);
}

static bool
has_room(const struct disk *d, uint64_t bytes)
{
	struct statvfs st;

	return fstatvfs(d->dirfd, &st) != 0 ||
	       (uint64_t)st.f_bavail * st.f_frsize >= d->conf.floor_bytes + bytes;
}

struct store_put *
disk_put(struct store *s, uint64_t id, int *spill_fd)
{
	struct disk      *d = disk_of(s);
	struct store_put *p;

	if (!d->ready || d->closed != NULL)
		return NULL;
	p = mem_zero(sizeof *p);
	p->store = s;
	p->id = id;
	p->fd = -1;
	p->body = BUF(BODY_MAX);
	if (spill_fd == NULL)
		return p;
	*spill_fd = -1;
	if (d->state == STORE_OPEN && has_room(d, 0) && index_find(&d->index, id) == NULL &&
	    (p->fd = big_create(d, id)) >= 0)
		*spill_fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
	return p;
}

static size_t
unwritten(const struct disk *d)
{
	return d->log.pending_bytes + d->log.held_bytes;
}

bool
disk_write(struct store_put *p, struct str octets)
{
	struct disk *d = disk_of(p->store);

	if (unwritten(d) + octets.n > d->conf.queue_bytes) {
		d->room_wanted = true;
		return false;
	}
	buf_add(&p->body, octets);
	return true;
}

void
put_room(struct disk *d)
{
	if (!d->room_wanted || unwritten(d) > d->conf.queue_bytes / 2)
		return;
	d->room_wanted = false;
	d->room_owed = true;
	disk_speak_soon(d);
}

void
disk_abort(struct store_put *p)
{
	if (p->fd >= 0)
		big_drop(disk_of(p->store), p->id, false);
	destroy(p);
}

/* ---- commit ---- */

static void
say_refused(struct disk *d, struct later *l)
{
	struct put_later *r = CONTAINER(l, struct put_later, later);
	struct store_put *p = r->p;

	(void)d;
	p->fn(p->arg, r->result, NULL, 0);
	destroy(p);
	free(r);
}

static void
refuse(struct disk *d, struct store_put *p, enum store_result result)
{
	struct put_later *r = mem_zero(sizeof *r);

	if (p->fd >= 0)
		big_drop(d, p->id, false);
	r->later.run = say_refused;
	r->p = p;
	r->result = result;
	disk_say(d, &r->later);
}

static bool
body_is_whole(const struct store_put *p, uint64_t size)
{
	struct stat st;

	if (p->fd < 0)
		return !p->body.over && p->body.n == size;
	return size < UINT32_MAX && fstat(p->fd, &st) == 0 && (uint64_t)st.st_size == size;
}

static bool
parts_are_sound(const struct store_message *m)
{
	for (size_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].lane.n == 0 || m->parts[i].lane.n > LANE_MAX ||
		    m->parts[i].n_rcpts == 0 || str_find(m->parts[i].lane, ' ') >= 0 ||
		    str_find(m->parts[i].lane, '\n') >= 0)
			return false;
	return m->n_parts > 0 && m->n_parts <= UINT32_MAX / 2 && m->envelope.n > 0;
}

static void
format_parts(const struct store_message *m, struct buf *out)
{
	for (size_t i = 0; i < m->n_parts; i++) {
		const struct store_part *p = &m->parts[i];

		part_format(out, &(struct part_text){
					 .no = (uint32_t)i,
					 .state = p->hold ? PART_HOLD : PART_WAIT,
					 .due_ms = m->due_ms,
					 .lane = p->lane,
					 .why = p->why,
					 .rcpts = p->rcpts,
					 .n_rcpts = p->n_rcpts,
				 });
	}
}

static struct msg *
enter(struct disk *d, const struct store_put *p, const struct store_message *sm,
      const struct block *b)
{
	struct msg *m = index_add(&d->index, p->id, (uint32_t)sm->n_parts);

	m->meta_len = b->r.env_len + b->r.parts_len;
	m->size = (uint32_t)sm->size;
	m->accepted_s = (uint32_t)(sm->accepted_ms / 1000);
	m->flags = MSG_ARRIVING | (p->fd >= 0 ? MSG_BIG : 0u) | (sm->derived ? MSG_DERIVED : 0u);
	for (uint32_t i = 0; i < m->n_parts; i++) {
		m->parts[i].n_rcpts = (uint32_t)sm->parts[i].n_rcpts;
		d->index.n_rcpts += m->parts[i].n_rcpts;
		part_set_lane(d, &m->parts[i], sm->parts[i].lane);
		if (sm->parts[i].hold)
			m->parts[i].flags |= PART_HOLD_NEXT;
	}
	return m;
}

/* What was refused leaves no trace: both names, for nobody knows how far the job came. */
static void
leave(struct disk *d, struct msg *m, struct store_put *p, int error)
{
	m->flags &= ~(uint32_t)MSG_DERIVED;
	msg_forget(d, m);
	if (p->fd >= 0) {
		big_drop(d, p->id, false);
		big_drop(d, p->id, true);
	}
	if (d->closed == NULL)
		p->fn(p->arg, error == ENOSPC ? STORE_FULL : STORE_UNKNOWN, NULL, 0);
	destroy(p);
}

static void
note_hint(struct disk *d, const struct msg *m, const struct block *b)
{
	struct found_part one,
		*parts = m->n_parts == 1 ? &one : mem_array(m->n_parts, sizeof *parts);
	struct found f = {
		.type = RECORD_MSG,
		.flags = b->r.flags,
		.id = b->r.id,
		.off = b->off,
		.meta_len = m->meta_len,
		.size = m->size,
		.accepted_s = m->accepted_s,
		.parts = parts,
		.n_parts = m->n_parts,
	};

	for (uint32_t i = 0; i < m->n_parts; i++)
		parts[i] = (struct found_part){
			.lane = shelf_name(m->parts[i].shelf),
			.n_rcpts = m->parts[i].n_rcpts,
			.state = (m->parts[i].flags & PART_HOLD_NEXT) != 0 ? PART_HOLD : PART_WAIT,
			.due_ms = b->due_ms,
		};
	hint_add(&d->log.hint, &f);
	if (parts != &one)
		free(parts);
}

/* The record stays in memory for the first attempt, unless others need the room more. */
static bool
keep_warm(struct disk *d, struct msg *m, struct block *b)
{
	if (b->span > d->conf.warm_bytes)
		return false;
	while (d->warm_bytes + b->span > d->conf.warm_bytes) {
		struct block *old = CONTAINER(list_first(&d->warm), struct block, warm);

		block_unref_warm(d, index_find(&d->index, old->r.id));
	}
	m->warm = b;
	list_push(&d->warm, &b->warm);
	d->warm_bytes += b->span;
	return true;
}

static void
give_lease(struct disk *d, struct msg *m, struct part *p, const struct part_text *text,
           struct store_lease *l)
{
	*l = (struct store_lease){
		.id = msg_id(m),
		.part = p->no,
		.n_parts = m->n_parts,
		.token = lease_take(d, p, d->conf.lease_ms),
		.lane = text->lane,
		.rcpts = text->rcpts,
		.n_rcpts = text->n_rcpts,
		.accepted_ms = (int64_t)m->accepted_s * 1000,
		.size = m->size,
		.fd = -1,
	};
}

static void
give_leases(struct disk *d, struct msg *m, const struct block *b, struct store_put *p)
{
	const char *meta = (const char *)b->data + RECORD_HEAD;
	struct str  envelope = {meta, b->r.env_len}, rest = {meta + envelope.n, b->r.parts_len};
	struct part_text   few_texts[LEASES_INLINE], *texts = few_texts;
	struct store_lease few[LEASES_INLINE], *leases = few;
	size_t             n = 0, n_parts = m->n_parts;

	if (n_parts > LEASES_INLINE) {
		texts = mem_array(n_parts, sizeof *texts);
		leases = mem_array(n_parts, sizeof *leases);
	}
	while (n < n_parts && part_parse(&rest, &texts[n])) {
		struct part *part = &m->parts[texts[n].no];

		if (part->where != AT_NONE) {
			part_free(&texts[n]);
			continue;
		}
		give_lease(d, m, part, &texts[n], &leases[n]);
		leases[n].envelope = envelope;
		if (p->fd < 0)
			leases[n].body = (struct str){meta + envelope.n + b->r.parts_len, m->size};
		else
			leases[n].fd = big_open(d, p->id, m->size);
		n++;
	}
	p->fn(p->arg, STORE_OK, leases, n);
	for (size_t i = 0; i < n; i++)
		part_free(&texts[i]);
	if (texts != few_texts) {
		free(texts);
		free(leases);
	}
}

static bool
put_done(struct disk *d, struct block *b, int error)
{
	struct store_put *p = b->owner;
	struct msg       *m = index_find(&d->index, b->r.id);
	bool              held = true, kept;

	if (error != 0) {
		leave(d, m, p, error);
		return false;
	}
	m->flags &= ~(uint32_t)MSG_ARRIVING;
	m->flags |= MSG_CHECKED;
	msg_place(d, m, segment_find(&d->segments, b->r.seq), b->off);
	note_hint(d, m, b);
	for (uint32_t i = 0; i < m->n_parts; i++) {
		if ((m->parts[i].flags & PART_HOLD_NEXT) != 0) {
			m->parts[i].flags = 0;
			part_hold(d, &m->parts[i]);
		} else if (b->due_ms > 0) {
			part_wait(d, &m->parts[i], b->due_ms);
		} else {
			held = false;
		}
	}
	kept = !held && keep_warm(d, m, b);
	if (kept)
		b->owner = NULL;
	if (d->closed == NULL)
		give_leases(d, m, b, p);
	destroy(p);
	return kept;
}

/* As the allocator and the tables have it, rounded up. */
static size_t
index_bytes(const struct disk *d)
{
	return d->index.msgs.n * (sizeof(struct msg) + MSG_OVERHEAD) +
	       (size_t)d->index.n_parts * sizeof(struct part);
}

static enum store_result
refusal(const struct disk *d, const struct store_put *p, const struct store_message *m)
{
	if (d->state == STORE_BROKEN || d->closed != NULL)
		return STORE_AGAIN;
	if (d->state == STORE_NO_ROOM)
		return STORE_FULL;
	/* Reports are the queue's own, and end other mail. */
	if (d->conf.index_bytes != 0 && !m->derived && index_bytes(d) > d->conf.index_bytes)
		return STORE_FULL;
	if (!parts_are_sound(m) || !body_is_whole(p, m->size))
		return STORE_BAD;
	return STORE_OK;
}

void
disk_commit(struct store_put *p, const struct store_message *sm, store_commit_fn *fn, void *arg)
{
	struct disk      *d = disk_of(p->store);
	const struct msg *there = index_find(&d->index, p->id);
	enum store_result result = refusal(d, p, sm);
	struct buf        parts = BUF(SEGMENT_MIN);
	struct block     *b;

	p->fn = fn;
	p->arg = arg;
	/* The same id twice at once: nobody knows yet how the first one ends. */
	if (result == STORE_OK && there != NULL && (there->flags & MSG_ARRIVING) != 0)
		result = STORE_AGAIN;
	if (result != STORE_OK || there != NULL || index_has_tomb(&d->index, p->id)) {
		refuse(d, p, result);
		return;
	}
	format_parts(sm, &parts);
	if (parts.over ||
	    4 * RECORD_HEAD + sm->envelope.n + parts.n + p->body.n > d->segments.size) {
		buf_free(&parts);
		refuse(d, p, STORE_BAD);
		return;
	}
	b = block_create(RECORD_MSG, p->id, sm->envelope.n, parts.n, p->body.n);
	memcpy(b->data + RECORD_HEAD, sm->envelope.p, sm->envelope.n);
	memcpy(b->data + RECORD_HEAD + sm->envelope.n, parts.p, parts.n);
	if (p->body.n > 0)
		memcpy(b->data + RECORD_HEAD + sm->envelope.n + parts.n, p->body.p, p->body.n);
	buf_free(&parts);
	buf_free(&p->body);
	if (p->fd >= 0) {
		b->r.flags |= RECORD_BIG;
		b->r.body_len = (uint32_t)sm->size;
	}
	if (sm->derived)
		b->r.flags |= RECORD_DERIVED;
	b->big_fd = p->fd;
	b->due_ms = sm->due_ms;
	b->owner = p;
	b->done = put_done;
	enter(d, p, sm, b);
	if (p->fd >= 0)
		big_save(d, b);
	else
		log_add(d, b);
}
