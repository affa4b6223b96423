/* SPDX-License-Identifier: ISC */
/*
 * fixup - what a submission server does to a header (RFC 6409 section 8).
 *
 * Added on top: Received; and Date, Message-ID, From, MIME-Version and (reports of the null
 * sender) Auto-Submitted where missing. Removed: Bcc, Resent-Bcc, Return-Path, and results of
 * authentication in our name. Completed: addresses without a domain in From, Sender, Reply-To,
 * To, Cc and their Resent- forms. Folded: lines of over 998 octets. Everything else passes octet
 * for octet.
 *
 * The header is walked once. What the walk sees it notes as facts, which the rules of lint.h
 * judge at the end; the authors are checked against the policy on the way.
 *
 * A header whose text breaks off without an empty line (a line that is no field)
 * ends there; the rest is body, as other submission servers do it. But where fields follow
 * behind that line, it is refused: other readers could take them for the header's.
 */
#ifndef SMTPD_FIXUP_H
#define SMTPD_FIXUP_H

#include "smtpd/lint.h"
#include "smtpd/policy.h"

enum {
	FIXED_DATE = 1,
	FIXED_MESSAGE_ID = 2,
	FIXED_FROM = 4,
	FIXED_BCC = 8,
	FIXED_RETURN_PATH = 16,
	FIXED_ADDRESS = 32,
	FIXED_SEPARATOR = 64,
	FIXED_BARE_LF = 128, /* set by the collector, not here */
	FIXED_FINAL_CRLF = 256, /* the same */
	FIXED_MIME_VERSION = 512,
	FIXED_AUTH_RESULTS = 1024,
	FIXED_AUTO_SUBMITTED = 2048,
	FIXED_FOLDED = 4096,
	FIXED_ENCODED = 8192, /* set by the collector */
};

struct fixup {
	const struct policy *policy;
	struct str           received;   /* the whole field with its CRLF */
	struct str           own_domain; /* completes addresses */
	struct str           sender;     /* reverse-path, for a missing From; empty: null */
	uint64_t             id;
	int64_t              now_ms;
	enum listen_lint     lint;
	bool                 says_utf8, says_eightbit; /* SMTPUTF8 and BODY=8BITMIME at MAIL */
	bool                 many; /* its sender sent so much of late that this is mail to many */
};

/* Made once and used again: its buffers keep their memory. */
struct fixup_result {
	struct lint_facts   facts;
	struct lint_verdict verdict;
	struct str  header_from; /* canonical domain of the first author */
	struct str  msgid;       /* with brackets */
	struct str  rest;        /* what stood behind a broken line: belongs to the body */
	bool        long_rest;   /* and has a line of over 998 octets, which is no fault yet */
	const char *why;         /* refused: one word for the log */
	struct buf  from, msgid_text, scratch, text;
};

void fixup_result_init(struct fixup_result *r);
void fixup_result_free(struct fixup_result *r);
void fixup_reset(struct fixup_result *r); /* before the header is there */

/*
 * Write the repaired header, empty line included, to `out`; `head` is without that line. 250, or
 * the refusal, whose text is a literal or lives in `result`.
 */
struct reply fixup_head(const struct fixup *f, struct str head, struct buf *out,
                        struct fixup_result *result);

/* "date,message-id": for the log. */
void fixup_format(struct buf *out, unsigned fixed);

#endif
