/* SPDX-License-Identifier: ISC */
/* store_act - what an administrator does to messages, in slices so that mail goes on flowing. */
#include <stdlib.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "queue/part.h"

struct act_later {
	struct later               later;
	const struct store_filter *f;
	enum store_action          action;
	struct store_cursor        cursor;
	uint64_t                   stuck; /* this message must be acted on first; 0: none */
	size_t                     n;
	size_t                     unwritten; /* changes on their way to the disk */
	bool                       walked;    /* every message has been looked at */
	enum store_result          result;
	store_act_fn              *fn;
	void                      *arg;
};

/* The answer comes once it is true on disk, so that the next command sees it. */
static void
answer(struct act_later *a)
{
	if (!a->walked || a->unwritten > 0)
		return;
	a->fn(a->arg, a->result, a->n);
	store_cursor_free(&a->cursor);
	free(a);
}

static void
written(void *arg, enum store_result result)
{
	struct act_later *a = arg;

	if (result != STORE_OK)
		a->result = result;
	a->unwritten--;
	answer(a);
}

static void
write_state(struct disk *d, struct part *p, const struct loaded *from, enum part_state state,
            struct act_later *a)
{
	struct part_text text;
	uint8_t         *data;

	if (!part_load(d, p, from, &text, &data))
		return;
	text.state = state;
	text.why = state == PART_HOLD ? STR("held by the administrator") : STR_NONE;
	text.due_ms = 0;
	part_unlist(d, p);
	a->unwritten++;
	settle_write(d, p, &text, written, a);
	part_free(&text);
	free(data);
}

static void
hold(struct disk *d, struct part *p, const struct loaded *from, struct act_later *a)
{
	if (p->where == AT_LEASED)
		p->flags |= PART_HOLD_NEXT;
	else if (p->where == AT_READY || p->where == AT_LATER)
		write_state(d, p, from, PART_HOLD, a);
}

/* Damage that has gone (a file put back) shows by loading; what is still bad is held again. */
static bool
heal(struct disk *d, struct msg *m)
{
	struct loaded from;

	if ((m->flags & MSG_DAMAGED) == 0)
		return true;
	m->flags &= ~(uint32_t)(MSG_DAMAGED | MSG_CHECKED);
	d->index.n_damaged--;
	if (!msg_load(d, m, true, &from))
		return false;
	loaded_free(&from);
	return true;
}

static void
act_part(struct disk *d, struct part *p, const struct loaded *from, struct act_later *a)
{
	switch (a->action) {
	case ACT_RETRY:
		if (p->where == AT_LATER) {
			part_unlist(d, p);
			part_wait(d, p, 0);
		}
		break;
	case ACT_HOLD:
		hold(d, p, from, a);
		break;
	case ACT_RELEASE:
		p->flags &= (uint8_t)~PART_HOLD_NEXT;
		if (p->where == AT_HELD)
			write_state(d, p, from, PART_WAIT, a);
		break;
	case ACT_COUNT:
	case ACT_DELETE:
		break;
	}
}

static bool
text_matches(struct disk *d, struct msg *m, const struct store_filter *f)
{
	struct loaded    from;
	struct store_row row = {0};
	bool             ok;

	if (!filter_wants_text(f))
		return true;
	if (!msg_load(d, m, false, &from))
		return false;
	row.envelope = from.envelope;
	ok = filter_matches(f, &row);
	loaded_free(&from);
	return ok;
}

static bool
act(struct disk *d, struct msg *m, struct act_later *a)
{
	struct loaded from = {0};
	bool          some = false;

	for (uint32_t i = 0; i < m->n_parts; i++)
		some = some || filter_part(a->f, m, &m->parts[i]);
	if (!some || !text_matches(d, m, a->f))
		return false;
	if (a->action == ACT_DELETE) {
		a->unwritten++;
		settle_end(d, m, written, a);
		disk_say_change(d, msg_id(m), "deleted", STR("by the administrator"));
		return true;
	}
	if (a->action == ACT_COUNT || (a->action == ACT_RELEASE && !heal(d, m)))
		return a->action == ACT_COUNT;
	if (a->action != ACT_RETRY && !msg_load(d, m, false, &from))
		return false;
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (filter_part(a->f, m, &m->parts[i]) || m->parts[i].where == AT_HELD)
			act_part(d, &m->parts[i], &from, a);
	loaded_free(&from);
	return true;
}

static bool
is_settling(const struct msg *m)
{
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (m->parts[i].where == AT_SETTLING)
			return true;
	return false;
}

static struct msg *
next(const struct disk *d, struct act_later *a, int64_t until)
{
	struct msg *m = a->stuck == 0 ? NULL : index_find(&d->index, a->stuck);

	a->stuck = 0;
	return m != NULL && (m->flags & MSG_ENDING) == 0
	               ? m
	               : filter_next(d, a->f, &a->cursor, until);
}

static void
run_act(struct disk *d, struct later *later)
{
	struct act_later *a = CONTAINER(later, struct act_later, later);
	int64_t           until = time_mono_us() + FILTER_TURN_US;
	struct msg       *m;

	while ((m = next(d, a, until)) != NULL) {
		if (a->action != ACT_COUNT && is_settling(m)) {
			/* What is being written cannot be changed on its way: go on when it is there. */
			a->stuck = m->id;
			log_flush(d);
			list_push(&d->settling, &a->later.link);
			return;
		}
		a->n += act(d, m, a) ? 1u : 0u;
		if (time_mono_us() > until)
			break;
	}
	disk_set_tick(d);
	if (!a->cursor.end) {
		disk_say(d, &a->later);
		return;
	}
	if (a->cursor.ambiguous)
		a->result = STORE_BAD;
	log_flush(d);
	a->walked = true;
	answer(a);
}

/* All that waits in one lane: no look at the messages at all. */
static bool
is_lane_retry(const struct store_filter *f, enum store_action action)
{
	return action == ACT_RETRY && f->lane.n > 0 && f->n_ids == 0 && f->n_exact == 0 &&
	       f->from.n == 0 && f->to.n == 0 && f->older_ms == 0 && f->status == STATUS_DEFERRED;
}

struct lane_later {
	struct later  later;
	size_t        n;
	store_act_fn *fn;
	void         *arg;
};

static void
say_lane(struct disk *d, struct later *later)
{
	struct lane_later *l = CONTAINER(later, struct lane_later, later);

	(void)d;
	l->fn(l->arg, STORE_OK, l->n);
	free(l);
}

void
disk_act(struct store *s, const struct store_filter *f, enum store_action action, store_act_fn *fn,
         void *arg)
{
	struct disk      *d = CONTAINER(s, struct disk, base);
	struct act_later *a;

	if (is_lane_retry(f, action)) {
		struct lane_later *l = mem_zero(sizeof *l);
		struct shelf      *sh = shelf_find(&d->shelves, f->lane);

		l->later.run = say_lane;
		l->n = sh == NULL ? 0 : sh->later.n;
		l->fn = fn;
		l->arg = arg;
		if (sh != NULL)
			shelf_release(&d->shelves, sh);
		disk_set_tick(d);
		disk_say(d, &l->later);
		return;
	}
	a = mem_zero(sizeof *a);
	a->later.run = run_act;
	a->f = f;
	a->action = action;
	a->fn = fn;
	a->arg = arg;
	disk_say(d, &a->later);
}
