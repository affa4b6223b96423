/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/util/fd.h"
#include "lib/util/mem.h"

enum { MUCH = 300 * 1024 };

struct reader {
	int    fd;
	size_t n;
	bool   same;
};

/* Slowly, and in odd pieces. */
static void *
read_all(void *arg)
{
	struct reader *r = arg;
	char           piece[777];
	ssize_t        n;

	while ((n = read(r->fd, piece, sizeof piece)) > 0)
		for (ssize_t i = 0; i < n; i++)
			r->same = r->same && piece[i] == (char)('a' + r->n++ % 23);
	return NULL;
}

/* A pipe takes 64 KiB at a time. */
static void
all_octets_arrive(void **state)
{
	char         *much = mem_zero(MUCH);
	int           ends[2];
	struct reader r = {.same = true};
	pthread_t     thread;

	(void)state;
	for (size_t i = 0; i < MUCH; i++)
		much[i] = (char)('a' + i % 23);
	assert_int_equal(pipe(ends), 0);
	r.fd = ends[0];
	assert_int_equal(pthread_create(&thread, NULL, read_all, &r), 0);
	assert_true(fd_write(ends[1], STR_NONE));
	assert_true(fd_write(ends[1], (struct str){much, MUCH}));
	close(ends[1]);
	pthread_join(thread, NULL);
	close(ends[0]);
	assert_int_equal(r.n, MUCH);
	assert_true(r.same);
	free(much);
}

static void
a_full_disk_is_told(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_false(fd_write(fd, STR("one line\n")));
	assert_int_equal(errno, ENOSPC);
	close(fd);
	assert_false(fd_write(-1, STR("one line\n")));
	assert_int_equal(errno, EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_octets_arrive),
		cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
