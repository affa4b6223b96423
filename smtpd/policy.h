/* SPDX-License-Identifier: ISC */
/*
 * policy - who may send what: a pure function of client, login, addresses and config.
 *
 * Mail is taken from networks in `trust` and from logins, nobody else, and only
 * with senders of one send-as table: the login's own `from` patterns, else those
 * of the client's network, else `domains`. There is no rule that lets mail in
 * because of where it goes, so an open relay cannot be configured by accident.
 *
 * The sender is judged at MAIL, as far as the client may send at all; a stranger
 * hears his refusal at RCPT, where the log line then holds both addresses and
 * where clients report it as the fate of that recipient.
 *
 * A refusal's text names the client's address and the line of the config that
 * would allow it; it is written to `text`, which the verdict borrows.
 */
#ifndef SMTPD_POLICY_H
#define SMTPD_POLICY_H

#include "lib/mail/address.h"
#include "lib/mail/reply.h"
#include "lib/net/addr.h"

struct config;
struct origin;

struct policy {
	const struct config *config;
	struct addr          client;    /* IPv4-mapped addresses count as IPv4 */
	struct str           login;     /* empty: not logged in */
	bool                 can_login; /* AUTH exists on this listener: refusals then mention it */
};

struct verdict {
	struct reply         reply;  /* 250: allowed */
	/* one enumerated word for the log; "trusted", "login" ... when allowed */
	const char          *why;
	const struct origin *origin; /* the config line that decided; NULL: a built-in rule */
};

enum {
	POLICY_TEXT_MAX = 900, /* limit for `text`: fits a reply line of RFC 5321 with room */
	PACE_TEXT_MAX = 400,
};

/* May this client send at all: trusted network or login? */
struct verdict policy_client(const struct policy *p, struct buf *text);

/*
 * The reverse-path, and what its parser said. A client that may not send at all passes here.
 * The null sender passes: it belongs to nobody, and From: is checked all the same.
 */
struct verdict policy_sender(const struct policy *p, enum address_error error, struct address a,
                             struct buf *text);

/* A recipient: its form, and the right to relay. */
struct verdict policy_recipient(const struct policy *p, enum address_error error, struct address a,
                                struct buf *text);

/* A mailbox of a header field: From, Sender, Resent-From, Resent-Sender. */
struct verdict policy_header(const struct policy *p, struct str field, struct address a,
                             struct buf *text);

/*
 * How much the client may send, as the envelope's `pace` has it. Nothing: he has no limits. PACE_TEXT_MAX
 * octets are enough.
 */
void policy_pace(const struct policy *p, struct buf *out);

/* The most recipients that his quota could ever let pass at once; 0: he has none. */
uint64_t policy_quota(const struct policy *p);

bool policy_is_ok(struct verdict v);

/* True for a loopback client that is trusted: its bare line feeds are repaired. */
bool policy_is_local(const struct policy *p);

/*
 * The domain that completes addresses without one: of the plain names in `domains` the one
 * that the hostname is or is below, else the first plain one, else the hostname.
 */
struct str policy_own_domain(const struct config *c);

/* "postern.conf:7", "env POSTERN_TRUST"; a default becomes "postern.conf". */
void policy_format_origin(struct buf *out, const struct origin *o);

#endif
