/* SPDX-License-Identifier: ISC */
/* filter - which messages a listing or an action means. */
#include <stdlib.h>
#include <string.h>

#include "lib/mail/address.h"
#include "lib/mail/envelope.h"
#include "lib/mail/ids.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"

enum { LOOKS = 32 }; /* between two looks at the clock */

enum store_status
part_status(const struct msg *m, const struct part *p)
{
	if ((m->flags & MSG_DAMAGED) != 0 && p->where != AT_DONE)
		return STATUS_DAMAGED;
	switch ((enum where)p->where) {
	case AT_LATER:
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
wants(const struct store_filter *f, const struct shelf *lane, const struct msg *m)
{
	if ((m->flags & (MSG_ARRIVING | MSG_ENDING)) != 0)
		return false;
	if (f->older_ms != 0 && (int64_t)m->accepted_s * 1000 >= f->older_ms)
		return false;
	if (f->lane.n == 0 && f->status == STATUS_ANY)
		return true;
	for (uint32_t i = 0; i < m->n_parts; i++)
		if (f->lane.n == 0 || m->parts[i].shelf == lane) {
			if (filter_part(f, m, &m->parts[i]))
				return true;
		}
	return false;
}

/* ---- messages that are named ---- */

static void
add_id(struct store_cursor *c, uint64_t id)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? 16 : c->cap * 2;
		c->ids = mem_resize(c->ids, c->cap, sizeof *c->ids);
	}
	c->ids[c->n++] = id;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

/* Ids that are given whole need no search. */
static bool
find_whole(const struct disk *d, const struct store_filter *f, struct store_cursor *c)
{
	uint64_t id;
	size_t   n = 0;

	for (size_t i = 0; i < f->n_ids; i++)
		if (f->ids[i].n < ID_TEXT)
			return false;
	for (size_t i = 0; i < f->n_ids; i++)
		if (id_parse(f->ids[i], &id) && index_find(&d->index, id) != NULL)
			add_id(c, id);
	if (c->n > 1)
		qsort(c->ids, c->n, sizeof *c->ids, compare_ids);
	for (size_t i = 0; i < c->n; i++)
		if (i == 0 || c->ids[i] != c->ids[n - 1])
			c->ids[n++] = c->ids[i];
	c->n = n;
	return true;
}

/* How people see an id says nothing about its place: all are compared, in turns. False: the time is up. */
static bool
search(const struct disk *d, const struct store_filter *f, struct store_cursor *c, int64_t until_us)
{
	struct msg *m;

	if (c->hits == NULL)
		c->hits = mem_array(f->n_ids, sizeof *c->hits);
	for (unsigned looks = 1; (m = index_next(&d->index, c->id)) != NULL; looks++) {
		c->id = m->id;
		for (size_t i = 0; i < f->n_ids; i++) {
			if ((m->flags & (MSG_ARRIVING | MSG_ENDING)) != 0 ||
			    !id_has_prefix(m->id, f->ids[i]))
				continue;
			add_id(c, m->id);
			c->ambiguous = ++c->hits[i] > 1;
			break;
		}
		if (c->ambiguous)
			return true;
		if (looks % LOOKS == 0 && time_mono_us() > until_us)
			return false;
	}
	return true;
}

static bool
find_named(const struct disk *d, const struct store_filter *f, struct store_cursor *c,
           int64_t until_us)
{
	if (!find_whole(d, f, c) && !search(d, f, c, until_us))
		return false;
	c->named = true;
	if (c->ambiguous)
		c->at = c->n;
	return true;
}

/* ---- a walk ---- */

/* The message to look at next; NULL: there is none. */
static struct msg *
step(const struct disk *d, const struct store_filter *f, struct store_cursor *c)
{
	struct msg *m = NULL;

	if (f->n_ids > 0) {
		while (m == NULL && c->at < c->n)
			m = index_find(&d->index, c->ids[c->at++]);
	} else if (f->n_exact > 0) {
		while (m == NULL && c->at < f->n_exact)
			m = index_find(&d->index, f->exact[c->at++]);
	} else if ((m = index_next(&d->index, c->id)) != NULL) {
		c->id = m->id;
	}
	return m;
}

struct msg *
filter_next(const struct disk *d, const struct store_filter *f, struct store_cursor *c,
            int64_t until_us)
{
	const struct shelf *lane = f->lane.n > 0 ? shelf_find(&d->shelves, f->lane) : NULL;
	struct msg         *m;

	if (!c->begun)
		c->total = d->index.msgs.n;
	c->begun = true;
	if (f->n_ids > 0 && !c->named && !find_named(d, f, c, until_us))
		return NULL;
	for (unsigned looks = 1; f->lane.n == 0 || lane != NULL; looks++) {
		if ((m = step(d, f, c)) == NULL)
			break;
		c->seen++;
		if (wants(f, lane, m)) {
			c->n += f->n_ids == 0;
			return m;
		}
		if (looks % LOOKS == 0 && time_mono_us() > until_us)
			return NULL;
	}
	c->end = true;
	return NULL;
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
