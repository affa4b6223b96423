/* SPDX-License-Identifier: ISC */
/* listener - accepts on a bound socket that several processes may share. */
#ifndef LIB_NET_LISTENER_H
#define LIB_NET_LISTENER_H

#include "lib/net/addr.h"

struct loop;
struct listener;

/* Bind and listen (backlog 4096, SO_REUSEADDR, IPV6_V6ONLY, non-blocking). -1 and a sentence in `why`. */
int listener_bind(struct addr at, struct buf *why) MUST_USE;

/*
 * The bound descriptor becomes the listener's. `fn` gets each accepted socket, now its own (non-blocking,
 * closed on exec), several in a turn of the loop; it may pause or close the listener. Out of descriptors:
 * accepting rests for 100 ms instead of spinning, logged once a minute.
 */
struct listener *listener_open(struct loop *l, int fd, void (*fn)(void *arg, int fd, struct addr peer), void *arg);
void             listener_pause(struct listener *ls); /* who comes waits in the kernel's backlog */
void             listener_resume(struct listener *ls);
void             listener_close(struct listener *ls); /* closes the descriptor; NULL is allowed */

#endif
