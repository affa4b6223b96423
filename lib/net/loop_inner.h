/* SPDX-License-Identifier: ISC */
/* loop_inner - what the rest of lib/net needs of a loop and nobody else. */
#ifndef LIB_NET_LOOP_INNER_H
#define LIB_NET_LOOP_INNER_H

#include "lib/net/loop.h"

enum { LOOP_SCRATCH = 64 * 1024 };

struct event;
struct timeval;

/*
 * event_add() that succeeds: who waits for an event that could not be had would wait for
 * ever, so missing memory, ours or the kernel's, is the end of the role, as in mem_*. What
 * is watched are sockets, which have no other reason to be refused.
 */
void loop_event_add(struct event *ev, const struct timeval *in);

/*
 * LOOP_SCRATCH octets that whoever runs now may use until it returns to the loop.
 * Sockets are read into it, so that an idle stream needs no buffer of its own.
 */
char *loop_scratch(struct loop *l);

/*
 * Streams that nobody owns any more and that still send their last words;
 * loop_destroy() calls `sweep` for each.
 */
struct list *loop_orphans(struct loop *l, void (*sweep)(struct link *orphan));

#endif
