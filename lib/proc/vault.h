/* SPDX-License-Identifier: ISC */
/*
 * vault - the memory of OpenSSL in a process that holds private keys: never swapped out, in no core,
 * in no child, overwritten when it is freed.
 *
 * OpenSSL's own secure heap would hold the numbers of a key and miss the copies of its primes that it makes to
 * calculate with. So all that it allocates comes from one piece of memory of our own. That is small enough
 * for the limit that every process has (RLIMIT_MEMLOCK, 8 MiB in Linux since 5.16), and so needs no capability; where
 * there is no limit, all of the process is locked besides. What does not fit is ordinary memory, wiped like the rest.
 */
#ifndef LIB_PROC_VAULT_H
#define LIB_PROC_VAULT_H

#include <stdbool.h>
#include <stddef.h>

/* Before anything else of OpenSSL; twice is once. */
void vault_open(void);

/* Nothing is outside of locked memory. If not, `why` says what is the matter: static. */
bool vault_is_locked(const char **why);

/* Where it is, for tests; 0 octets: there is none. */
size_t vault_place(const void **base);

#endif
