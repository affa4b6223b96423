/* SPDX-License-Identifier: ISC */
/* memory - what this process costs: its proportional share (PSS). */
#ifndef LIB_PROC_MEMORY_H
#define LIB_PROC_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

int
memory_open(void); /* the kernel's account, to be opened before the sandbox; -1 if there is none */
bool memory_pss_kib(int fd, uint64_t *kib);

#endif
