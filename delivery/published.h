/* SPDX-License-Identifier: ISC */
/*
 * published - which DKIM keys have their record in the DNS.
 *
 * A signature that nobody can check is worse than none, so a key is used only once its
 * record was seen with the right public half. The look is a table's; a question goes
 * out for a key that is new, and when an answer has grown old, without anybody waiting for
 * that. A key that was seen stays good for a week of failing DNS; one that never was does not sign.
 */
#ifndef DELIVERY_PUBLISHED_H
#define DELIVERY_PUBLISHED_H

#include "lib/proc/config.h"
#include "lib/util/list.h"

struct dns;
struct loop;
struct published;

enum key_state {
	KEY_ASKED, /* nothing is known yet; it will be within seconds */
	KEY_PUBLISHED,
	KEY_UNPUBLISHED, /* missing, another one, revoked */
	KEY_SILENT,      /* never seen, and the DNS does not say */
};

/*
 * A key has changed its state: `why` empty says that it is published. `key` is the end of
 * its public half, which tells it from an earlier one of its name.
 */
typedef void published_fn(void *arg, struct str name, struct str key, struct str why);

struct published *published_create(struct loop *l, published_fn *changed, void *arg);
void              published_destroy(struct published *p); /* NULL is allowed */

/* The resolver from now on, NULL for none; to be called before the one in use is closed. */
void published_resolver(struct published *p, struct dns *dns);

/*
 * What is known of a key of `domain`. `why` is for people, in case of UNPUBLISHED and SILENT, and valid until
 * the loop turns.
 */
enum key_state published_look(struct published *p, struct str domain, const struct dkim_key_conf *k,
                              struct str *why);

/* Another process has seen a record: "NAME KEY" as in published_fn. forget: all that was said so. */
void published_seen(struct published *p, struct str line);
void published_forget(struct published *p);

/* Someone who waits for an ASKED key; `fn` comes once something has changed, and he has left the list. */
struct published_wait {
	struct link link;
	void (*fn)(void *arg);
	void *arg;
};

void published_wait(struct published *p, struct published_wait *w);
void published_leave(struct published *p, struct published_wait *w); /* in no list: allowed */

/* The end of a public half that stands for it in messages. */
struct str published_tail(struct str half);

#endif
