/* SPDX-License-Identifier: ISC */
#include "lib/util/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { SMALLEST = 64 };

static void
to_front(struct buf *b)
{
	if (b->skipped == 0)
		return;
	b->p -= b->skipped;
	if (b->n > 0)
		memmove(b->p, b->p + b->skipped, b->n);
	b->skipped = 0;
}

/*
 * The size to grow to for `need` octets: twice the old one, but no more than the
 * limit and a NUL. Only a full buffer that is used as a queue gets the double of
 * that, so that to_front() always moves less than was dropped since the last time.
 */
static size_t
grown(const struct buf *b, size_t need)
{
	size_t most = (b->limit < SIZE_MAX / 4 ? b->limit : SIZE_MAX / 4) + 1;
	size_t cap = b->cap >= SMALLEST / 2 ? b->cap * 2 : SMALLEST;

	if (b->cap >= most)
		most *= 2;
	if (cap < need)
		cap = need;
	return cap > most && most >= need ? most : cap;
}

/* What realloc() does, but wipe what is left behind. */
static void
move(struct buf *b, size_t cap)
{
	char *p = mem_zero(cap);

	if (b->p != NULL) {
		memcpy(p, b->p, b->n);
		mem_wipe(b->p, b->cap);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
}

/* Let `extra` more octets fit behind the text; limits are the caller's matter. */
static void
make_room(struct buf *b, size_t extra)
{
	size_t need = b->n + extra;

	if (b->cap - b->skipped >= need)
		return;
	if (b->cap >= need && b->skipped >= b->n) {
		to_front(b);
		return;
	}
	to_front(b);
	if (b->secret)
		move(b, grown(b, need));
	else
		b->p = mem_resize(b->p, b->cap = grown(b, need), 1);
}

static bool
fits(struct buf *b, size_t n)
{
	if (b->n <= b->limit && n <= b->limit - b->n)
		return true;
	b->over = true;
	return false;
}

void
buf_init(struct buf *b, size_t limit)
{
	*b = BUF(limit);
}

void
buf_free(struct buf *b)
{
	if (b->p != NULL && b->secret)
		mem_wipe(b->p - b->skipped, b->cap);
	if (b->p != NULL)
		free(b->p - b->skipped);
	*b = (struct buf){.limit = b->limit, .secret = b->secret};
}

void
buf_clear(struct buf *b)
{
	buf_truncate(b, 0);
	b->over = false;
}

const char *
buf_z(struct buf *b)
{
	make_room(b, 1);
	b->p[b->n] = '\0';
	return b->p;
}

void
buf_add_more(struct buf *b, struct str s)
{
	if (!fits(b, s.n))
		return;
	make_room(b, s.n);
	memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

void
buf_addn(struct buf *b, uint64_t number)
{
	char   digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	buf_add(b, (struct str){digits + at, sizeof digits - at});
}

void
buf_addi(struct buf *b, int64_t number)
{
	if (number < 0)
		buf_addc(b, '-');
	buf_addn(b, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void
buf_addf(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_addv(b, format, args);
	va_end(args);
}

void
buf_addv(struct buf *b, const char *format, va_list args)
{
	va_list again;
	int     n;

	va_copy(again, args);
	make_room(b, 1);
	n = vsnprintf(b->p + b->n, b->cap - b->skipped - b->n, format, args);
	assert(n >= 0);
	if (fits(b, (size_t)n)) {
		if ((size_t)n >= b->cap - b->skipped - b->n) {
			make_room(b, (size_t)n + 1);
			vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
		}
		b->n += (size_t)n;
	}
	va_end(again);
}

char *
buf_room(struct buf *b, size_t n)
{
	if (!fits(b, n))
		return NULL;
	make_room(b, n > 0 ? n : 1);
	return b->p + b->n;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->skipped - b->n);
	b->n += n;
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->n);
	if (n == 0)
		return;
	b->n -= n;
	b->p += n;
	b->skipped += n;
	if (b->n == 0)
		to_front(b);
}

void
buf_truncate(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
	if (b->n == 0)
		to_front(b);
}
