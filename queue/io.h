/* SPDX-License-Identifier: ISC */
/*
 * io - the system calls that decide whether mail is safe, as a table.
 *
 * The store reaches the disk through these alone, so that a test can make any
 * of them fail. Each answers as the system call does: -1 and errno.
 */
#ifndef QUEUE_IO_H
#define QUEUE_IO_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct io {
	ssize_t (*write)(int fd, const struct iovec *iov, int n, off_t at);
	ssize_t (*read)(int fd, void *to, size_t n, off_t at);
	int (*sync)(int fd);                 /* the octets of a file */
	/*
	 * These octets are on their way to the disk, or there; only sync() is a promise. A failure that is told here
	 * is not told there again: it must not be ignored.
	 */
	int (*push)(int fd, off_t at, off_t n);
	int (*sync_dir)(int fd);             /* the names in a folder */
	int (*allocate)(int fd, off_t size); /* blocks for all of 0..size, size set */
	int (*rename)(int dirfd, const char *from, const char *to);
	int (*unlink)(int dirfd, const char *name);
};

/* xxh3 of the first `size` octets; `sum` is the seed, then the result. -1 and EIO if there are fewer. */
int io_sum(const struct io *io, int fd, uint64_t size, uint64_t *sum);

extern const struct io io_real;
/* For throwaway spools: as io_real, but nothing is ever synced. */
extern const struct io io_unsafe;

#endif
