/* SPDX-License-Identifier: ISC */
#include "lib/util/fd.h"

#include <errno.h>
#include <unistd.h>

bool
fd_write(int fd, struct str octets)
{
	while (octets.n > 0) {
		ssize_t n = write(fd, octets.p, octets.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* a disk that takes nothing would be asked for ever */
		if (n <= 0)
			return false;
		octets = str_skip(octets, (size_t)n);
	}
	return true;
}
