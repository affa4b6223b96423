/* SPDX-License-Identifier: ISC */
/* filter - which messages a listing or an action means. */
#include <stdlib.h>

#include "lib/mail/address.h"
#include "lib/mail/envelope.h"
#include "lib/mail/ids.h"
#include "lib/util/mem.h"
#include "queue/disk.h"

struct search {
	struct disk               *d;
	const struct store_filter *f;
	struct shelf              *shelf;
	unsigned                  *hits; /* of each prefix */
};

enum store_status
part_status(const struct msg *m, const struct part *p)
{
	if ((m->flags & MSG_DAMAGED) != 0 && p->where != AT_DONE)
		return STATUS_DAMAGED;
	switch ((enum where)p->where) {
	case AT_LATER:
	case AT_RELEASED:
		return STATUS_DEFERRED;
	case AT_LEASED:
		return STATUS_ACTIVE;
	case AT_HELD:
		return STATUS_HELD;
	case AT_DONE:
		return STATUS_DONE;
	case AT_NONE:
	case AT_READY:
	case AT_SETTLING:
		break;
	}
	return STATUS_READY;
}

bool
filter_part(const struct store_filter *f, const struct msg *m, const struct part *p)
{
	enum store_status status = part_status(m, p);

	if (f->lane.n > 0 && !str_eq(shelf_name(p->shelf), f->lane))
		return false;
	/* Damaged mail is on hold, and is shown as such too. */
	return f->status == STATUS_ANY || f->status == status ||
	       (f->status == STATUS_HELD && status == STATUS_DAMAGED);
}

static bool
named(struct search *s, uint64_t id)
{
	for (size_t i = 0; i < s->f->n_exact; i++)
		if (s->f->exact[i] == id)
			return true;
	for (size_t i = 0; i < s->f->n_ids; i++) {
		if (!id_has_prefix(id, s->f->ids[i]))
			continue;
		s->hits[i]++;
		return true;
	}
	return false;
}

static bool
wants(void *arg, const struct msg *m)
{
	struct search *s = arg;

	if ((m->flags & (MSG_ARRIVING | MSG_ENDING)) != 0)
		return false;
	if (s->f->older_ms != 0 && (int64_t)m->accepted_s * 1000 >= s->f->older_ms)
		return false;
	if ((s->f->n_ids > 0 || s->f->n_exact > 0) && !named(s, msg_id(m)))
		return false;
	if (s->f->lane.n == 0 && s->f->status == STATUS_ANY)
		return true;
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (filter_part(s->f, m, &m->parts[i]))
			return true;
	return false;
}

/* Whole ids need no search through all messages. */
static bool
find_exact(struct disk *d, const struct store_filter *f, struct store_cursor *c)
{
	struct search s = {.d = d, .f = f};

	if (f->n_ids > 0 || f->n_exact == 0)
		return false;
	c->ids = mem_array(f->n_exact, sizeof *c->ids);
	for (size_t i = 0; i < f->n_exact; i++) {
		const struct msg *m = index_find(&d->index, f->exact[i]);

		if (m != NULL && wants(&s, m))
			c->ids[c->n++] = f->exact[i];
	}
	return true;
}

bool
filter_begin(struct disk *d, const struct store_filter *f, struct store_cursor *c)
{
	struct search s = {.d = d, .f = f};

	c->begun = true;
	if (find_exact(d, f, c))
		return true;
	s.hits = mem_array(f->n_ids + 1, sizeof *s.hits);
	c->ids = index_collect(&d->index, wants, &s, &c->n);
	for (size_t i = 0; i < f->n_ids; i++)
		if (s.hits[i] > 1)
			c->ambiguous = true;
	free(s.hits);
	return !c->ambiguous;
}

bool
filter_wants_text(const struct store_filter *f)
{
	return f->from.n > 0 || f->to.n > 0;
}

static bool
matches(struct str address, struct str pattern)
{
	struct address a;

	if (address.n == 0)
		return str_eq(pattern, STR("<>"));
	return address_parse(address, &a) == ADDRESS_OK && address_matches(a, pattern);
}

bool
filter_matches(const struct store_filter *f, const struct store_row *row)
{
	struct envelope e;
	bool            ok;

	if (!filter_wants_text(f))
		return true;
	if (!envelope_parse(&e, row->envelope))
		return false;
	ok = f->from.n == 0 || matches(e.from, f->from);
	if (ok && f->to.n > 0) {
		ok = false;
		for (size_t i = 0; i < e.n_rcpts && !ok; i++)
			ok = matches(e.rcpts[i].to, f->to);
	}
	envelope_free(&e);
	return ok;
}
