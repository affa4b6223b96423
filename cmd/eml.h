/* SPDX-License-Identifier: ISC */
/*
 * eml - a queued message as a file: its envelope as header lines above the mail itself.
 *
 *     X-Postern-Id: 8NCYX1KGM3D2T
 *     X-Postern-From: <app@example.com>
 *     X-Postern-To: notify=failure tries=2 <ann@example.net>
 *     X-Postern-Accepted: 1763892431000 2025-11-23T10:07:11.000Z
 *     X-Postern-End: 5120
 *
 * The recipients are those that still wait. The last line says how many octets follow, so that a mail with
 * such lines of its own is not misread. Lines end in CRLF, as those of the mail.
 */
#ifndef CMD_EML_H
#define CMD_EML_H

#include "lib/mail/envelope.h"

enum eml_limit { EML_HEAD_MAX = 32 * 1024 * 1024 };

/* The head is written line by line: begin, a recipient at a time, end. */
void eml_begin(struct buf *out, struct str id, const struct envelope *e);
void eml_rcpt(struct buf *out, const struct rcpt *r, uint64_t tries);
void eml_end(struct buf *out, bool hold, struct str why, uint64_t size);

struct eml {
	uint64_t        id;
	struct envelope e;    /* free with envelope_free() */
	struct str      body; /* the mail itself */
};

/* All of a file. NULL, or why it is not one of ours; texts borrow from `text` and `scratch`. */
const char *eml_parse(struct str text, struct eml *m, struct buf *scratch) MUST_USE;

#endif
