/* SPDX-License-Identifier: ISC */
/*
 * panel - the daemon's side of the control socket.
 *
 * A caller connects, says one line within 5 seconds, and gets one answer. Who
 * may call is decided by the mode of the socket, and looked at again here; our own
 * child processes may not.
 */
#ifndef LIB_PROC_PANEL_H
#define LIB_PROC_PANEL_H

#include <sys/types.h>

#include "lib/util/buf.h"

struct caller;
struct loop;
struct panel;

/* `request` is called with the line, without its end. It must answer or hand on, at once or later. */
typedef void panel_fn(void *arg, struct caller *k, struct str line);

/* `fd` is a listening socket and becomes the panel's. `group`: members may call as root and we do. */
struct panel *panel_open(struct loop *l, int fd, gid_t group, panel_fn *request, void *arg);
void panel_close(struct panel *p); /* NULL is allowed; callers without an answer are dropped */

/* Both end the caller: the pointer is dead afterwards. */
void caller_answer(struct caller *k, struct str rows); /* copied; sent as fast as it is read */
int  caller_take(struct caller *k);                    /* the connection, now the callee's */

/* For the log. */
uid_t caller_uid(const struct caller *k);

#endif
