/* SPDX-License-Identifier: ISC */
/*
 * part - the lines that say what has become of a message's part.
 *
 *     part: 0 wait 1763892431000 2 - example.com 0-3,7
 *     why: held by the administrator
 *     rcpt: 3 sent 250 2.0.0 ok
 *
 * number, state, due time, attempts, "n" once the sender was told of a delay,
 * lane, recipients by their place in the envelope. A recipient without a line
 * of its own waits and has had no reply.
 */
#ifndef QUEUE_PART_H
#define QUEUE_PART_H

#include "lib/util/buf.h"
#include "queue/store.h"

struct part_text {
	uint32_t           no;
	enum part_state    state;
	int64_t            due_ms;
	unsigned           tries;
	bool               noticed;
	struct str         lane, why;
	struct store_rcpt *rcpts; /* owned after part_parse() */
	size_t             n_rcpts;
};

void part_format(struct buf *out, const struct part_text *p);

/*
 * Cut the lines of one part off `rest`. False at the end and on damage; then
 * nothing needs part_free(). Texts borrow from `rest`.
 */
bool part_parse(struct str *rest, struct part_text *p) MUST_USE;
void part_free(struct part_text *p);

/* The recipients of `p` that still wait, counted. */
size_t part_waiting(const struct part_text *p);

/* Put the new states of `changes` into `p`; recipients that are not in `p` are skipped. */
void part_apply(struct part_text *p, const struct store_rcpt *changes, size_t n);

#endif
