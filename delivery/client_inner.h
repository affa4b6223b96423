/* SPDX-License-Identifier: ISC */
/*
 * client_inner - what the files of the SMTP client share: the connection and its
 * queue of awaited replies (client.c), the opening (opening.c), transactions
 * (transaction.c) and the message's octets (body.c).
 */
#ifndef DELIVERY_CLIENT_INNER_H
#define DELIVERY_CLIENT_INNER_H

#include "delivery/body.h"
#include "delivery/client.h"
#include "delivery/hello.h"
#include "delivery/replies.h"
#include "lib/net/stream.h"

enum step_id {
	STEP_GREETING,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_AUTH,
	STEP_RSET,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_DOT,
	STEP_COUNT,
};

struct step {
	const char *name;
	int64_t     limit_ms; /* RFC 5321 section 4.5.3.2 */
	void (*got)(struct client *c, struct reply r);
};

/* Replies of one kind that are owed in a row: a hundred RCPTs are one entry. */
struct due {
	enum step_id step;
	unsigned     n;
};

enum { DUE_MAX = 16 };

enum client_state {
	CLIENT_CONNECTING,
	CLIENT_SECURING, /* handshake in progress */
	CLIENT_OPENING,  /* greeting to AUTH */
	CLIENT_READY,
	CLIENT_CLOSED,   /* only client_close() is left */
};

enum transaction_state {
	TX_COMMANDS,
	TX_BODY, /* after 354: octets are going out */
	TX_DOT,  /* all is out, the reply is awaited */
};

struct transaction {
	struct mail           *mail; /* NULL: none */
	enum transaction_state state;
	size_t                 asked, answered; /* targets up to here have been sent, replied to */
	unsigned               n_sent, n_accepted;
	bool                   mail_ok;
	bool                   empty; /* no recipient was taken: the message ends at once, unheard */
};

struct client {
	struct client_conf        conf;
	const struct client_hooks *hooks;
	void                     *arg;
	struct stream            *stream;
	enum client_state         state;
	bool                      in_event, gone; /* closed: freed when the event is over */
	struct replies            replies;
	struct due                due[DUE_MAX];
	unsigned                  due_first, due_n;
	struct buf                out; /* commands gathered for one write */
	struct buf                why; /* text of the failure */
	struct hello              hello;
	bool                      plain;  /* go on without TLS: the server refused STARTTLS */
	bool                      last;   /* no further mail on this connection */
	bool                      rset;   /* a transaction was left open */
	const char               *tls;    /* "1.3", "1.2"; outlives the stream. NULL: plain */
	bool                      verified;
	unsigned                  auth_step;
	int64_t                   since_ms, connect_ms, tls_ms;
	struct transaction        now, next;
	struct body               body;
};

/* client.c */

/* The one place where the state changes; the step is checked against a table. */
void client_enter(struct client *c, enum client_state to);
void client_ask(struct client *c, enum step_id step); /* a reply of this kind is owed from now on */
void client_flush(struct client *c);                  /* write what `out` has gathered */
void client_limit(struct client *c);                  /* the time limit of the reply that is next */

/*
 * The connection is over, and `broken` is told so, from here: the caller touches the client no more, who may
 * have been closed in it. client_failf() makes the words, and a temporary reply of them.
 */
void client_fail(struct client *c, enum client_stage stage, struct reply r);
void client_failf(struct client *c, enum client_stage stage, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool client_is_over(const struct client *c); /* closed in a hook: touch nothing more */

/* opening.c: got_...() take the reply to that step, and say the next thing. */
void opening_secure(struct client *c); /* begin the handshake */
void opening_secured(struct client *c);
void got_greeting(struct client *c, struct reply r);
void got_ehlo(struct client *c, struct reply r);
void got_helo(struct client *c, struct reply r);
void got_starttls(struct client *c, struct reply r);
void got_auth(struct client *c, struct reply r);

/* transaction.c */
void transaction_drained(struct client *c); /* room for more of the body */
void got_rset(struct client *c, struct reply r);
void got_mail(struct client *c, struct reply r);
void got_rcpt(struct client *c, struct reply r);
void got_data(struct client *c, struct reply r);
void got_dot(struct client *c, struct reply r);

#endif
