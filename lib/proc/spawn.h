/* SPDX-License-Identifier: ISC */
/* spawn - a child process with few descriptors and no secrets in its environment. */
#ifndef LIB_PROC_SPAWN_H
#define LIB_PROC_SPAWN_H

#include <sys/types.h>

#include "lib/proc/wire.h"

enum { SPAWN_CHANNEL_FD = 3, SPAWN_KEEP_FD = 4 };

struct spawn {
	const char  *program; /* NULL: this program again */
	enum role_id role;
	unsigned     index;
	int          channel; /* becomes descriptor 3 */
	int          keep;    /* becomes descriptor 4, or -1 */
};

/* `program --role NAME INDEX`. The process id, or -1 with errno. Descriptors stay the caller's. */
pid_t spawn_role(const struct spawn *s);

#endif
