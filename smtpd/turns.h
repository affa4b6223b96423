/* SPDX-License-Identifier: ISC */
/*
 * turns - whose turn it is to take the next connection.
 *
 * All smtpd processes accept from the same sockets, and whoever is awake takes what is there. That suits
 * short sessions; but long ones that come in one burst would all be of one process, while the other
 * cores sleep. So a process with many more sessions than another one rests for a moment.
 *
 * Each process writes into a cell of its own. The others may have written anything into theirs, and the worst
 * that can come of it is that this one rests after each connection.
 */
#ifndef SMTPD_TURNS_H
#define SMTPD_TURNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TURNS_REST_MS = 1 };

struct turns {
	_Atomic uint32_t *cells; /* of each process; 0: it takes no connections. NULL: nobody to share with */
	unsigned          own, n;
	uint32_t          sessions;
	bool              rests;
};

/* `cells` are those of `n` processes and stay the caller's; we take part from the first turns_count() on. */
void turns_share(struct turns *t, _Atomic uint32_t *cells, unsigned own, unsigned n);
void turns_leave(struct turns *t); /* takes no more connections */

void turns_count(struct turns *t, size_t sessions); /* so many are there now */
void turns_rest(struct turns *t, bool on);

/* True: others should go first. Never true for the one with the fewest sessions. */
bool turns_is_ahead(const struct turns *t);

#endif
