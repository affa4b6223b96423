/* SPDX-License-Identifier: ISC */
#include "lib/proc/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* Since Linux 6.3; an older kernel refuses what it does not know. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

static int
make(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	return fd >= 0 || errno != EINVAL ? fd
	                                  : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int
shared_create(const char *name, size_t octets)
{
	int fd = make(name), error;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)octets) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void *
shared_map(int fd, size_t *octets)
{
	int   seals = fcntl(fd, F_GET_SEALS);
	off_t end;
	void *p;

	/* Not fstat(): the C library makes of it a call on paths, which no sandbox here allows. */
	if (seals < 0 || (end = lseek(fd, 0, SEEK_END)) < 0)
		return NULL;
	if ((seals & SEALS) != SEALS || end == 0) {
		errno = EINVAL;
		return NULL;
	}
	*octets = (size_t)end;
	p = mmap(NULL, *octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

size_t
shared_next(int fd, size_t *at, size_t octets)
{
	off_t from = lseek(fd, (off_t)*at, SEEK_DATA), to;

	if (from < 0 || (size_t)from >= octets)
		return 0;
	to = lseek(fd, from, SEEK_HOLE);
	*at = (size_t)from;
	return to <= from ? 0 : (size_t)(to - from);
}
