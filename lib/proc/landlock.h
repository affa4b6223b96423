/* SPDX-License-Identifier: ISC */
/*
 * landlock - which files and TCP ports a process can still reach, whatever its account may.
 *
 * The kernel interface is used by its system calls: headers and libraries of
 * most systems are older than the kernels that they run on.
 */
#ifndef LIB_PROC_LANDLOCK_H
#define LIB_PROC_LANDLOCK_H

#include <stdbool.h>

#include "lib/util/str.h"

struct landlock_wish {
	/* Files and folders, the last one NULL; NULL: none. One that does not exist is left out. */
	const char *const *readable;
	int                folder;  /* a directory in which all is allowed but to execute, or -1 */
	bool               connect; /* TCP connections to anywhere, from ports that the kernel chooses */
};

/*
 * For the calling thread and what it starts, for good. The version of the kernel's interface
 * that is in force; each later one forbids more. 0 with errno: this kernel has none of it.
 * Needs no_new_privs.
 */
int landlock_enter(const struct landlock_wish *w) MUST_USE;

#endif
