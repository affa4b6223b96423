/* SPDX-License-Identifier: ISC */
/*
 * mail - one message on its way to one destination: what to send, to whom, and
 * what became of each recipient.
 *
 * The client fills in replies; the job that owns the mail turns them into an
 * OUTCOME. Everything here borrows from the job but the replies.
 */
#ifndef DELIVERY_MAIL_H
#define DELIVERY_MAIL_H

#include "lib/mail/envelope.h"
#include "lib/mail/reply.h"

enum target_state {
	TARGET_PENDING,  /* not asked for yet, or to be asked again */
	TARGET_SENT,     /* RCPT is out */
	TARGET_ACCEPTED, /* RCPT was answered 2xx; the message decides */
	TARGET_DONE,     /* has its final reply for this attempt */
};

struct target {
	const struct rcpt *rcpt;
	enum target_state  state;
	uint16_t           code;
	uint8_t            status[3];
	uint32_t           text_at, text_n; /* in mail.texts */
};

struct mail {
	const struct envelope *env;
	struct str             signature; /* header fields to go on top, with their CRLF */
	struct str             body;      /* the message as stored; empty if `fd` has it */
	int                    fd;        /* -1: none */
	uint64_t               size;      /* of the message as stored */
	struct target         *targets;
	size_t                 n;
	struct buf             texts;
	unsigned               scope;     /* SCOPE_* of wire.h: the widest failure seen */
	bool                   dsn;       /* every hop that took it took over DSN parameters */
	bool                   begun;     /* its octets are on their way */
	bool                   sent;      /* the final dot is on its way: only the server knows what happened */
};

void mail_init(struct mail *m, const struct envelope *env);
void mail_free(struct mail *m); /* replies and targets; closes `fd` */

/* Targets in `state`. */
size_t mail_count(const struct mail *m, enum target_state state);
bool   mail_is_settled(const struct mail *m); /* each target has its reply */

/* Final reply of one target; of all that are not done; of those in one state. */
void mail_settle(struct mail *m, struct target *t, struct reply r);
void mail_settle_all(struct mail *m, struct reply r, unsigned scope);
void mail_settle_state(struct mail *m, enum target_state state, struct reply r);

/* Make ready for another try: what is not done is pending again. */
void mail_reset(struct mail *m);

struct reply mail_reply(const struct mail *m, size_t i);

#endif
