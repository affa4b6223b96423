/* SPDX-License-Identifier: ISC */
#include "queue/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

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

const struct io io_real = {
	.write = real_write,
	.read = real_read,
	.sync = real_sync,
	.sync_dir = real_sync_dir,
	.allocate = real_allocate,
	.rename = real_rename,
	.unlink = real_unlink,
};

const struct io io_unsafe = {
	.write = real_write,
	.read = real_read,
	.sync = no_sync,
	.sync_dir = no_sync,
	.allocate = real_allocate,
	.rename = real_rename,
	.unlink = real_unlink,
};
