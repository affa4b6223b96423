/* SPDX-License-Identifier: ISC */
/* msg - entries of the index: where their record is, on which list a part waits, reading them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mail/ids.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "queue/part.h"

void
msg_place(struct disk *d, struct msg *m, struct segment *g, uint32_t off)
{
	msg_unplace(d, m);
	m->seq = g->seq;
	m->off = off;
	m->flags |= MSG_PLACED;
	g->n_live++;
	g->live_bytes += msg_span(m);
	d->index.live_bytes += msg_span(m);
}

void
msg_unplace(struct disk *d, struct msg *m)
{
	struct segment *g;

	if ((m->flags & MSG_PLACED) == 0)
		return;
	m->flags &= ~(uint32_t)MSG_PLACED;
	d->index.live_bytes -= msg_span(m);
	if ((g = segment_find(&d->segments, m->seq)) == NULL)
		return;
	g->n_live--;
	g->live_bytes -= msg_span(m);
	if (g->n_live == 0)
		reclaim_check(d);
}

void
msg_forget(struct disk *d, struct msg *m)
{
	for (uint32_t i = 0; i < m->n_parts; i++) {
		struct part *p = &m->parts[i];

		part_unlist(d, p);
		d->index.n_rcpts -= p->n_rcpts;
		if (p->shelf != NULL)
			shelf_leave(&d->shelves, p->shelf);
	}
	block_unref_warm(d, m);
	if ((m->flags & MSG_DERIVED) != 0 && (m->flags & MSG_PLACED) != 0)
		index_add_tomb(&d->index, msg_id(m), m->seq);
	msg_unplace(d, m);
	index_remove(&d->index, m);
}

void
part_unlist(struct disk *d, struct part *p)
{
	if (p->where == AT_LEASED)
		lease_end(d, p);
	else if (p->where == AT_HELD)
		d->index.n_held--;
	else
		shelf_remove(&d->shelves, p);
	p->where = AT_NONE;
}

void
part_wait(struct disk *d, struct part *p, int64_t due_ms)
{
	shelf_put(&d->shelves, p, due_ms, time_wall_ms());
	disk_set_tick(d);
}

void
part_hold(struct disk *d, struct part *p)
{
	part_unlist(d, p);
	p->where = AT_HELD;
	d->index.n_held++;
}

void
part_set_lane(struct disk *d, struct part *p, struct str lane)
{
	p->shelf = shelf_get(&d->shelves, lane);
	shelf_adopt(p->shelf);
}

void
msg_damage(struct disk *d, struct msg *m, const char *why)
{
	char       text[16] = {0};
	struct buf id = BUF(sizeof text);

	if ((m->flags & MSG_DAMAGED) != 0)
		return;
	m->flags |= MSG_DAMAGED;
	d->index.n_damaged++;
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].where != AT_DONE && m->parts[i].where != AT_SETTLING)
			part_hold(d, &m->parts[i]);
	id_format(&id, msg_id(m));
	log_error(ev("damaged"), kv("id", buf_str(&id)), kv("segment", m->seq), kv("at", m->off),
	          kv("msg", why));
	buf_free(&id);
	disk_say_change(d, msg_id(m), "damaged", str_of(why));
}

void
loaded_free(struct loaded *l)
{
	if (l->owned)
		free(l->data);
	*l = (struct loaded){0};
}

static void
cut(struct loaded *l, bool body)
{
	const char *p = (const char *)l->data + RECORD_HEAD;

	l->envelope = (struct str){p, l->r.env_len};
	l->parts = (struct str){p + l->r.env_len, l->r.parts_len};
	if (body)
		l->body = (struct str){p + l->r.env_len + l->r.parts_len, record_inline(&l->r)};
}

/* The header says how the two texts share the known length; a body that is not wanted is not read. */
static const char *
read_record(struct disk *d, struct msg *m, bool body, struct loaded *l)
{
	struct segment *g = segment_find(&d->segments, m->seq);
	bool            inline_body = body && (m->flags & MSG_BIG) == 0;
	size_t          n = RECORD_HEAD + (size_t)m->meta_len + (inline_body ? m->size : 0);

	if (g == NULL)
		return "its segment is not there";
	l->data = mem_array(1, n);
	l->owned = true;
	if (!segment_read(&d->segments, g, m->off, l->data, n))
		return "cannot be read";
	if (!record_decode(&l->r, l->data, g->seq, g->salt) || l->r.id != msg_id(m) ||
	    (uint64_t)l->r.env_len + l->r.parts_len != m->meta_len || l->r.body_len != m->size)
		return "its header is not what was written";
	if ((l->r.flags & RECORD_SPOILED_META) != 0 ||
	    record_sum(g->salt, l->data + RECORD_HEAD, m->meta_len) != l->r.meta_sum)
		return "its envelope is not what was written";
	if (inline_body &&
	    ((l->r.flags & RECORD_SPOILED_BODY) != 0 ||
	     record_sum(g->salt, l->data + RECORD_HEAD + m->meta_len, m->size) != l->r.body_sum))
		return "its body is not what was written";
	return NULL;
}

bool
msg_load(struct disk *d, struct msg *m, bool body, struct loaded *out)
{
	const char *wrong;

	*out = (struct loaded){0};
	if (m->warm != NULL) {
		out->data = m->warm->data;
		out->r = m->warm->r;
		cut(out, body);
		return true;
	}
	if ((wrong = read_record(d, m, body, out)) != NULL) {
		loaded_free(out);
		msg_damage(d, m, wrong);
		return false;
	}
	cut(out, body);
	return true;
}

/* The lines of the part are looked for as text: a message may have thousands of parts. */
static bool
find_part(struct str parts, uint32_t no, struct part_text *text)
{
	char       room[24];
	struct str needle = {room, (size_t)snprintf(room, sizeof room, "\npart: %u ", no)};
	ptrdiff_t  at;

	if (str_starts(parts, str_skip(needle, 1)))
		return part_parse(&parts, text);
	if ((at = str_find_str(parts, needle)) < 0)
		return false;
	parts = str_skip(parts, (size_t)at + 1);
	return part_parse(&parts, text);
}

static uint8_t *
read_state(struct disk *d, const struct part *p, uint64_t id, struct record *r)
{
	struct segment *g = segment_find(&d->segments, p->state_seq);
	uint8_t         head[RECORD_HEAD], *data;

	if (g == NULL || !segment_read(&d->segments, g, p->state_off, head, sizeof head) ||
	    !record_decode(r, head, g->seq, g->salt) || r->type != RECORD_STATE || r->id != id)
		return NULL;
	data = mem_array(1, r->parts_len + (size_t)1);
	if (segment_read(&d->segments, g, p->state_off + RECORD_HEAD, data, r->parts_len) &&
	    record_sum(g->salt, data, r->parts_len) == r->meta_sum)
		return data;
	free(data);
	return NULL;
}

bool
part_load(struct disk *d, struct part *p, const struct loaded *from, struct part_text *text,
          uint8_t **data)
{
	struct msg   *m = part_msg(p);
	struct record r;

	*data = NULL;
	if (p->state_seq == 0) {
		if (find_part(from->parts, p->no, text))
			return true;
		msg_damage(d, m, "its part lines cannot be read");
		return false;
	}
	*data = read_state(d, p, msg_id(m), &r);
	if (*data != NULL && find_part((struct str){(const char *)*data, r.parts_len}, p->no, text))
		return true;
	free(*data);
	*data = NULL;
	msg_damage(d, m, "the record of its state cannot be read");
	return false;
}
