/* SPDX-License-Identifier: ISC */
/*
 * bounce - the text of a delivery report: multipart/report of RFC 6522, with
 * the fields of RFC 3464, and of RFC 6533 where addresses need UTF-8.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include "lib/mail/envelope.h"
#include "lib/mail/reply.h"

enum bounce_kind { BOUNCE_FAILED = 1, BOUNCE_DELAYED, BOUNCE_RELAYED };

struct bounce_rcpt {
	const struct rcpt *rcpt;
	struct reply       reply;
	struct str         mta; /* host that said so; empty: we did */
};

struct bounce {
	enum bounce_kind       kind;
	struct str             id; /* of this report, as text: for Message-ID and the boundary */
	struct str             hostname;          /* ours */
	struct str             domain;            /* of the From: address */
	int64_t                now_ms, expire_ms; /* expire_ms: wall clock, when we give up */
	struct str             parent;            /* id of the original, as text */
	const struct envelope *original;
	struct str             message; /* the original, from its beginning: all of it, or some */
	bool                   whole;   /* `message` is all of it */
	const struct bounce_rcpt *rcpts;
	size_t                    n_rcpts;
};

/*
 * RET=FULL is kept for a message that is there whole; else the header comes back. The
 * report is in wire form. `eightbit` says that it holds octets over 127.
 */
void bounce_format(struct buf *out, const struct bounce *b, bool *eightbit);

/*
 * Whose name a report bears, so that it can be signed and the domain can receive: the original's sender's
 * where that is below the domain of its From:, else that of From:, else the sender's, if they are in
 * `domains`; else the first plain one of those, or the host's own.
 */
struct str bounce_domain(const struct envelope *original, const struct str *domains, size_t n,
                         struct str hostname);

#endif
