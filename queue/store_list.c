/* SPDX-License-Identifier: ISC */
/* store_list - looking at messages: bodies and rows. */
#include <stdlib.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "queue/part.h"

static struct disk *
disk_of(struct store *s)
{
	return CONTAINER(s, struct disk, base);
}

/* ---- body ---- */

struct body_later {
	struct later   later;
	uint64_t       id, at;
	size_t         max;
	store_body_fn *fn;
	void          *arg;
};

static void
run_body(struct disk *d, struct later *later)
{
	struct body_later *b = CONTAINER(later, struct body_later, later);
	struct msg        *m = index_find(&d->index, b->id);
	struct loaded      from;
	struct store_chunk chunk = {.fd = -1};

	if (m == NULL || (m->flags & MSG_ARRIVING) != 0 || !msg_load(d, m, true, &from)) {
		b->fn(b->arg, NULL);
		free(b);
		return;
	}
	chunk.size = m->size;
	chunk.envelope = b->at == 0 ? from.envelope : STR_NONE;
	if ((m->flags & MSG_BIG) != 0)
		chunk.fd = big_open(d, b->id, m->size);
	else
		chunk.body = str_sub(from.body, b->at, b->max);
	b->fn(b->arg, (m->flags & MSG_BIG) != 0 && chunk.fd < 0 ? NULL : &chunk);
	loaded_free(&from);
	free(b);
}

void
disk_body(struct store *s, uint64_t id, uint64_t at, size_t max, store_body_fn *fn, void *arg)
{
	struct body_later *b = mem_zero(sizeof *b);

	b->later.run = run_body;
	b->id = id;
	b->at = at;
	b->max = max;
	b->fn = fn;
	b->arg = arg;
	disk_say(disk_of(s), &b->later);
}

/* ---- rows ---- */

struct row_room {
	struct loaded          from;
	struct store_row       row;
	struct store_row_part *parts;
	struct part_text      *texts;
	uint8_t              **data;
	uint32_t               n;
};

static void
add_part(struct disk *d, struct part *p, struct row_room *r)
{
	struct msg            *m = part_msg(p);
	struct store_row_part *to = &r->parts[r->n];
	struct part_text      *text = &r->texts[r->n];

	*to = (struct store_row_part){
		.part = p->no, .lane = shelf_name(p->shelf), .tries = p->tries};
	if (r->from.data != NULL && part_load(d, p, &r->from, text, &r->data[r->n])) {
		to->why = text->why;
		to->rcpts = text->rcpts;
		to->n_rcpts = text->n_rcpts;
	}
	to->status = part_status(m, p);
	if (to->status == STATUS_DEFERRED)
		to->due_ms = p->due.key;
	r->n++;
}

static void
row_free(struct row_room *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		part_free(&r->texts[i]);
		free(r->data[i]);
	}
	free(r->parts);
	free(r->texts);
	free(r->data);
	loaded_free(&r->from);
}

static void
row_make(struct disk *d, struct msg *m, struct row_room *r)
{
	*r = (struct row_room){0};
	r->parts = mem_array(m->n_parts, sizeof *r->parts);
	r->texts = mem_array(m->n_parts, sizeof *r->texts);
	r->data = mem_array(m->n_parts, sizeof(uint8_t *));
	(void)!msg_load(d, m, false, &r->from);
	for (uint32_t i = 0; i < m->n_parts; i++)
		add_part(d, &m->parts[i], r);
	r->row = (struct store_row){
		.id = msg_id(m),
		.accepted_ms = (int64_t)m->accepted_s * 1000,
		.size = m->size,
		.damaged = (m->flags & MSG_DAMAGED) != 0,
		.envelope = r->from.envelope,
		.parts = r->parts,
		.n_parts = r->n,
	};
}

struct list_later {
	struct later               later;
	const struct store_filter *f;
	struct store_cursor       *c;
	store_row_fn              *fn;
	void                      *arg;
};

static void
run_list(struct disk *d, struct later *later)
{
	struct list_later *l = CONTAINER(later, struct list_later, later);
	struct list_later  copy = *l;
	int64_t            until = time_mono_us() + FILTER_TURN_US;
	bool               more = true;
	struct msg        *m;

	free(l);
	while (more && (m = filter_next(d, copy.f, copy.c, until)) != NULL) {
		struct row_room r;

		row_make(d, m, &r);
		if (filter_matches(copy.f, &r.row))
			more = copy.fn(copy.arg, &r.row);
		row_free(&r);
		more = more && time_mono_us() <= until;
	}
	(void)copy.fn(copy.arg, NULL);
}

void
disk_list(struct store *s, const struct store_filter *f, struct store_cursor *c, store_row_fn *fn,
          void *arg)
{
	struct list_later *l = mem_zero(sizeof *l);

	l->later.run = run_list;
	l->f = f;
	l->c = c;
	l->fn = fn;
	l->arg = arg;
	disk_say(disk_of(s), &l->later);
}
