/* SPDX-License-Identifier: ISC */
/*
 * reply - what one SMTP side answers the other: code, enhanced status, text.
 *
 * One type from a handler's answer or a peer's line to the queue's last result
 * and the bounce's quotation. A reply is passed by value and borrows its text:
 * a literal, or octets owned by whoever made it and valid as long as he says.
 * Text holds no CR or LF; a multi-line peer reply is joined with single spaces.
 */
#ifndef LIB_MAIL_REPLY_H
#define LIB_MAIL_REPLY_H

#include "lib/util/buf.h"

struct reply {
	uint16_t   code;      /* 200..599; 0: no reply yet */
	uint8_t    status[3]; /* class, subject, detail (RFC 3463); class 0: none given */
	struct str text;      /* without code and status */
};

enum { REPLY_TEXT_MAX = 1024 }; /* kept of a peer's text; the rest is cut */

/* REPLY(550, 5,7,1, "relaying denied") with a literal text. */
#define REPLY(code_, a_, b_, c_, literal_) \
	((struct reply){(code_), {(a_), (b_), (c_)}, STR(literal_)})

bool reply_is_ok(struct reply r);        /* 2xx */
bool reply_is_temporary(struct reply r); /* 4xx */
bool reply_is_permanent(struct reply r); /* 5xx */

/* "250 2.0.0 text" without CRLF; detail goes up to 999 and is kept as uint8_t clipped to 255. */
void reply_format(struct buf *out, struct reply r);

/* The three numbers only, "5.1.1"; a reply without status gets X.0.0 of its code. */
void reply_format_status(struct buf *out, struct reply r);

/*
 * Parse a line made by reply_format(), or a joined peer reply. False if there
 * is no three-digit code of 200..599. The text borrows from `line`.
 */
bool reply_parse(struct str line, struct reply *r) MUST_USE;

#endif
