/* SPDX-License-Identifier: ISC */
/*
 * talk - one conversation by SMTP after a script, and what the other side said.
 *
 * A script has one command a line, each said once the one before is answered; QUIT is added.
 * "+COMMAND" is said together with the line before it, and as the first line of all without
 * waiting for the greeting. "!tls" begins TLS, if the reply before was 220 or there was none yet;
 * no certificate is verified. "%0D" stands for that octet.
 *
 * The other side may be anybody: replies are short or cut, and time is limited.
 */
#ifndef DOCTOR_TALK_H
#define DOCTOR_TALK_H

#include "lib/dns/dns.h"

struct loop;
struct talk;
struct tls_client;

enum { TALK_MS = 3500 }; /* a whole conversation, the way there included */

struct talk_way {
	struct loop       *loop;
	int                fd; /* of a connection that stands, becomes the talk's; -1: connect */
	struct addr        to;
	struct tls_client *tls; /* outlives the talk; may be NULL if the script has no "!tls" */
};

/*
 * `done` comes once, never from inside this call. The talk stays the caller's, who must not destroy
 * it in `done`, but may before or after.
 */
struct talk *talk_start(const struct talk_way *way, struct str script, void (*done)(void *arg),
                        void *arg);
void         talk_destroy(struct talk *t); /* NULL is allowed */

/*
 * What was said so far, in the form of facts.h; OK if there was a connection. Valid until the
 * talk goes on.
 */
void talk_answer(struct talk *t, struct dns_answer *answer);

#endif
