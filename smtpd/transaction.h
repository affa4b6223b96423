/* SPDX-License-Identifier: ISC */
/*
 * transaction - one mail of a session, from MAIL to the queue's promise.
 *
 * Addresses are kept behind one another in one growing text, so entries are
 * places in it, not pointers.
 */
#ifndef SMTPD_TRANSACTION_H
#define SMTPD_TRANSACTION_H

#include "smtpd/handover.h"
#include "smtpd/message.h"
#include "smtpd/params.h"

struct session;

struct place {
	uint32_t at, n;
};

struct recipient {
	struct place to, orcpt;
	unsigned     notify;
};

struct transaction {
	struct session     *session;
	struct handover_job job;
	struct message     *message; /* from DATA or the first BDAT on */
	struct policy       policy;
	struct fixup        plan;
	struct buf          text;     /* all addresses */
	struct buf          received; /* the field for the top of the header */
	struct place        from, envid;
	struct recipient   *rcpts;
	size_t              n_rcpts, cap_rcpts, max_rcpts;
	struct mail_params  params; /* its texts are not valid any more */
	uint64_t            id;
	int64_t             begun_ms; /* monotonic: how long it took is logged */
	bool                completed; /* an address of the envelope got its domain from us */
	bool                utf8;      /* an address needs SMTPUTF8 */
};

struct transaction *transaction_create(struct session *s);
void                transaction_destroy(struct transaction *t); /* NULL is allowed; cancels */

struct str transaction_text(const struct transaction *t, struct place p);

uint64_t transaction_held(const struct transaction *t); /* octets of memory */

/* False if the transaction is full. */
bool transaction_set_from(struct transaction *t, struct address a, struct str envid) MUST_USE;
bool transaction_add(struct transaction *t, struct address a, const struct rcpt_params *p) MUST_USE;

/* Make the id and the plan for the header, and begin to take the message. */
void transaction_begin(struct transaction *t, enum data_kind kind);

/* The message is finished: hand it to the queue. False if the envelope is too large for it. */
bool transaction_put(struct transaction *t) MUST_USE;

/* The line `accept` in the log. */
void transaction_log(struct transaction *t);

#endif
