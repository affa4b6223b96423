/* SPDX-License-Identifier: ISC */
/* notify - what systemd wants to hear (sd_notify(3)); without NOTIFY_SOCKET nothing happens. */
#ifndef LIB_PROC_NOTIFY_H
#define LIB_PROC_NOTIFY_H

#include "lib/util/str.h"

/* Lines "READY=1", "STATUS=...", separated by "\n". Never blocks, never fails. */
void notify_send(struct str lines);

/* RELOADING=1 with the time that systemd demands beside it. */
void notify_reloading(void);

#endif
