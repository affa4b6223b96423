/* SPDX-License-Identifier: ISC */
/* memory - what this process costs, its proportional share (PSS), what it gives back, and what it leaves in what it frees. */
#ifndef LIB_PROC_MEMORY_H
#define LIB_PROC_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* The kernel's account, to be opened before the sandbox; -1 if there is none. The caller's to close. */
int  memory_open(void);
bool memory_pss_kib(int fd, uint64_t *kib); /* read anew each time; false: it cannot be */

/*
 * Give back what the start needed and nobody needs now: free pages between what is allocated, and pages of
 * programs and libraries that are as they are on disk. Those come again when they are next touched, sixteen with
 * one fault. What the dynamic linker has written to stays.
 */
void memory_settle(void);

/*
 * OpenSSL overwrites all that it frees, from here to the end of the process: it does so with keys, but not with
 * the texts that they are read from. Must come before anything else of OpenSSL.
 */
void memory_openssl_wipes(void);

#endif
