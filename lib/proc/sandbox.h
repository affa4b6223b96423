/* SPDX-License-Identifier: ISC */
/*
 * sandbox - what a role gives up before it hears a stranger.
 *
 * One row for each role in sandbox.c says what it keeps. Started as root it
 * changes to the account of `user-account` and, where the row says so, has an
 * empty directory as its root. Always: no new privileges, no core, not to be
 * traced, limits, and as far as the kernel has them landlock (files, TCP) and
 * seccomp (system calls). docs/security.md says what is left to each role.
 */
#ifndef LIB_PROC_SANDBOX_H
#define LIB_PROC_SANDBOX_H

#include <sys/types.h>

#include "lib/proc/wire.h"

struct account {
	bool change; /* false: not root, or root of a container that may not change: stay who we are */
	uid_t uid;
	gid_t gid;
};

/* Who the roles will be. False and a sentence in `why` if there is no such account. */
bool account_find(struct str name, struct account *a, struct buf *why) MUST_USE;

struct sandbox {
	enum role_id role;
	struct str   account;
	int          folder;   /* the directory of a role that has one, or -1; stays the caller's */
	struct buf   in_force; /* set: a list like "uid,chroot,landlock7,seccomp"; the caller's */
};

/*
 * For the calling process, once and for good, before it has threads. What the kernel lacks is
 * told in one line of the log. False: it must end; `why` says what failed.
 */
bool sandbox_enter(struct sandbox *s, struct buf *why) MUST_USE;

/* For a process that has secrets and no role: no core, not to be traced. */
bool sandbox_hide(struct buf *why) MUST_USE;

#endif
