/* SPDX-License-Identifier: ISC */
/* resources - what a process may take of the system's resources. */
#ifndef LIB_PROC_RESOURCES_H
#define LIB_PROC_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/util/str.h"

struct resources {
	uint64_t descriptors;   /* wanted; what the system allows is enough */
	uint64_t address_space; /* octets; 0: as much as the machine has memory, and not less than 4 GiB */
	bool     threads;       /* may start some */
};

/* `root`: hard limits may be raised. False with errno. */
bool resources_enter(const struct resources *l, bool root) MUST_USE;

#endif
