/* SPDX-License-Identifier: ISC */
/*
 * buf - owned, growing octets with a limit from birth.
 *
 * An append that would go over the limit appends nothing and sets `over`,
 * which stays set: build a whole line or message with many appends and look at
 * `over` once at the end. The octets are not NUL-terminated; buf_z() makes them so.
 */
#ifndef LIB_UTIL_BUF_H
#define LIB_UTIL_BUF_H

#include <stdarg.h>

#include "lib/util/str.h"

struct buf {
	char  *p;     /* NULL while nothing was ever added */
	size_t n;     /* octets that are in it */
	size_t cap;   /* octets of memory, `skipped` included */
	size_t limit; /* `n` never goes over it */
	size_t skipped; /* private: octets before p that were dropped */
	bool   over;
	bool   secret; /* nothing of it stays behind where it grows or ends */
};

/* Takes no memory before the first octet, so one that was never written to need not be freed. */
#define BUF(limit_bytes)    ((struct buf){.limit = (limit_bytes)})
#define SECRET(limit_bytes) ((struct buf){.limit = (limit_bytes), .secret = true})

void        buf_init(struct buf *b, size_t limit);
void        buf_free(struct buf *b);      /* also resets: the limit stays */
void        buf_clear(struct buf *b);     /* keeps the memory, clears `over` */
const char *buf_z(struct buf *b);         /* NUL-terminated view; never NULL */

/* Valid until the next change. */
static inline struct str
buf_str(const struct buf *b)
{
	return (struct str){b->p, b->n};
}

/* Private: where the memory or the limit does not do. */
void buf_add_more(struct buf *b, struct str s);

static inline void
buf_add(struct buf *b, struct str s)
{
	size_t end = b->n + s.n;

	if (s.n == 0)
		return;
	if (end < s.n || end > b->limit || end > b->cap - b->skipped) {
		buf_add_more(b, s);
		return;
	}
	memcpy(b->p + b->n, s.p, s.n);
	b->n = end;
}

static inline void
buf_addc(struct buf *b, char c)
{
	if (b->n >= b->limit || b->n >= b->cap - b->skipped)
		buf_add_more(b, (struct str){&c, 1});
	else
		b->p[b->n++] = c;
}

static inline void
buf_addz(struct buf *b, const char *z)
{
	buf_add(b, str_of(z));
}

void buf_addn(struct buf *b, uint64_t number); /* decimal */
void buf_addi(struct buf *b, int64_t number);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_addv(struct buf *b, const char *f, va_list args) __attribute__((format(printf, 2, 0)));

/*
 * Room for `n` more octets at the returned place, or NULL (and `over`) if that
 * goes over the limit; buf_commit() then says how many were really written there.
 */
char *buf_room(struct buf *b, size_t n);
void  buf_commit(struct buf *b, size_t n);

void buf_drop(struct buf *b, size_t n);     /* the first n octets */
void buf_truncate(struct buf *b, size_t n); /* keep the first n octets */

#endif
