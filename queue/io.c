/* SPDX-License-Identifier: ISC */
#include "queue/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SUM_PIECE = 64 * 1024 }; /* on the stack of a small thread */

static ssize_t
real_write(int fd, const struct iovec *iov, int n, off_t at)
{
	return pwritev(fd, iov, n, at);
}

static ssize_t
real_read(int fd, void *to, size_t n, off_t at)
{
	return pread(fd, to, n, at);
}

static int
real_sync(int fd)
{
	return fdatasync(fd);
}

/* What the system does not know is no failure: the sync behind it does all the work then. */
static int
real_push(int fd, off_t at, off_t n)
{
	const unsigned how = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
	                     SYNC_FILE_RANGE_WAIT_AFTER;

	if (sync_file_range(fd, at, n, how) == 0 || errno == ENOSYS || errno == EINVAL ||
	    errno == ESPIPE || errno == EPERM)
		return 0;
	return -1;
}

static int
real_sync_dir(int fd)
{
	return fsync(fd);
}

/* A file system without preallocation gets a file with holes: its writes may then find it full. */
static int
real_allocate(int fd, off_t size)
{
	if (fallocate(fd, 0, 0, size) == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		return -1;
	return ftruncate(fd, size);
}

static int
real_rename(int dirfd, const char *from, const char *to)
{
	return renameat(dirfd, from, dirfd, to);
}

static int
real_unlink(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0);
}

static int
no_sync(int fd)
{
	(void)fd;
	return 0;
}

static int
no_push(int fd, off_t at, off_t n)
{
	(void)fd;
	(void)at;
	(void)n;
	return 0;
}

int
io_sum(const struct io *io, int fd, uint64_t size, uint64_t *sum)
{
	XXH3_state_t state;
	uint8_t      piece[SUM_PIECE];

	XXH3_INITSTATE(&state);
	XXH3_64bits_reset_withSeed(&state, *sum);
	for (uint64_t at = 0; at < size;) {
		uint64_t left = size - at;
		ssize_t  n = io->read(fd, piece, left < SUM_PIECE ? (size_t)left : SUM_PIECE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		XXH3_64bits_update(&state, piece, (size_t)n);
		at += (uint64_t)n;
	}
	*sum = XXH3_64bits_digest(&state);
	return 0;
}

const struct io io_real = {
	.write = real_write,
	.read = real_read,
	.sync = real_sync,
	.push = real_push,
	.sync_dir = real_sync_dir,
	.allocate = real_allocate,
	.rename = real_rename,
	.unlink = real_unlink,
};

const struct io io_unsafe = {
	.write = real_write,
	.read = real_read,
	.sync = no_sync,
	.push = no_push,
	.sync_dir = no_sync,
	.allocate = real_allocate,
	.rename = real_rename,
	.unlink = real_unlink,
};
