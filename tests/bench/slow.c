/* SPDX-License-Identifier: ISC */
/* slow - LD_PRELOAD=slow.so: every fdatasync takes 2 ms more, as on a disk behind a network. */
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

int
fdatasync(int fd)
{
	const struct timespec more = {.tv_nsec = 2 * 1000 * 1000};
	union {
		void *object;
		int (*call)(int);
	} real = {dlsym(RTLD_NEXT, "fdatasync")};
	int r = real.call(fd);

	nanosleep(&more, NULL);
	return r;
}
