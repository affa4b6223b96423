/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/time.h"
#include "queue/imported.h"

enum { NOW_S = 1800000000, DAY_S = 86400 };

static char dir[] = "/tmp/test_imported-XXXXXX";
static int  dirfd_;

static int64_t
wall(void)
{
	return (int64_t)NOW_S * 1000;
}

static int64_t
mono(void)
{
	return 1;
}

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	time_hook(wall, mono);
	return dirfd_ < 0;
}

static int
teardown(void **state)
{
	(void)state;
	time_hook(NULL, NULL);
	unlinkat(dirfd_, "imported", 0);
	close(dirfd_);
	return rmdir(dir);
}

/* "%1" to "%9": that id as text. */
static void
expand(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '%')
			id_format(out, (uint64_t)*++text - '0');
		else
			buf_addc(out, *text);
	}
}

static void
put(const char *text)
{
	struct buf b = BUF(4096);
	int        fd = openat(dirfd_, "imported", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	expand(&b, text);
	assert_int_equal(write(fd, b.p != NULL ? b.p : "", b.n), b.n);
	close(fd);
	buf_free(&b);
}

static void
file_is(const char *text)
{
	struct buf b = BUF(4096);
	char       octets[4096];
	int        fd = openat(dirfd_, "imported", O_RDONLY | O_CLOEXEC);
	ssize_t    n = fd < 0 ? 0 : read(fd, octets, sizeof octets - 1);

	assert_true(n >= 0);
	octets[n] = '\0';
	expand(&b, text);
	assert_string_equal(octets, buf_z(&b));
	if (fd >= 0)
		close(fd);
	buf_free(&b);
}

/* Which of 1 to 9 are there. */
static void
has(const struct imported *p, const char *which)
{
	for (uint64_t id = 1; id <= 9; id++)
		if (imported_has(p, id) != (strchr(which, (int)('0' + id)) != NULL))
			fail_msg("%d is%s there, not \"%s\"", (int)id, imported_has(p, id) ? "" : " not", which);
}

static void
a_file_is_read_and_mended(void **state)
{
	static const struct {
		const char *file, *ids, *then; /* NULL: as it was */
	} rows[] = {
		{"", "", NULL},
		{"at 1800000000\n%2\n%1\n", "12", NULL},
		{"at 1799913600\n%1\nat 1800000000\n%3\n", "13", NULL},
		/* old: a day is kept */
		{"at 1799913599\n%1\n%2\nat 1799913600\n%3\n", "3", "at 1799913600\n%3\n"},
		{"at 1\n%1\n", "", ""},
		/* cut short by a crash, and what a disk may give back */
		{"at 1800000000\n%1\n%2", "1", "at 1800000000\n%1\n"},
		{"at 1800000000\n%1\nat 18000", "1", "at 1800000000\n%1\n"},
		{"at 1800000000\n%1\nuuuuuuuuuuuuu\n\n%2\n", "12", "at 1800000000\n%1\n%2\n"},
		{"%1\nat 1800000000\n%2\n", "2", "at 1800000000\n%2\n"},
		{"at x\n%1\n", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct imported p = {0};

		put(rows[i].file);
		assert_true(imported_open(&p, dirfd_, NOW_S - DAY_S));
		has(&p, rows[i].ids);
		file_is(rows[i].then != NULL ? rows[i].then : rows[i].file);
		imported_close(&p);
	}
}

static void
what_is_saved_is_there_for_the_next(void **state)
{
	struct imported p = {0}, q = {0};

	(void)state;
	unlinkat(dirfd_, "imported", 0);
	assert_true(imported_open(&p, dirfd_, 0));
	imported_add(&p, 5);
	imported_add(&p, 3);
	assert_true(imported_save(&p));
	has(&p, "35");
	assert_true(imported_save(&p)); /* nothing new */
	file_is("at 1800000000\n%5\n%3\n");
	assert_true(imported_open(&p, -1, 0)); /* another import at the same time */
	imported_add(&p, 3);
	imported_add(&p, 4);
	assert_true(imported_save(&p));
	file_is("at 1800000000\n%5\n%3\nat 1800000000\n%4\n");
	imported_close(&p);
	has(&p, "345");
	imported_close(&p);
	assert_null(p.ids);
	assert_true(imported_open(&q, dirfd_, 0));
	has(&q, "345");
	imported_close(&q);
}

/* A sync that failed may have lost what seems to be in the file: it is written anew. */
static void
a_failure_is_told_until_a_new_file_is_written(void **state)
{
	struct imported p = {0};
	struct stat     before, after;

	(void)state;
	put("at 1800000000\n%1\n");
	assert_int_equal(fstatat(dirfd_, "imported", &before, 0), 0);
	assert_true(imported_open(&p, dirfd_, 0));
	imported_add(&p, 2);
	p.dirfd = -1;
	assert_false(imported_save(&p));
	p.dirfd = dirfd_;
	assert_false(imported_save(&p));
	imported_close(&p);
	assert_true(imported_open(&p, dirfd_, 0));
	has(&p, "1");
	assert_int_equal(fstatat(dirfd_, "imported", &after, 0), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	imported_add(&p, 2);
	assert_true(imported_save(&p));
	file_is("at 1800000000\n%1\nat 1800000000\n%2\n");
	imported_close(&p);

	unlinkat(dirfd_, "imported", 0);
	assert_int_equal(symlinkat("imported", dirfd_, "imported"), 0);
	assert_false(imported_open(&p, dirfd_, 0));
	assert_int_equal(p.users, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_and_mended),
		cmocka_unit_test(what_is_saved_is_there_for_the_next),
		cmocka_unit_test(a_failure_is_told_until_a_new_file_is_written),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
