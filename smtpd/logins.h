/* SPDX-License-Identifier: ISC */
/*
 * logins - the auth roles, as smtpd sees them.
 *
 * There may be several; exchanges are dealt out in turn, and stay where they
 * began. When an auth role dies or does not answer in time, its exchanges end
 * with 454, and the others go on.
 */
#ifndef SMTPD_LOGINS_H
#define SMTPD_LOGINS_H

#include "lib/proc/wire.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

struct logins;
struct loop;

enum { LOGINS_MAX = 16, LOGIN_WAIT_MS = 30 * 1000 };

/* One exchange, inside its owner's object. Zeroed at birth. */
struct login {
	struct hash_node node;
	struct link      link; /* by deadline, while an answer is due */
	uint64_t         id;
	int64_t          deadline_ms;
	unsigned         at; /* which auth role */
	bool             open, waiting;
	/*
	 * One of these for each start and step, never from inside it. Texts are valid during
	 * the call.
	 */
	void (*more)(struct login *lg, struct str challenge);
	void (*done)(struct login *lg, const struct wire_auth_done *result);
};

struct logins *logins_create(struct loop *l);
void           logins_destroy(struct logins *ls); /* no exchange may be open */
void           logins_attach(struct logins *ls, unsigned index, int fd);

/* Who is to hear that a channel has ended. */
void logins_on_lost(struct logins *ls, void (*fn)(enum role_id who, unsigned index));

/* Mechanisms to offer, space separated; empty while no auth role is there. */
struct str logins_mechs(const struct logins *ls, bool tls);

/* `start` without its id, which is made here. */
void login_start(struct logins *ls, struct login *lg, struct wire_auth_start start);
void login_step(struct logins *ls, struct login *lg, struct str response); /* decoded */
void login_cancel(struct logins *ls, struct login *lg);

#endif
