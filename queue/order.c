/* SPDX-License-Identifier: ISC */
#include "queue/order.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { RUN_FIRST = 4, RUN_MAX = 256 };

void
order_free(struct order *o)
{
	for (size_t i = 0; i < o->n_runs; i++)
		free(o->runs[i].items);
	free(o->runs);
	*o = (struct order){0};
}

static bool
is_before(const struct order_item *item, uint64_t key, uintptr_t value)
{
	return item->key != key ? item->key < key : (uintptr_t)item->value < value;
}

/* The last run that begins before the pair, or the first of all. What is new or busy is at the end. */
static size_t
find_run(const struct order *o, uint64_t key, uintptr_t value)
{
	size_t low = 0, high = o->n_runs;

	if (high > 1 && o->runs[high - 1].first < key)
		return high - 1;
	while (low + 1 < high) {
		size_t                  mid = low + (high - low) / 2;
		const struct order_run *r = &o->runs[mid];

		if (r->first < key || (r->first == key && is_before(r->items, key, value)))
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* How many items of the run stand before the pair. */
static uint32_t
find_place(const struct order_run *r, uint64_t key, uintptr_t value)
{
	uint32_t low = 0, high = r->n;

	if (high > 0 && is_before(&r->items[high - 1], key, value))
		return high;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (is_before(&r->items[mid], key, value))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct order_run *
add_run(struct order *o, size_t at)
{
	if (o->n_runs == o->cap) {
		o->cap = o->cap == 0 ? 1 : o->cap * 2;
		o->runs = mem_resize(o->runs, o->cap, sizeof *o->runs);
	}
	memmove(&o->runs[at + 1], &o->runs[at], (o->n_runs - at) * sizeof *o->runs);
	o->n_runs++;
	o->runs[at] = (struct order_run){0};
	return &o->runs[at];
}

static void
drop_run(struct order *o, size_t at)
{
	free(o->runs[at].items);
	o->n_runs--;
	memmove(&o->runs[at], &o->runs[at + 1], (o->n_runs - at) * sizeof *o->runs);
}

static void
reserve(struct order_run *r, uint32_t n)
{
	while (r->cap < n)
		r->cap = r->cap == 0 ? RUN_FIRST : r->cap * 4;
	r->items = mem_resize(r->items, r->cap, sizeof *r->items);
}

/*
 * A full one gives away what stands behind the new item, but at most half: so numbers that rise leave full
 * runs behind them, whatever stands at the end.
 */
static size_t
split(struct order *o, size_t at, uint32_t *place)
{
	struct order_run *r, *next = add_run(o, at + 1);
	uint32_t          keep = *place > RUN_MAX / 2 ? *place : RUN_MAX / 2;

	r = &o->runs[at];
	reserve(next, RUN_MAX - keep + 1);
	if (keep < RUN_MAX) {
		next->n = RUN_MAX - keep;
		memcpy(next->items, &r->items[keep], next->n * sizeof *r->items);
		next->first = next->items[0].key;
		r->n = keep;
		return at;
	}
	*place = 0;
	return at + 1;
}

void
order_put(struct order *o, uint64_t key, void *value)
{
	struct order_run *r;
	size_t            at = 0;
	uint32_t          place = 0;

	if (o->n_runs == 0) {
		(void)add_run(o, 0);
	} else {
		at = find_run(o, key, (uintptr_t)value);
		place = find_place(&o->runs[at], key, (uintptr_t)value);
		if (o->runs[at].n == RUN_MAX)
			at = split(o, at, &place);
	}
	r = &o->runs[at];
	if (r->n == r->cap)
		reserve(r, r->n + 1);
	memmove(&r->items[place + 1], &r->items[place], (r->n - place) * sizeof *r->items);
	r->items[place] = (struct order_item){key, value};
	r->first = r->items[0].key;
	r->n++;
	o->n++;
}

/* Two neighbours that have become small are one again: what stays behind of a million does not keep its room. */
static void
merge(struct order *o, size_t at)
{
	struct order_run *r, *next;

	if (at + 1 >= o->n_runs)
		return;
	r = &o->runs[at];
	next = r + 1;
	if (r->n + next->n > RUN_MAX / 2)
		return;
	reserve(r, r->n + next->n);
	memcpy(&r->items[r->n], next->items, next->n * sizeof *r->items);
	r->n += next->n;
	drop_run(o, at + 1);
}

bool
order_remove(struct order *o, uint64_t key, const void *value)
{
	struct order_run *r;
	size_t            at;
	uint32_t          place;

	if (o->n == 0)
		return false;
	at = find_run(o, key, (uintptr_t)value);
	if (find_place(&o->runs[at], key, (uintptr_t)value) == o->runs[at].n && at + 1 < o->n_runs)
		at++;
	r = &o->runs[at];
	place = find_place(r, key, (uintptr_t)value);
	if (place == r->n || r->items[place].key != key || r->items[place].value != value)
		return false;
	r->n--;
	o->n--;
	memmove(&r->items[place], &r->items[place + 1], (r->n - place) * sizeof *r->items);
	if (r->n == 0) {
		drop_run(o, at);
		return true;
	}
	r->first = r->items[0].key;
	if (r->n < RUN_MAX / 4) {
		merge(o, at);
		if (at > 0)
			merge(o, at - 1);
	}
	return true;
}

static const struct order_item *
at_or_after(const struct order *o, uint64_t key, uintptr_t value)
{
	size_t   at;
	uint32_t place;

	if (o->n == 0)
		return NULL;
	at = find_run(o, key, value);
	place = find_place(&o->runs[at], key, value);
	if (place < o->runs[at].n)
		return &o->runs[at].items[place];
	return at + 1 < o->n_runs ? &o->runs[at + 1].items[0] : NULL;
}

const struct order_item *
order_from(const struct order *o, uint64_t key)
{
	return at_or_after(o, key, 0);
}

void
order_each(const struct order *o, void (*fn)(void *arg, void *value), void *arg)
{
	for (size_t i = 0; i < o->n_runs; i++)
		for (uint32_t k = 0; k < o->runs[i].n; k++)
			fn(arg, o->runs[i].items[k].value);
}

const struct order_item *
order_next(const struct order *o, const struct order_item *item)
{
	return at_or_after(o, item->key, (uintptr_t)item->value + 1);
}

void *
order_find(const struct order *o, uint64_t key)
{
	const struct order_item *item = order_from(o, key);

	return item != NULL && item->key == key ? item->value : NULL;
}
