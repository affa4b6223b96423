/* SPDX-License-Identifier: ISC */
/*
 * body - the octets of a message going out, dots stuffed (RFC 5321 section 4.5.2).
 *
 * From memory or a descriptor, in pieces of at most 64 KiB, so that a slow
 * receiver costs no more than that in the stream's output.
 */
#ifndef DELIVERY_BODY_H
#define DELIVERY_BODY_H

#include "lib/util/buf.h"

struct stream;

enum { BODY_PIECE = 64 * 1024 };

struct body {
	struct str signature; /* goes first; begins with no dot */
	struct str memory;
	int        fd;
	uint64_t   size, at;
	char       tail[2]; /* the last two octets sent */
	char      *piece;   /* for reading a descriptor */
};

enum body_state { BODY_MORE, BODY_END, BODY_UNREADABLE };

void body_init(struct body *b, struct str signature, struct str memory);
void body_init_fd(struct body *b, struct str signature, int fd, uint64_t size); /* `fd` stays the caller's */
void body_free(struct body *b);

/* Write the next piece; on BODY_END the final dot has been written, too. */
enum body_state body_write(struct body *b, struct stream *to);

#endif
