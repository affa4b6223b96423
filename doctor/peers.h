/* SPDX-License-Identifier: ISC */
/*
 * peers - servers of others that are always there, and what they say when we connect: whether they are
 * reached, from which address we come, and what time it is.
 */
#ifndef DOCTOR_PEERS_H
#define DOCTOR_PEERS_H

#include "doctor/exam.h"

enum { PEERS = 3 };

/* What the way to one of them came to. */
struct peer_talk {
	bool               pending;
	const struct fact *talk; /* greeting and EHLO; NULL: it has no address of this family, or pending */
};

struct peer_talk peers_talk(struct exam *e, size_t i, uint8_t family);

/*
 * The address of `family` that they see us with. False: none says so, none is known yet, or no
 * connections are to be made.
 */
bool peers_see(struct exam *e, uint8_t family, struct addr *seen);

#endif
