/* SPDX-License-Identifier: ISC */
/*
 * message - one message while it comes in.
 *
 * Takes octets from the client as DATA or BDAT deliver them, finds the end of
 * the header, repairs and checks that (fixup.h), and hashes the body of what
 * will be signed as it passes. What will be stored gathers in memory; above 192 KiB the
 * owner asks the queue for a descriptor and gives it to message_spill(), and
 * from then on memory holds a small part only. What is wrong with the message
 * is remembered and answered at its end: a client reads no reply before.
 *
 * A body with lines too long for SMTP is taken as it is and encoded anew at the end (recode.h),
 * in memory or behind the message in its file; then the new one takes the old one's place.
 */
#ifndef SMTPD_MESSAGE_H
#define SMTPD_MESSAGE_H

#include "dkim/bodyhash.h"
#include "lib/util/list.h"
#include "smtpd/data.h"
#include "smtpd/fixup.h"

enum { MESSAGE_HEAD_MAX = 256 * 1024 };

struct message {
	struct link         link;
	const struct fixup *plan;
	struct data         data;
	struct buf          raw;  /* the header as it came, until its end is there */
	struct buf          text; /* what will be stored, less what is in `fd` already */
	struct fixup_result fix;
	struct bodyhash    *hash;
	enum canon          canon;
	uint64_t            taken, limit; /* octets from the client, and how many it may be */
	uint64_t            written;      /* to `fd` */
	int                 fd;           /* -1: none */
	bool                in_body, eightbit;
	bool                signs; /* a key is there for it: only then the body is hashed */
	struct reply        refusal; /* code 0: none so far */
	const char         *why;     /* of the refusal, for the log */
	struct buf          why_text;
};

/* Messages that wait for use again, so that a busy server allocates nothing for the next one. */
struct messages {
	struct list spare;
};

void messages_init(struct messages *ms);
void messages_free(struct messages *ms);

/* `plan` must live as long as the message. `limit`: max-size. */
struct message *message_create(struct messages *ms, const struct fixup *plan, uint64_t limit);
void            message_destroy(struct messages *ms, struct message *m); /* NULL is allowed */

/* How it comes; once, before the first octet. `repair`: bare line feeds become line ends. */
void message_expect(struct message *m, enum data_kind kind, bool repair);

/*
 * Take input; returns how much of it belonged to the message. m->data.ended says that it is
 * whole.
 */
size_t message_feed(struct message *m, struct str in);

/*
 * All octets are there: finish header and hash. 250, or why the message cannot be taken;
 * m->why then.
 */
struct reply message_finish(struct message *m);

/*
 * The same while it still comes: an early refusal of a BDAT chunk. Code 0: nothing is wrong so
 * far.
 */
struct reply message_refusal(struct message *m);

bool message_wants_spill(const struct message *m);

/* Memory is short: what has a file is written there at once; true: it wants one, however small it is. */
bool message_tighten(struct message *m);

/* Memory is short and a file would not help: nothing of it is kept, its end hears 452. */
void message_give_up(struct message *m);

uint64_t message_held(const struct message *m); /* octets of memory */

/*
 * The descriptor that was asked for, now the message's; -1: there is none, the message is
 * refused.
 */
void message_spill(struct message *m, int fd);

uint64_t message_size(const struct message *m); /* octets as stored */

/*
 * Base64 SHA-256 of the canonical body, once message_finish() has said 250; nothing where no key
 * is there. Delivery hashes the stored body then, should there be one by the time.
 */
void message_hash(struct message *m, struct buf *out);

#endif
