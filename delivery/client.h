/* SPDX-License-Identifier: ISC */
/*
 * client - one SMTP connection to one host, outward.
 *
 * Connects, greets, secures, authenticates; then carries mails one after
 * another until its owner lets it go. With PIPELINING a transaction's commands
 * leave together, and the next mail's commands leave right behind a message's
 * final dot (RFC 2920 section 3.1), so that a busy connection costs one round trip
 * a mail. Time limits are those of RFC 5321 section 4.5.3.2.
 *
 * Hooks come from events, never from inside a call. In a hook the owner may
 * call anything here, client_close() included.
 */
#ifndef DELIVERY_CLIENT_H
#define DELIVERY_CLIENT_H

#include "delivery/mail.h"
#include "lib/net/addr.h"
#include "lib/proc/config.h"

struct client;
struct loop;
struct tls_client;

/* Copied, but its texts and `trust` must live as long as the client. */
struct client_conf {
	struct str         name; /* of the host: for SNI, verification and failure texts */
	struct addr        to;   /* with its port */
	struct addr        from; /* family 0: any */
	struct str         helo;
	enum route_tls     tls;
	struct tls_client *trust; /* NULL: no STARTTLS in opportunistic mode */
	struct str         user, password;
	bool               xoauth2;
	int64_t            connect_limit_ms, greeting_limit_ms;
	bool               debug;
};

enum client_stage { STAGE_CONNECT, STAGE_GREETING, STAGE_TLS, STAGE_AUTH, STAGE_MAIL };

struct client_hooks {
	/* The session stands; a mail may be given. Comes once. */
	void (*ready)(void *arg);
	/* The commands and the whole of the mail are out: one more may be given now, to go right behind it. */
	void (*more)(void *arg);
	/* Each target of `m` has its reply; the client has let go of it. */
	void (*settled)(void *arg, struct mail *m);
	/*
	 * The connection is over, mails given and not settled are the owner's again (mail.sent
	 * says how far one came). `r` is a temporary reply (or 521 to the opening) with the
	 * peer's words or ours, valid until client_close(), which the owner must call.
	 */
	void (*broken)(void *arg, enum client_stage stage, struct reply r);
};

/* Never NULL: what fails, fails later, by `broken`. `hooks` must live as long as the client. */
struct client *client_open(struct loop *l, const struct client_conf *conf, const struct client_hooks *hooks,
                           void *arg);
void           client_close(struct client *c); /* at once; NULL is allowed */
void           client_quit(struct client *c);  /* politely; the pointer is dead */

/*
 * Can this host take `m` at all, by what its EHLO said (SIZE, 8BITMIME,
 * SMTPUTF8)? If not, all targets are settled with the reason.
 */
bool client_fits(const struct client *c, struct mail *m) MUST_USE;

bool client_has_room(const struct client *c); /* may client_send() be called now? */
void client_send(struct client *c, struct mail *m); /* `m` must live until settled or broken */

struct client_facts {
	const char *tls;  /* "1.3", "none" */
	const char *tlsv; /* "pkix", "none" */
	int64_t     connect_ms, tls_ms;
	unsigned    mail_max; /* mails a connection the server will take; 0: not said */
};
struct client_facts client_facts(const struct client *c);

#endif
