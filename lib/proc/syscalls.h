/* SPDX-License-Identifier: ISC */
/*
 * syscalls - which system calls a role still has.
 *
 * A call that is not on the role's list fails with EPERM and leaves a line in the
 * kernel's log. Calls that only an intruder makes end the process.
 */
#ifndef LIB_PROC_SYSCALLS_H
#define LIB_PROC_SYSCALLS_H

#include "lib/proc/wire.h"

/*
 * For the calling thread and what it starts, for good; needs no_new_privs. Takes no memory. 0, or
 * an errno value: ENOSYS on an architecture whose calls are not known here, or what the kernel says.
 */
int syscalls_enter(enum role_id role) MUST_USE;

#endif
