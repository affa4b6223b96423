/* SPDX-License-Identifier: ISC */
/*
 * gate - whether a mail may leave at all, and with which keys.
 *
 * Two things can keep mail waiting: no key of its domain is published yet
 * (delivery/published.h), and with `preflight enforce` a check of the doctor that
 * fails. Nothing is refused or lost: the queue keeps it and is told when a gate has opened.
 */
#ifndef DELIVERY_GATE_H
#define DELIVERY_GATE_H

#include "lib/mail/envelope.h"
#include "lib/mail/reply.h"
#include "lib/proc/config.h"

struct gates;
struct published;
struct route;

/* What the doctor said last. */
struct gates *gates_create(void);
void          gates_destroy(struct gates *g); /* NULL is allowed */

/*
 * A text of wire_gates in place of the last one; keys that others have seen go to `p`. True: a gate
 * may have opened or closed.
 */
bool gates_take(struct gates *g, struct str rows, struct published *p);

/* May IPv6 be used? NULL: there is no doctor to ask. */
bool gates_ipv6(const struct gates *g, const struct config *c);

enum { GATE_KEYS_MAX = 8 };

enum gate_way {
	GATE_OPEN,
	GATE_WAIT, /* it is being asked: published_wait(), then try again */
	GATE_HOLD, /* back to the queue with `reply` */
};

struct gate_pass {
	/* OPEN: these keys sign. NULL: as configured, or, if `unsigned_why` is set, none. */
	const struct dkim_conf *keys;
	const char             *unsigned_why;
	bool                    only_ipv6; /* OPEN: a check of our IPv4 address fails, those of IPv6 pass */
	struct reply            reply; /* HOLD; its text is in `text` */
	struct buf              text;

	struct dkim_conf     part; /* what `keys` points to */
	struct dkim_key_conf list[GATE_KEYS_MAX];
};

/* `g` and `p` may be NULL: then nothing is asked. `pass` is to be freed in any case. */
enum gate_way
     gate_try(const struct gates *g, struct published *p, const struct config *c,
              const struct envelope *env, const struct route *route, struct gate_pass *pass);
void gate_pass_free(struct gate_pass *pass);

#endif
