/* SPDX-License-Identifier: ISC */
/*
 * rejoin - a new channel for two roles that have lost theirs while both live.
 *
 * A malformed frame ends a channel and nothing else. Killing one of the two would let
 * whoever has taken over the other decide who dies, so they get another pair of sockets: after
 * half a second (a death would be known by then, and brings new channels by itself), and doubled each time up to 10 s.
 */
#ifndef LIB_PROC_REJOIN_H
#define LIB_PROC_REJOIN_H

#include "lib/util/list.h"

struct loop;
struct member;

struct rejoins {
	struct loop *loop;
	struct list  pairs; /* of two that have ever lost each other */
	void (*join)(struct member *a, struct member *b);
};

void rejoins_init(struct rejoins *js, struct loop *l, void (*join)(struct member *a, struct member *b));
void rejoins_free(struct rejoins *js);

/* `a` says that its channel to `b` has ended. Told by both or told often, it is done once. */
void rejoins_lost(struct rejoins *js, struct member *a, struct member *b);

#endif
