/* SPDX-License-Identifier: ISC */
/*
 * channel - framed messages between two roles over a socketpair.
 *
 * Frames are written together when the loop turns, so a burst costs one system
 * call. Every frame that comes in is treated as hostile: too long, unknown, not
 * allowed from that role or not decodable means that the peer is broken; the
 * channel closes and `gone` is called; the role lives on. tests/fake has a second implementation.
 */
#ifndef LIB_PROC_CHANNEL_H
#define LIB_PROC_CHANNEL_H

#include "lib/proc/wire.h"

struct channel;
struct loop;

struct channel_hooks {
	/*
	 * One decoded message: `msg` is the struct of `id` (wire.h), its texts valid
	 * during the call. `fd` is a passed descriptor, now the callee's, or -1. The callee may close the channel.
	 * A descriptor that could not be received, because we had none free, is -1 too.
	 */
	void (*message)(void *arg, enum wire_id id, const void *msg, int fd);
	/* The peer is gone or broken; close the channel from here or later. Comes once, never after channel_close(). */
	void (*gone)(void *arg, const char *why);
};

/* `me` and `peer` decide which messages may pass (the catalogue). The descriptor becomes the channel's. */
struct channel *channel_open(struct loop *l, int fd, enum role_id me, enum role_id peer,
                             const struct channel_hooks *hooks, void *arg);
void            channel_close(struct channel *c); /* NULL is allowed */

/*
 * Encode and queue; `msg` is the struct of `id`, copied. `fd` is passed along and closed here afterwards, or
 * -1. Never blocks and never fails for the caller: a broken channel drops it, and `gone` comes. There is no
 * limit to what may wait here, so who sends what strangers bring looks at channel_unsent().
 */
void   channel_send(struct channel *c, enum wire_id id, const void *msg, int fd);
size_t channel_unsent(const struct channel *c); /* octets waiting for the peer to read */

/* Before the process ends: write what waits, blocking for at most `ms`. False if not all went out. */
bool channel_finish(struct channel *c, int64_t ms);

#endif
