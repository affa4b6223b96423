/* SPDX-License-Identifier: ISC */
/*
 * stage - a whole role, played at by hostile neighbours.
 *
 * role.c stands in for lib/proc/role.c, and tests/fake for the network: the role's own main
 * function runs with its real hooks, the input is what the other roles, the peers and the clock do. Whatever
 * that is, the role must come to its end by itself when it is drained.
 *
 * The input is a list of acts, one octet each and what the act needs:
 *
 *     0..   a frame: which of those that may come (an octet), its payload (a piece, fuzz.h), once decoded
 *     '!'   all frames of the role get a good answer, if the play has one, else they are dropped
 *     '?'   the oldest is lost
 *     '#'   frames come from one channel of several (an octet: from 1, in the order of opening; 0: from the last one spoken to)
 *     'x'   a neighbour dies (an octet: which) and comes back, or a second one comes while the first lives
 *     'w'   time passes: 2^n ms
 *     'c'   the same configuration once more
 *     's'   the supervisor asks for figures
 *     0-9   from now on the peer is the newest, the one before ...; without that it is the newest
 *     'o'   his connection gets through; '>' he sends a piece; 'e' he has sent all; 't' TLS succeeds; 'k' it breaks;
 *           'z' he reads nothing (odd octet) or again
 *     others are the play's own
 *
 * Acts from 128 on are the same, less 128, but the loop does not turn after them.
 */
#ifndef TESTS_FUZZ_STAGE_H
#define TESTS_FUZZ_STAGE_H

#include "tests/fake/fake.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/role.h"

struct play {
	int (*role_main)(unsigned index);
	const char *config; /* as config_render() writes it */
	unsigned    listeners; /* smtpd's */
	/* All may be NULL. `answer`: the frame is dropped afterwards. `after`: the role has ended. */
	int (*spool)(void); /* a descriptor of the directory */
	void (*begin)(struct role *r);
	void (*answer)(struct loop *l, const struct fake_frame *f);
	void (*act)(struct role *r, unsigned act, struct str *rest);
	void (*end)(struct loop *l);
	void (*after)(struct loop *l);
};

void stage_play(const struct play *p, struct str in);

/* A frame from a neighbour, if it is there; the descriptor is the role's. */
void stage_give(struct loop *l, enum wire_id id, const void *msg, int fd);

/* Append acts: the peer sends `octets`, in pieces of at most `step`, and each time all frames are answered. */
void stage_add_octets(struct buf *acts, struct str octets, size_t step);

#endif
