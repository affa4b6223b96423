/* SPDX-License-Identifier: ISC */
/*
 * sync - how many records of 4 KiB a disk makes durable, and prints one JSON line.
 *
 *     sync FOLDER
 *
 * For 1, 10 and 100 writers that wait for one another: as many records as there are
 * writers, one write, one fdatasync, for half a second; on a file that grows, and on one whose
 * blocks were written before. No queue on this disk can be faster than that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RECORD = 4096, FILE_SIZE = 64 * 1024 * 1024 };

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "sync: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
put(int fd, const char *octets, size_t n, off_t at)
{
	if (pwrite(fd, octets, n, at) != (ssize_t)n)
		die("write");
}

static double
measure(int fd, const char *octets, unsigned writers, bool grows)
{
	size_t   batch = (size_t)writers * RECORD;
	double   began, end;
	unsigned n = 0;
	off_t    at = 0;

	if (ftruncate(fd, 0) != 0)
		die("truncate");
	for (off_t to = 0; !grows && to + (off_t)batch <= FILE_SIZE; to += (off_t)batch)
		put(fd, octets, batch, to);
	if (fsync(fd) != 0)
		die("sync");
	began = now();
	do {
		if (!grows && at + (off_t)batch > FILE_SIZE)
			at = 0;
		put(fd, octets, batch, at);
		if (fdatasync(fd) != 0)
			die("sync");
		at += (off_t)batch;
		n += writers;
		end = now();
	} while (end - began < 0.5);
	return n / (end - began);
}

int
main(int argc, char **argv)
{
	static const unsigned writers[] = {1, 10, 100};
	char                 *octets = calloc(100, RECORD);
	char                  path[4096];
	int                   fd;

	if (octets == NULL)
		die("memory");
	if (argc != 2) {
		fprintf(stderr, "sync FOLDER\n");
		free(octets);
		return 2;
	}
	snprintf(path, sizeof path, "%s/sync-probe", argv[1]);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	unlink(path);
	memset(octets, 'x', (size_t)100 * RECORD);
	printf("{");
	for (unsigned i = 0; i < sizeof writers / sizeof writers[0]; i++) {
		double grows = measure(fd, octets, writers[i], true);
		double again = measure(fd, octets, writers[i], false);

		printf("%s\"%u\":{\"growing\":%.0f,\"written\":%.0f}", i == 0 ? "" : ",", writers[i], grows, again);
	}
	printf("}\n");
	free(octets);
	close(fd);
	return 0;
}
