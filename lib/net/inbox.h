/* SPDX-License-Identifier: ISC */
/*
 * inbox - what a peer has sent and nobody has taken yet.
 *
 * Bounded: a peer can make us hold INBOX_MAX octets and no more. All work is
 * linear in what has come, however it was cut into packets. Memory is borrowed from the
 * loop while an event runs and owned only if something is left over after it,
 * so that an idle connection holds none.
 */
#ifndef LIB_NET_INBOX_H
#define LIB_NET_INBOX_H

#include "lib/net/stream.h"

enum {
	INBOX_MAX = 64 * 1024,
	INBOX_LINE_MAX = INBOX_MAX / 4 * 3, /* as much as always fits in one piece */
};

struct inbox {
	char  *p;
	size_t cap;
	size_t at, n;    /* the octets that wait: p[at] to p[at + n] */
	size_t searched; /* of these, the first so many hold no LF */
	bool   borrowed; /* `p` is the scratch */
	bool   skipping; /* in the rest of a line that was too long */
};

void inbox_free(struct inbox *b); /* zeroed is empty, and may be used again after this */

/*
 * Where to put what comes next, and how much of it: `scratch` (of INBOX_MAX octets) if nothing waits. NULL:
 * full. inbox_came() then says how many octets were put there.
 */
char *inbox_room(struct inbox *b, char *scratch, size_t *room);
void  inbox_came(struct inbox *b, size_t n);
bool  inbox_is_full(const struct inbox *b);

/* The scratch is about to be used for something else. */
void inbox_keep(struct inbox *b);

/* As stream_line(), stream_peek() and stream_take(). */
enum stream_line inbox_line(struct inbox *b, size_t limit, struct str *line);
struct str       inbox_peek(const struct inbox *b, size_t max);
void             inbox_take(struct inbox *b, size_t n);

#endif
