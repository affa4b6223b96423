/* SPDX-License-Identifier: ISC */
/* store_lease - giving parts out for delivery, and taking the outcome. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "queue/part.h"

enum { STATE_MAX = 8 * 1024 * 1024 };

static struct disk *
disk_of(struct store *s)
{
	return CONTAINER(s, struct disk, base);
}

/* ---- claims ---- */

uint64_t
lease_take(struct disk *d, struct part *p, int64_t lease_ms)
{
	struct claim *c = mem_zero(sizeof *c);

	c->part = p;
	c->token = d->next_token++;
	p->claim = c;
	p->where = AT_LEASED;
	d->index.n_leased++;
	heap_put(&d->claims, &c->until, time_mono_ms() + lease_ms);
	return c->token;
}

void
lease_end(struct disk *d, struct part *p)
{
	heap_remove(&d->claims, &p->claim->until);
	free(p->claim);
	p->claim = NULL;
	p->where = AT_NONE;
	d->index.n_leased--;
}

void
lease_expire(struct disk *d)
{
	struct heap_node *first;
	int64_t           now = time_mono_ms();

	while ((first = heap_min(&d->claims)) != NULL && first->key <= now) {
		struct part *p = CONTAINER(first, struct claim, until)->part;

		lease_end(d, p);
		part_wait(d, p, 0);
	}
}

static struct part *
leased_part(struct disk *d, uint64_t id, uint32_t no, uint64_t token)
{
	struct msg *m = index_find(&d->index, id);

	if (m == NULL || no >= m->n_parts || m->parts[no].where != AT_LEASED ||
	    m->parts[no].claim->token != token)
		return NULL;
	return &m->parts[no];
}

void
disk_renew(struct store *s, uint64_t id, uint32_t part, uint64_t token, int64_t lease_ms)
{
	struct disk *d = disk_of(s);
	struct part *p = leased_part(d, id, part, token);

	if (p != NULL)
		heap_put(&d->claims, &p->claim->until, time_mono_ms() + lease_ms);
}

/* ---- leasing ---- */

struct lease_later {
	struct later      later;
	struct store_wish wish;
	store_lease_fn   *fn;
	void             *arg;
	char              lane[];
};

/* The recipients that still wait, moved to the front of the text's table. */
static void
only_waiting(struct part_text *text)
{
	size_t n = 0;

	for (size_t i = 0; i < text->n_rcpts; i++)
		if (text->rcpts[i].state == RCPT_WAIT)
			text->rcpts[n++] = text->rcpts[i];
	text->n_rcpts = n;
}

/* False: it is damaged or its large body must be read first, and has left its shelf. Who was given it may have settled it in the call. */
static bool
give(struct disk *d, struct part *p, const struct lease_later *l)
{
	struct msg        *m = part_msg(p);
	struct loaded      from;
	struct part_text   text;
	uint8_t           *data;
	struct store_lease lease;
	int                fd = -1;
	bool               given = false;

	if (!msg_load(d, m, l->wish.body, &from))
		return false;
	if (!part_load(d, p, &from, &text, &data)) {
		loaded_free(&from);
		return false;
	}
	if (l->wish.body && (m->flags & MSG_BIG) != 0 &&
	    (fd = big_open(d, msg_id(m), m->size)) < 0) {
		msg_damage(d, m, "the file of its body is gone or has another size");
	} else if (fd >= 0 && (m->flags & MSG_CHECKED) == 0 && from.r.body_sum != 0) {
		shelf_remove(&d->shelves, p);
		big_check(d, p, from.r.body_sum, fd);
	} else {
		only_waiting(&text);
		shelf_remove(&d->shelves, p);
		lease = (struct store_lease){
			.id = msg_id(m),
			.part = p->no,
			.n_parts = m->n_parts,
			.token = lease_take(d, p, l->wish.lease_ms),
			.tries = p->tries,
			.noticed = (p->flags & PART_NOTICED) != 0,
			.lane = text.lane,
			.envelope = from.envelope,
			.rcpts = text.rcpts,
			.n_rcpts = text.n_rcpts,
			.accepted_ms = (int64_t)m->accepted_s * 1000,
			.size = m->size,
			.body = from.body,
			.fd = fd,
		};
		l->fn(l->arg, &lease);
		given = true;
	}
	part_free(&text);
	free(data);
	loaded_free(&from);
	return given;
}

/* Old parts out of turn, whether they are due or not, pointed at by id: giving one away may end others. */
static void
give_old(struct disk *d, struct shelf *sh, const struct lease_later *l)
{
	struct order_item after = {0};
	uint32_t          before_s = (uint32_t)((l->wish.accepted_before_ms + 999) / 1000);
	struct part      *p;
	unsigned          n = 0;
	struct {
		uint64_t id;
		uint32_t no;
	} *found = mem_array(l->wish.max, sizeof *found);

	while (n < l->wish.max &&
	       (p = shelf_oldest(&d->shelves, sh, before_s, !l->wish.skip_noticed, &after)) != NULL) {
		found[n].id = msg_id(part_msg(p));
		found[n++].no = p->no;
	}
	for (unsigned i = 0; i < n; i++) {
		struct msg *m = index_find(&d->index, found[i].id);
		enum where  where = AT_NONE;

		if (m != NULL)
			where = (enum where)m->parts[found[i].no].where;
		if (where == AT_READY || where == AT_LATER)
			(void)give(d, &m->parts[found[i].no], l);
	}
	free(found);
}

static void
run_lease(struct disk *d, struct later *later)
{
	struct lease_later *l = CONTAINER(later, struct lease_later, later);
	struct shelf       *sh = shelf_find(&d->shelves, l->wish.lane);
	struct part        *p;
	unsigned            n = 0;

	if (sh != NULL && l->wish.accepted_before_ms != 0) {
		give_old(d, sh, l);
	} else if (sh != NULL) {
		/* Damaged ones leave the shelf; one that is given back stands there again, and counts. */
		while (n < l->wish.max && (p = shelf_front(&d->shelves, sh, time_wall_ms())) != NULL)
			n += give(d, p, l) ? 1u : 0u;
		if (n < l->wish.max)
			shelf_untold(&d->shelves, sh);
	}
	l->fn(l->arg, NULL);
	free(l);
	disk_set_tick(d);
}

void
disk_lease(struct store *s, const struct store_wish *w, store_lease_fn *fn, void *arg)
{
	struct disk        *d = disk_of(s);
	struct lease_later *l = mem_zero(sizeof *l + w->lane.n);

	memcpy(l->lane, w->lane.p, w->lane.n);
	l->later.run = run_lease;
	l->wish = *w;
	l->wish.lane = (struct str){l->lane, w->lane.n};
	l->fn = fn;
	l->arg = arg;
	disk_say(d, &l->later);
}

/* ---- settling ---- */

static void
tell(const struct disk *d, const struct block *b)
{
	if (b->fn != NULL && d->closed == NULL)
		b->fn(b->arg, STORE_OK);
}

static void
note_state(struct disk *d, const struct block *b, const struct part *p)
{
	struct found_part fp = {
		.lane = shelf_name(p->shelf),
		.n_rcpts = p->n_rcpts,
		.due_ms = b->due_ms,
		.tries = p->tries,
		.state = (uint8_t)b->state,
		.noticed = (p->flags & PART_NOTICED) != 0,
	};
	struct found f = {
		.type = RECORD_STATE,
		.id = b->r.id,
		.off = b->off,
		.part = p->no,
		.parts = &fp,
		.n_parts = 1,
	};

	hint_add(&d->log.hint, &f);
}

static bool
state_written(struct disk *d, struct block *b, int error)
{
	struct msg  *m = index_find(&d->index, b->r.id);
	struct part *p;

	(void)error; /* states are never refused, only written later */
	if (m != NULL && m->parts[b->part].where == AT_SETTLING && (m->flags & MSG_ENDING) == 0) {
		p = &m->parts[b->part];
		p->where = AT_NONE;
		p->state_seq = b->r.seq;
		p->state_off = b->off;
		note_state(d, b, p);
		if (b->state == PART_DONE)
			p->where = AT_DONE;
		else if (b->state == PART_HOLD || (m->flags & MSG_DAMAGED) != 0)
			part_hold(d, p);
		else
			part_wait(d, p, b->due_ms);
	}
	disk_settled(d);
	tell(d, b);
	return false;
}

void
settle_write(struct disk *d, struct part *p, const struct part_text *text, store_done_fn *fn,
             void *arg)
{
	struct buf    lines = BUF(STATE_MAX);
	struct msg   *m = part_msg(p);
	struct block *b;
	uint32_t      waiting = text->state == PART_DONE ? 0 : (uint32_t)part_waiting(text);

	part_format(&lines, text);
	b = block_create(RECORD_STATE, msg_id(m), 0, lines.n, 0);
	memcpy(b->data + RECORD_HEAD, lines.p, lines.n);
	buf_free(&lines);
	b->part = p->no;
	b->due_ms = text->due_ms;
	b->state = text->state;
	b->fn = fn;
	b->arg = arg;
	b->done = state_written;
	d->index.n_rcpts -= p->n_rcpts - waiting;
	p->n_rcpts = waiting;
	p->tries = (uint16_t)(text->tries > UINT16_MAX ? UINT16_MAX : text->tries);
	p->flags = (uint8_t)(text->noticed ? p->flags | PART_NOTICED : p->flags & ~PART_NOTICED);
	p->where = AT_SETTLING;
	log_add(d, b);
}

static bool
end_written(struct disk *d, struct block *b, int error)
{
	struct msg  *m = index_find(&d->index, b->r.id);
	struct found f = {.type = RECORD_DONE, .id = b->r.id, .off = b->off};
	bool         big;

	(void)error;
	if (m != NULL && (m->flags & MSG_ENDING) != 0) {
		f.origin = (m->flags & MSG_MOVED) != 0 ? 0 : m->seq;
		big = (m->flags & MSG_BIG) != 0;
		msg_forget(d, m);
		if (big)
			big_drop(d, b->r.id, true);
	}
	hint_add(&d->log.hint, &f);
	disk_settled(d);
	tell(d, b);
	return false;
}

void
settle_end(struct disk *d, struct msg *m, store_done_fn *fn, void *arg)
{
	struct block *b = block_create(RECORD_DONE, msg_id(m), 0, 0, 0);

	m->flags |= MSG_ENDING;
	for (uint32_t i = 0; i < m->n_parts; i++) {
		if (m->parts[i].where == AT_DONE)
			continue;
		part_unlist(d, &m->parts[i]);
		m->parts[i].where = AT_SETTLING;
	}
	b->fn = fn;
	b->arg = arg;
	b->done = end_written;
	log_add(d, b);
}

/* The body in memory goes when every part has had its first attempt. */
static void
mark_tried(struct disk *d, struct part *p)
{
	struct msg *m = part_msg(p);

	p->flags |= PART_TRIED;
	if (m->warm == NULL)
		return;
	for (uint32_t i = 0; i < m->n_parts; i++)
		if ((m->parts[i].flags & PART_TRIED) == 0)
			return;
	block_unref_warm(d, m);
}

static void
set_text(struct part_text *text, const struct part *p, const struct store_outcome *o)
{
	part_apply(text, o->rcpts, o->n_rcpts);
	text->tries = p->tries;
	text->noticed = (p->flags & PART_NOTICED) != 0 || o->noticed || o->verdict == STORE_NOTICED;
	text->due_ms = o->due_ms;
	text->why = o->why;
	text->state = PART_WAIT;
	if (o->verdict == STORE_DONE)
		text->state = PART_DONE;
	else if (o->verdict == STORE_HOLD)
		text->state = PART_HOLD;
	if (o->verdict == STORE_DEFER || o->verdict == STORE_HOLD)
		text->tries++;
	if ((p->flags & PART_HOLD_NEXT) != 0 && text->state == PART_WAIT) {
		text->state = PART_HOLD;
		text->why = STR("held by the administrator");
	}
}

static void
settle_text(struct disk *d, struct part *p, const struct store_outcome *o, store_done_fn *fn,
            void *arg)
{
	struct loaded    from;
	struct part_text text;
	uint8_t         *data;

	/* Off the lists before it may turn out damaged: then it is held. */
	if (!msg_load(d, part_msg(p), false, &from)) {
		disk_say_result(d, fn, arg, STORE_BAD);
		return;
	}
	if (part_load(d, p, &from, &text, &data)) {
		set_text(&text, p, o);
		p->flags &= (uint8_t)~PART_HOLD_NEXT;
		if (text.state == PART_DONE)
			part_msg(p)->n_left--;
		settle_write(d, p, &text, fn, arg);
		part_free(&text);
		free(data);
	} else {
		disk_say_result(d, fn, arg, STORE_BAD);
	}
	loaded_free(&from);
}

void
disk_settle(struct store *s, const struct store_lease *l, const struct store_outcome *o,
            store_done_fn *fn, void *arg)
{
	struct disk *d = disk_of(s);
	struct part *p = leased_part(d, l->id, l->part, l->token);
	struct msg  *m;

	if (p == NULL) {
		disk_say_result(d, fn, arg, STORE_STALE);
		return;
	}
	m = part_msg(p);
	lease_end(d, p);
	if (o->verdict == STORE_RELEASE && (p->flags & PART_HOLD_NEXT) == 0) {
		part_wait(d, p, o->due_ms);
		disk_say_result(d, fn, arg, STORE_OK);
		return;
	}
	if (o->verdict != STORE_RELEASE && o->verdict != STORE_NOTICED)
		mark_tried(d, p);
	if (o->verdict == STORE_DONE && m->n_left == 1)
		settle_end(d, m, fn, arg);
	else
		settle_text(d, p, o, fn, arg);
}
