/* SPDX-License-Identifier: ISC */
/*
 * sockets - the listening sockets of a configuration.
 *
 * The supervisor owns them and hands copies to the roles. On a reload a socket
 * whose address stays is the same socket: no connection that waits in it is lost.
 */
#ifndef LIB_PROC_SOCKETS_H
#define LIB_PROC_SOCKETS_H

#include "lib/net/addr.h"

struct config;

struct socket_row {
	struct addr at;
	int         fd;
	bool        fresh; /* not the socket that was in this place before */
};

struct sockets { /* places as in config's listeners */
	struct socket_row *v;
	size_t             n;
};

/*
 * Make `next` for `c`, taking over from `now` what stays. False with a sentence in
 * `why`: nothing has changed. After true either sockets_swap() or sockets_undo() follows.
 */
bool sockets_plan(struct sockets *next, const struct sockets *now, const struct config *c,
                  struct buf *why) MUST_USE;
void sockets_swap(struct sockets *now, struct sockets *next); /* closes what is left over */
void sockets_undo(const struct sockets *now, struct sockets *next);
void sockets_close(struct sockets *s);

/* Where it really listens: a port 0 of the configuration has become a number. */
struct addr sockets_addr(const struct socket_row *row);

#endif
