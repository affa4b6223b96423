/* SPDX-License-Identifier: ISC */
/*
 * server - what all sessions of one smtpd process share.
 *
 * A site is one configuration in force and what was built from it. A session
 * keeps the site it began under until it ends, so a reload never changes the
 * rules in the middle of a conversation.
 */
#ifndef SMTPD_SERVER_H
#define SMTPD_SERVER_H

#include "lib/mail/ids.h"
#include "lib/net/addr.h"
#include "lib/util/list.h"
#include "smtpd/keyholder.h"
#include "smtpd/limits.h"
#include "smtpd/message.h"
#include "smtpd/senders.h"
#include "smtpd/turns.h"

struct config;
struct handover;
struct logins;
struct loop;
struct server;
struct timer;
struct tls_server;

struct site {
	unsigned           users;
	struct config     *config;
	struct tls_server *tls;        /* NULL: no certificate */
	struct str         own_domain; /* completes addresses; borrowed from the config */
};

struct counts {
	uint64_t sessions, accepted, accepted_octets, rejected, auth_failures, turned_away;
	uint64_t lint[LINT_RULES]; /* messages that a rule had something to say about */
};

struct server {
	struct loop     *loop;
	struct site     *site; /* of new sessions; NULL before the first configuration */
	struct handover *handover;
	struct logins   *logins;
	struct keyholder keyholder;
	struct ids       ids;
	struct list      sessions; /* of struct session */
	size_t           max_sessions;
	uint64_t         held; /* octets of memory that sessions use; against `memory` of the configuration */
	struct messages  messages;
	struct limits    limits;
	struct senders   senders;
	struct turns     turns;
	struct buf       line;     /* a reply being written */
	struct buf       envelope; /* the same for envelopes */
	struct counts    counts;
	bool             draining;
	bool             mute; /* nothing is logged: it stands in for a test of ourselves */
	struct timer    *drain_limit;
	void (*drained)(void *arg);
	void            *drained_arg;
};

/* `index` of this smtpd: the maker of its message ids. */
void server_init(struct server *sv, struct loop *l, unsigned index);
void server_free(struct server *sv); /* ends all sessions at once */

/* The reference on `c` becomes the server's. */
void server_configure(struct server *sv, struct config *c);

/*
 * An accepted connection on listener `index` of the present configuration. `client` is whom it
 * counts for: the peer, or the one a balancer named.
 */
void server_accept(struct server *sv, unsigned index, int fd, struct addr client);

/*
 * Idle sessions hear 421 now; those in the middle of a message get 20 s to finish it. `done` runs
 * once, later.
 */
void server_drain(struct server *sv, void (*done)(void *arg), void *arg);

struct site *site_ref(struct site *s);
void         site_unref(struct site *s); /* NULL is allowed */

/* Over the memory that the configuration grants this process: no mail begins, and none grows in memory. */
bool server_is_short(const struct server *sv);

/* A session has ended; called by it alone. */
void server_left(struct server *sv);

#endif
