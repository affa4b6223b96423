/* SPDX-License-Identifier: ISC */
/* memory - what this process costs, its proportional share (PSS), and what it leaves in what it frees. */
#ifndef LIB_PROC_MEMORY_H
#define LIB_PROC_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

int
memory_open(void); /* the kernel's account, to be opened before the sandbox; -1 if there is none */
bool memory_pss_kib(int fd, uint64_t *kib);

/*
 * OpenSSL overwrites all that it frees, from here to the end of the process: it does so with keys, but not with
 * the texts that they are read from. Must come before anything else of OpenSSL.
 */
void memory_openssl_wipes(void);

#endif
