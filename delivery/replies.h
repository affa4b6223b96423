/* SPDX-License-Identifier: ISC */
/*
 * replies - a server's lines put together to replies.
 *
 * Bounded and strict: a line must begin with a code of 200 to 599 and a blank,
 * a hyphen or nothing, all lines of a reply carry one code, and there are at most
 * REPLY_LINES_MAX. What breaks that is no reply, and its connection has no future.
 */
#ifndef DELIVERY_REPLIES_H
#define DELIVERY_REPLIES_H

#include "lib/mail/reply.h"

enum {
	REPLY_LINE_MAX = 1024, /* RFC 5321 section 4.5.3.1.5 has 512; servers exceed it */
	REPLY_LINES_MAX = 100,
	REPLY_KEPT_MAX = 8192, /* of the text of all lines; the rest is read and dropped */
};

struct replies {
	unsigned   code;  /* of the reply in progress; 0: none */
	unsigned   lines;
	struct buf raw;    /* text behind code and separator, a line each, "\n" between */
	struct buf joined; /* as a reply is kept */
};

enum replies_state { REPLIES_MORE, REPLIES_WHOLE, REPLIES_BROKEN };

void replies_init(struct replies *r);
void replies_free(struct replies *r);

/*
 * The next line, without its CRLF. On REPLIES_WHOLE `reply` is set: its text, and
 * replies_raw(), are valid until the next call.
 */
enum replies_state replies_line(struct replies *r, struct str line, struct reply *reply);
struct str         replies_raw(const struct replies *r); /* for EHLO: lines with "\n" between */

#endif
