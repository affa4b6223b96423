/* SPDX-License-Identifier: ISC */
/*
 * session - one client from its greeting to its end.
 *
 * Phases are bits, so that the command table says where a command is legal with
 * a mask. One command runs at a time: a slow one enters a waiting phase, in
 * which input stays where it is; so replies leave in order by construction, and
 * what a client pipelines waits its turn.
 *
 * The struct is open to smtpd's own files (cmd_*.c); others see server.h.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "lib/net/loop.h"
#include "lib/net/stream.h"
#include "smtpd/server.h"

struct exchange;
struct listen_conf;
struct transaction;

enum phase {
	PHASE_TLS = 1 << 0,   /* handshake */
	PHASE_START = 1 << 1, /* no EHLO yet, or none since TLS */
	PHASE_READY = 1 << 2,
	PHASE_MAIL = 1 << 3,  /* a sender */
	PHASE_RCPT = 1 << 4,  /* and recipients */
	PHASE_BDAT = 1 << 5,  /* between two chunks */
	PHASE_DATA = 1 << 6,  /* octets up to the dot */
	PHASE_CHUNK = 1 << 7, /* octets of a chunk */
	PHASE_AUTH = 1 << 8,  /* the client's next line is its response */
	PHASE_WAIT = 1 << 9,  /* for another role */
	PHASE_STORE = 1 << 10, /* for the queue's promise: survives the client's end */
	PHASE_PAUSE = 1 << 11, /* a failed login waits before it hears so */
	PHASE_END = 1 << 12,

	PHASES_COMMAND = PHASE_START | PHASE_READY | PHASE_MAIL | PHASE_RCPT | PHASE_BDAT,
	PHASES_CLIENT = PHASES_COMMAND | PHASE_DATA | PHASE_CHUNK | PHASE_AUTH, /* it is his turn */
};

struct session {
	struct link               link;
	struct server            *server;
	struct site              *site;
	const struct listen_conf *on;
	struct stream            *stream; /* NULL: the client is gone */
	struct transaction       *tx;     /* from MAIL to the end of the message */
	struct exchange          *auth;   /* while AUTH runs */
	struct limit              place;  /* where he is counted; none: trusted */
	struct limit              login_place; /* and his login; none: no login, or not counted */
	struct deferred           end;
	struct addr               client;
	enum phase                phase;
	struct str                helo, login; /* owned */
	uint64_t                  chunk_left, chunk_octets; /* of the chunk, still to come and in all */
	int64_t                   chunk_begun_ms; /* monotonic */
	int64_t                   armed_ms;
	uint64_t                  held; /* octets of memory, as counted last; part of server->held */
	unsigned                  errors, auth_failures, mails;
	unsigned                  idle_commands; /* since the last mail */
	bool esmtp, secure, greeted, trusted;
	bool eof;        /* the client has sent all it ever will */
	bool clogged;    /* he has too many replies to read; goes on when they have left */
	bool chunk_last; /* this chunk ends the message */
	bool chunk_drop; /* this chunk belongs to nothing */
};

enum { SESSION_MAILS_MAX = 10000 }; /* then the client connects anew, perhaps to another process */

/* A handler that answers by itself, now or later, returns this. */
#define REPLY_LATER ((struct reply){0})

/* `place` of a client who is not trusted, who has entered it; the session leaves. */
void session_create(struct server *sv, const struct listen_conf *on, int fd, struct addr client,
                    struct limit place);
void            session_destroy(struct session *s);
struct session *session_at(struct link *k);

void session_enter(struct session *s, enum phase phase);

/* The phase is the client's again, outside of an event: go on with the input that waits. */
void session_continue(struct session *s);

void session_say(struct session *s, struct reply r);

/* The last word; the connection ends. Allowed anywhere: the object goes when the loop turns. */
void session_end(struct session *s, struct reply r);

/*
 * A refusal that belongs in the log. `stage`: "mail", "rcpt" ...; `address`: what it is about,
 * or none.
 */
void session_log_reject(struct session *s, const char *stage, const char *why, struct reply r,
                        struct str address);

/* Forget the transaction: RSET, EHLO, its end. */
void session_reset(struct session *s);

/* He could not send mail yet, and is in the middle of nothing: nobody is hurt if he has to go. */
bool session_is_idle_stranger(const struct session *s);
void session_evict(struct session *s); /* from outside of its events: destroyed at once */

/* Log in. False: this login has as many connections as it may have. */
bool session_log_in(struct session *s, struct str name) MUST_USE; /* takes the name over */

struct policy session_policy(const struct session *s);

/* Draining: 421 to those who are idle, or to all. */
void session_shut(struct session *s, bool idle_only);

#endif
