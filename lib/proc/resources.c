/* SPDX-License-Identifier: ISC */
#include "lib/proc/resources.h"

#include <sys/resource.h>
#include <unistd.h>

#include "lib/proc/traced.h"

static const uint64_t least_space = 4ull << 30;

static bool
set(int resource, rlim_t want, bool root)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
		return false;
	if (root && want > now.rlim_max &&
	    setrlimit((__rlimit_resource_t)resource, &(struct rlimit){want, want}) == 0)
		return true;
	if (want > now.rlim_max)
		want = now.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &(struct rlimit){want, want}) == 0;
}

/* A role that asks for more than the machine has is broken, or is being made to. */
static uint64_t
machine_memory(void)
{
	long     pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t all = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;

	return all > least_space ? all : least_space;
}

bool
resources_enter(const struct resources *l, bool root)
{
	uint64_t space = l->address_space > 0 ? l->address_space : machine_memory();

	if (!set(RLIMIT_NOFILE, l->descriptors, root) || !set(RLIMIT_CORE, 0, false))
		return false;
	if (TRACED) /* sanitizers reserve terabytes, and look for leaks from a process of their own */
		return true;
	return set(RLIMIT_AS, space, false) && (l->threads || set(RLIMIT_NPROC, 0, false));
}
