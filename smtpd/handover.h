/* SPDX-License-Identifier: ISC */
/*
 * handover - the queue, as smtpd sees it.
 *
 * A message is handed over in one PUT frame; large ones are written to a
 * descriptor asked for by SPILL before. STORED is the queue's promise that the
 * message is durable, and only that lets us say 250. Every request has a
 * deadline; when the queue dies all of them end with a temporary failure (the
 * message may have been stored: the client tries again, a duplicate is possible, a loss is not).
 */
#ifndef SMTPD_HANDOVER_H
#define SMTPD_HANDOVER_H

#include "lib/mail/reply.h"
#include "lib/proc/wire.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

struct handover;
struct loop;

enum { HANDOVER_WAIT_MS = 60 * 1000 };

enum handover_ask { ASKED_NOTHING, ASKED_OPEN, ASKED_STORE };

/*
 * One request on its way, inside its owner's object. Zeroed at birth. One of
 * the two functions is called, once for each request, never from inside the call that made it.
 */
struct handover_job {
	struct hash_node node;
	struct link      link; /* by deadline */
	uint64_t         id;
	int64_t          deadline_ms;
	enum handover_ask  asked;
	bool             spilled; /* the queue holds a file for it */
	void (*opened)(struct handover_job *job, int fd);         /* the callee's; -1: failed */
	void (*stored)(struct handover_job *job, struct reply r); /* text valid during the call */
};

struct handover *handover_create(struct loop *l);
void             handover_destroy(struct handover *h); /* no job may be left */

/* The channel to the queue; replaces an older one. */
void handover_attach(struct handover *h, int fd);

/* Who is to hear that the channel has ended. */
void handover_on_lost(struct handover *h, void (*fn)(enum role_id who, unsigned index));

/* `fn` runs once, when the queue first says how it is; at once if it has. Only one may wait. */
void handover_on_word(struct handover *h, void (*fn)(void *arg), void *arg);

/*
 * May mail be taken now? False with what to answer to MAIL; its text is valid until the loop
 * turns.
 */
bool handover_is_open(const struct handover *h, struct reply *refusal);

/* Octets that the queue has not read yet. */
size_t handover_unsent(const struct handover *h);

/* Ask for a descriptor; the answer comes to job->opened. `hint_bytes`: SIZE=, or 0. */
void handover_spill(struct handover *h, struct handover_job *job, uint64_t hint_bytes);

struct handover_message {
	struct str envelope; /* formatted */
	struct str body;     /* empty if spilled */
	uint64_t   size;     /* octets of the message */
};

/* Hand over; all of it is copied. The answer comes to job->stored. */
void handover_put(struct handover *h, struct handover_job *job, const struct handover_message *m);

/* No answer is wanted any more. A spilled message that was not put is dropped. */
void handover_cancel(struct handover *h, struct handover_job *job);

#endif
