/* SPDX-License-Identifier: ISC */
#include "smtpd/limits.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/proc/shared.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

enum {
	OWN_BUCKETS = 256,
	SLOTS = 6,
	SLOT_MS = 10 * 60 * 1000, /* an hour in six steps */
	TELL_S = 60,
	TRIES = 8, /* for a cell that others change all the time: then one count is lost */
	KEY_MAX = 1 + 255,
	NET6_OCTETS = 8,
	CELLS_OCTETS = LIMITS_COLUMNS_MAX * sizeof(uint32_t),
	/* Tags that are no key: nobody's row, and from 1 on the one that this column is changing. */
	TAG_EMPTY = 0,
	TAG_CHANGING = 1,
	TAG_FIRST = TAG_CHANGING + LIMITS_COLUMNS_MAX,
};

struct limits_row {
	_Atomic uint64_t tag;
	_Atomic uint64_t failed;      /* when last, in ms, and how often in the lowest 16 bits */
	_Atomic uint64_t sent[SLOTS]; /* which SLOT_MS, and how many in the lower half */
	_Atomic uint32_t seen_s, told_s;
	_Atomic uint16_t connections[]; /* of each process */
};

static_assert(ATOMIC_LLONG_LOCK_FREE == 2,
              "a cell must not hide a lock that a dead process could hold");

static struct limits_row *
row_at(const struct limits *ls, size_t i)
{
	return (struct limits_row *)(void *)(ls->rows + i * ls->stride);
}

static size_t
stride_of(unsigned columns)
{
	size_t n = sizeof(struct limits_row) + columns * sizeof(uint16_t);

	return (n + 7) / 8 * 8;
}

void
limits_init(struct limits *ls)
{
	*ls = (struct limits){.stride = stride_of(1),
	                      .buckets = OWN_BUCKETS,
	                      .columns = 1,
	                      .secret = random_u64()};
	ls->map = ls->rows = mem_array(ls->buckets * LIMITS_WAYS, ls->stride);
}

void
limits_free(struct limits *ls)
{
	if (ls->mapped > 0)
		(void)munmap(ls->map, ls->mapped);
	else
		free(ls->map);
	ls->map = ls->rows = NULL;
}

/* A piece of the table that has been used; the rest costs nothing as long as not even a row's end in it is touched. */
struct piece {
	size_t at, n;
};

static bool
piece_has(struct piece p, size_t at)
{
	return at >= p.at && at < p.at + p.n;
}

static void
empty_row(struct limits *ls, size_t i, struct piece p)
{
	struct limits_row *row = row_at(ls, i);
	size_t             at = CELLS_OCTETS + i * ls->stride;

	if (piece_has(p, at + offsetof(struct limits_row, connections) +
	                         ls->column * sizeof row->connections[0]))
		atomic_store(&row->connections[ls->column], 0);
	if (piece_has(p, at) && atomic_load(&row->tag) == TAG_CHANGING + ls->column)
		atomic_store(&row->tag, TAG_EMPTY);
}

/* What our predecessor has left behind. */
static void
empty_column(struct limits *ls, int fd)
{
	size_t       n_rows = ls->buckets * LIMITS_WAYS;
	struct piece p = {0};

	while ((p.n = shared_next(fd, &p.at, ls->mapped)) > 0) {
		size_t first = p.at > 0 ? (p.at - CELLS_OCTETS) / ls->stride : 0;
		size_t last = (p.at + p.n - CELLS_OCTETS) / ls->stride; /* at least a page */

		for (size_t i = first; i <= last && i < n_rows; i++)
			empty_row(ls, i, p);
		p.at += p.n;
	}
}

bool
limits_share(struct limits *ls, int fd, unsigned column, unsigned columns, uint64_t secret)
{
	struct limits next = {.column = column, .columns = columns, .secret = secret, .buckets = 1};
	size_t        fit;

	if (columns > LIMITS_COLUMNS_MAX || column >= columns) {
		errno = EINVAL;
		return false;
	}
	next.stride = stride_of(columns);
	next.map = shared_map(fd, &next.mapped);
	if (next.map == NULL)
		return false;
	next.rows = next.map + CELLS_OCTETS;
	fit = next.mapped > CELLS_OCTETS
	              ? (next.mapped - CELLS_OCTETS) / (next.stride * LIMITS_WAYS)
	              : 0;
	if (fit == 0) {
		limits_free(&next);
		errno = EINVAL;
		return false;
	}
	while (next.buckets * 2 <= fit)
		next.buckets *= 2;
	empty_column(&next, fd);
	limits_free(ls);
	*ls = next;
	return true;
}

_Atomic uint32_t *
limits_cells(const struct limits *ls)
{
	return ls->mapped > 0 ? (_Atomic uint32_t *)(void *)ls->map : NULL;
}

static bool
is_unused(const struct limits *ls, struct limits_row *row)
{
	for (unsigned i = 0; i < ls->columns; i++)
		if (atomic_load(&row->connections[i]) != 0)
			return false;
	return true;
}

/* The row of the bucket that is worth least; NULL: somebody is connected in each. */
static struct limits_row *
find_oldest(const struct limits *ls, size_t first)
{
	struct limits_row *oldest = NULL;

	for (size_t i = first; i < first + LIMITS_WAYS; i++) {
		struct limits_row *row = row_at(ls, i);
		uint64_t           tag = atomic_load(&row->tag);

		if (tag == TAG_EMPTY)
			return row;
		if (tag >= TAG_FIRST && is_unused(ls, row) &&
		    (oldest == NULL || atomic_load(&row->seen_s) < atomic_load(&oldest->seen_s)))
			oldest = row;
	}
	return oldest;
}

/*
 * Who enters writes his column and then looks whether the tag is still his; who takes a row over changes
 * the tag and then looks whether a column has been written. So at least one of the two sees the other.
 * Two who meet the same client for the first time in the same instant may make two rows of him: the second
 * holds one connection that is not counted, and nobody finds it again.
 */
static bool
take_over(const struct limits *ls, struct limits_row *row, uint64_t tag)
{
	uint64_t old = atomic_load(&row->tag);

	if ((old != TAG_EMPTY && old < TAG_FIRST) ||
	    !atomic_compare_exchange_strong(&row->tag, &old, TAG_CHANGING + ls->column))
		return false;
	if (!is_unused(ls, row)) {
		atomic_store(&row->tag, old);
		return false;
	}
	atomic_store(&row->failed, 0);
	for (size_t i = 0; i < SLOTS; i++)
		atomic_store(&row->sent[i], 0);
	atomic_store(&row->told_s, 0);
	atomic_store(&row->tag, tag);
	return true;
}

static struct limits_row *
find(const struct limits *ls, size_t first, uint64_t tag)
{
	for (size_t i = first; i < first + LIMITS_WAYS; i++)
		if (atomic_load(&row_at(ls, i)->tag) == tag)
			return row_at(ls, i);
	return NULL;
}

static struct limit
find_or_make(const struct limits *ls, struct str key, int64_t now_ms)
{
	struct limit       l = {.tag = hash_keyed(key, ls->secret)};
	size_t             first;
	struct limits_row *row;

	if (l.tag < TAG_FIRST)
		l.tag += TAG_FIRST;
	first = (l.tag & (ls->buckets - 1)) * LIMITS_WAYS;
	row = find(ls, first, l.tag);
	for (unsigned i = 0; row == NULL && i < TRIES; i++) {
		struct limits_row *oldest = find_oldest(ls, first);

		if (oldest == NULL)
			return l;
		if (take_over(ls, oldest, l.tag))
			row = oldest;
	}
	l.row = row;
	if (row != NULL)
		atomic_store_explicit(&row->seen_s, (uint32_t)(now_ms / 1000),
		                      memory_order_relaxed);
	return l;
}

struct limit
limits_client(struct limits *ls, struct addr a, int64_t now_ms)
{
	char   key[1 + NET6_OCTETS];
	size_t n;

	addr_unmap(&a);
	n = a.family == 4 ? 4 : NET6_OCTETS;
	key[0] = (char)a.family;
	memcpy(key + 1, a.ip, n);
	return find_or_make(ls, (struct str){key, 1 + n}, now_ms);
}

struct limit
limits_login(struct limits *ls, struct str name, int64_t now_ms)
{
	char key[KEY_MAX] = {'L'};

	name = str_sub(name, 0, sizeof key - 1);
	if (name.n > 0)
		memcpy(key + 1, name.p, name.n);
	return find_or_make(ls, (struct str){key, 1 + name.n}, now_ms);
}

unsigned
limit_connections(const struct limits *ls, struct limit l)
{
	unsigned n = 0;

	for (unsigned i = 0; l.row != NULL && i < ls->columns; i++)
		n += atomic_load(&l.row->connections[i]);
	return n;
}

bool
limit_enter(const struct limits *ls, struct limit l, unsigned most)
{
	uint16_t n;

	if (l.row == NULL || (n = atomic_load(&l.row->connections[ls->column])) == UINT16_MAX)
		return false;
	atomic_store(&l.row->connections[ls->column], (uint16_t)(n + 1));
	if (atomic_load(&l.row->tag) == l.tag && (most == 0 || limit_connections(ls, l) <= most))
		return true;
	atomic_store(&l.row->connections[ls->column], n);
	return false;
}

/* Nobody but us writes there; should somebody, then it ends at nothing all the same. */
void
limit_leave(const struct limits *ls, struct limit l)
{
	uint16_t n;

	if (l.row == NULL)
		return;
	n = atomic_load(&l.row->connections[ls->column]);
	if (n > 0)
		atomic_store(&l.row->connections[ls->column], (uint16_t)(n - 1));
}

static unsigned
failures_in(uint64_t cell, int64_t now_ms)
{
	int64_t age_ms = now_ms - (int64_t)(cell >> 16);

	return age_ms < LIMITS_MEMORY_MS ? (unsigned)(cell & UINT16_MAX) : 0;
}

unsigned
limit_failures(struct limit l, int64_t now_ms)
{
	return l.row == NULL ? LIMITS_NO_ROOM : failures_in(atomic_load(&l.row->failed), now_ms);
}

unsigned
limit_fail(struct limit l, int64_t now_ms)
{
	uint64_t old, next;
	unsigned n = LIMITS_NO_ROOM;

	if (l.row == NULL)
		return n;
	old = atomic_load(&l.row->failed);
	for (unsigned i = 0; i < TRIES; i++) {
		n = failures_in(old, now_ms);
		n += n < UINT16_MAX;
		next = (uint64_t)now_ms << 16 | n;
		if (atomic_compare_exchange_weak(&l.row->failed, &old, next))
			break;
	}
	return n;
}

/* A cell of another hour, or of a time that has not come, counts nothing. */
static unsigned
sum(struct limits_row *row, uint32_t slot)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		uint64_t cell = atomic_load_explicit(&row->sent[i], memory_order_relaxed);

		if (slot - (uint32_t)(cell >> 32) < SLOTS)
			n += (uint32_t)cell;
	}
	return n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
}

unsigned
limit_send(struct limit l, int64_t now_ms)
{
	uint32_t          slot = (uint32_t)(now_ms / SLOT_MS);
	_Atomic uint64_t *cell;
	uint64_t          old, next;

	if (l.row == NULL)
		return 0;
	cell = &l.row->sent[slot % SLOTS];
	old = atomic_load(cell);
	for (unsigned i = 0; i < TRIES; i++) {
		next = old >> 32 == slot && (uint32_t)old < UINT32_MAX ? old + 1
		                                                       : (uint64_t)slot << 32 | 1;
		if (atomic_compare_exchange_weak(cell, &old, next))
			break;
	}
	return sum(l.row, slot);
}

bool
limit_may_tell(struct limit l, int64_t now_ms)
{
	uint32_t now_s = (uint32_t)(now_ms / 1000), told;

	if (l.row == NULL)
		return true;
	told = atomic_load(&l.row->told_s);
	if (told != 0 && now_s - told < TELL_S)
		return false;
	atomic_store(&l.row->told_s, now_s > 0 ? now_s : 1);
	return true;
}
