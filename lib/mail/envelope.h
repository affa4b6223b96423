/* SPDX-License-Identifier: ISC */
/*
 * envelope - all that is known of a message beside its octets.
 *
 * Kept as text lines "key: value\n" (docs/queue.md), the same text in the PUT frame, on
 * disk and in a LEASE, so that `less` shows it and unknown keys of a newer
 * version pass through old code. envelope_parse() borrows from that text.
 */
#ifndef LIB_MAIL_ENVELOPE_H
#define LIB_MAIL_ENVELOPE_H

#include "lib/util/buf.h"

enum { /* NOTIFY of RFC 3461 section 4.1; 0: not given */
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
};

enum ret { RET_NONE, RET_FULL, RET_HDRS };

struct rcpt {
	struct str to;     /* local@domain */
	struct str orcpt;  /* "rfc822;ann@example.com", decoded; empty: not given */
	unsigned   notify; /* NOTIFY_* bits */
};

struct envelope {
	struct str   from;        /* local@domain; empty: the null reverse-path */
	struct rcpt *rcpts;       /* owned by the envelope */
	size_t       n_rcpts;
	struct str   pace;        /* "RATE/MS QUOTA/MS KEY": how much the client may send; 0: no limit */
	int64_t      accepted_ms; /* wall clock; t= of the signature */
	uint64_t     size;        /* octets of the message as stored */
	struct str   client;      /* address of the submitting client; empty: made here */
	struct str   helo;
	struct str   login;
	struct str   proto;       /* ESMTPSA ... (RFC 3848) */
	struct str   envid;       /* ENVID, decoded */
	enum ret     ret;
	bool         smtputf8;    /* needs SMTPUTF8 at the next hop */
	bool         eightbit;    /* body holds octets over 127 */
	bool         hold;        /* put on hold at once */
	struct str   hold_why;    /* "capture: no domain configured" */
	unsigned     hops;        /* Received fields it came with */
	struct str   header_from; /* canonical domain of From: */
	struct str   msgid;       /* Message-ID with brackets */
	struct str   bh_canon;    /* "relaxed" or "simple"; empty: no body hash */
	struct str   bh;          /* base64 SHA-256 of the canonical body */
	struct str   parent;      /* bounces: id text of the message that bounced */
};

/* False if the text is damaged: a line without a key, no recipient, over 100,000 recipients. */
bool envelope_parse(struct envelope *e, struct str text) MUST_USE;
void envelope_format(struct buf *out, const struct envelope *e);
void envelope_free(struct envelope *e); /* the recipients table */

/* "failure,delay" <-> NOTIFY_* bits, as in RCPT and in the lines; "never" stands alone. */
bool notify_parse(struct str text, unsigned *bits) MUST_USE;
void notify_format(struct buf *out, unsigned bits);

#endif
