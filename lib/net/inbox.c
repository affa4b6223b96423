/* SPDX-License-Identifier: ISC */
#include "lib/net/inbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { ROOM_LEAST = 1024, KEEP_ROUND = 512 };

/* Own memory is dropped, scratch only forgotten. */
static void
forget(struct inbox *b)
{
	if (!b->borrowed)
		free(b->p);
	b->p = NULL;
	b->cap = b->at = 0;
	b->borrowed = false;
}

void
inbox_free(struct inbox *b)
{
	forget(b);
	*b = (struct inbox){0};
}

/*
 * Moving what waits to the front must be paid for by what was taken before, or a
 * peer could make us move 64 KiB for each octet.
 */
static bool
may_move(const struct inbox *b)
{
	return b->at > 0 && (b->at >= b->n || b->at >= INBOX_MAX - INBOX_LINE_MAX);
}

static size_t
tail(const struct inbox *b)
{
	return b->cap - b->at - b->n;
}

static void
move(struct inbox *b)
{
	memmove(b->p, b->p + b->at, b->n);
	b->at = 0;
}

static void
grow(struct inbox *b, size_t cap)
{
	char *p;

	if (!b->borrowed && cap < b->cap * 2)
		cap = b->cap * 2;
	if (cap > INBOX_MAX)
		cap = INBOX_MAX;
	p = mem_resize(NULL, cap, 1);
	if (b->n > 0)
		memcpy(p, b->p + b->at, b->n);
	forget(b);
	b->p = p;
	b->cap = cap;
}

char *
inbox_room(struct inbox *b, char *scratch, size_t *room)
{
	if (b->n == 0) {
		forget(b);
		b->p = scratch;
		b->cap = INBOX_MAX;
		b->borrowed = true;
	} else if (tail(b) < ROOM_LEAST) {
		if (b->cap < INBOX_MAX)
			grow(b, b->n + ROOM_LEAST);
		else if (may_move(b))
			move(b);
	}
	*room = tail(b);
	return *room == 0 ? NULL : b->p + b->at + b->n;
}

void
inbox_came(struct inbox *b, size_t n)
{
	assert(n <= tail(b));
	b->n += n;
}

bool
inbox_is_full(const struct inbox *b)
{
	return b->cap == INBOX_MAX && b->n > 0 && tail(b) == 0 && !may_move(b);
}

void
inbox_keep(struct inbox *b)
{
	if (b->n == 0)
		forget(b);
	else if (b->borrowed)
		grow(b, (b->n + KEEP_ROUND - 1) / KEEP_ROUND * KEEP_ROUND);
}

struct str
inbox_peek(const struct inbox *b, size_t max)
{
	return (struct str){b->n > 0 ? b->p + b->at : NULL, b->n < max ? b->n : max};
}

void
inbox_take(struct inbox *b, size_t n)
{
	assert(n <= b->n);
	b->at += n;
	b->n -= n;
	b->searched = b->searched > n ? b->searched - n : 0;
}

static bool
is_clean(struct str s)
{
	return s.n == 0 || (memchr(s.p, '\r', s.n) == NULL && memchr(s.p, '\0', s.n) == NULL);
}

/* The octets up to and with the next LF; 0: it has not come. */
static size_t
find_end(struct inbox *b)
{
	const char *from = b->p + b->at;
	const char *lf = NULL;

	if (b->n > b->searched)
		lf = memchr(from + b->searched, '\n', b->n - b->searched);
	if (lf == NULL)
		b->searched = b->n;
	return lf == NULL ? 0 : (size_t)(lf - from) + 1;
}

/* False: the end of the line that was too long has not come yet. */
static bool
skip(struct inbox *b)
{
	size_t end;

	if (!b->skipping)
		return true;
	if (b->n == 0)
		return false;
	end = find_end(b);
	b->skipping = end == 0;
	inbox_take(b, end == 0 ? b->n : end);
	return !b->skipping;
}

enum stream_line
inbox_line(struct inbox *b, size_t limit, struct str *line)
{
	size_t size;

	if (limit > INBOX_LINE_MAX)
		limit = INBOX_LINE_MAX;
	if (!skip(b) || b->n == 0)
		return LINE_NONE;
	size = find_end(b);
	if (size == 0 && b->n < limit)
		return LINE_NONE;
	if (size == 0 || size > limit) {
		b->skipping = size == 0;
		inbox_take(b, size == 0 ? b->n : size);
		return LINE_LONG;
	}
	*line = (struct str){b->p + b->at, size - 1};
	inbox_take(b, size);
	if (line->n == 0 || line->p[line->n - 1] != '\r')
		return LINE_BARE;
	line->n--;
	return is_clean(*line) ? LINE_OK : LINE_BARE;
}
