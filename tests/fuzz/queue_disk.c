/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/queue_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "queue/commit.h"
#include "queue/segment.h"
#include "queue/store_disk.h"
#include "tests/fake/fake.h"
#include "tests/fuzz/fuzz.h"

enum { FAIL_SYNC = 1, COMMITS = 4 };

/* The hooks of io.h have no argument. */
static struct {
	char           folder[64];
	struct commit *commits[COMMITS];
	bool           hangs;
	unsigned       failing; /* so many calls from now; 0: none */
	bool           fails_sync;
} disk;

/* ---- the calls ---- */

static bool
fails(bool is_sync)
{
	if (disk.failing == 0 || disk.fails_sync != is_sync || --disk.failing > 0)
		return false;
	errno = EIO;
	return true;
}

static ssize_t
write_or_fail(int fd, const struct iovec *iov, int n, off_t at)
{
	return fails(false) ? -1 : io_unsafe.write(fd, iov, n, at);
}

static ssize_t
read_it(int fd, void *to, size_t n, off_t at)
{
	return io_unsafe.read(fd, to, n, at);
}

static int
sync_or_fail(int fd UNUSED)
{
	return fails(true) ? -1 : 0;
}

static int
push_or_fail(int fd UNUSED, off_t at UNUSED, off_t n UNUSED)
{
	return fails(true) ? -1 : 0;
}

/* Room that nobody writes to need not be there. */
static int
allocate(int fd, off_t size)
{
	return ftruncate(fd, size);
}

static int
rename_it(int dirfd, const char *from, const char *to)
{
	return io_unsafe.rename(dirfd, from, to);
}

static int
unlink_it(int dirfd, const char *name)
{
	return io_unsafe.unlink(dirfd, name);
}

static const struct io disk_io = {
	.write = write_or_fail,
	.read = read_it,
	.sync = sync_or_fail,
	.push = push_or_fail,
	.sync_dir = sync_or_fail,
	.allocate = allocate,
	.rename = rename_it,
	.unlink = unlink_it,
};

/* ---- the thread ---- */

struct commit {
	struct loop     *loop;
	const struct io *io;
	struct list      waiting;
	struct deferred  turn;
};

static void
turn(void *arg)
{
	struct commit *c = arg;
	size_t         n = c->waiting.n;
	struct link   *k;

	/* A job that failed may have others withdrawn. */
	while (n-- > 0 && (k = list_pop(&c->waiting)) != NULL) {
		struct job *job = CONTAINER(k, struct job, link);

		job_run(job, c->io);
		job->done(job);
	}
}

struct commit *
commit_create(struct loop *l, const struct io *io)
{
	struct commit *c = mem_zero(sizeof *c);
	size_t         i;

	c->loop = l;
	c->io = io;
	list_init(&c->waiting);
	c->turn = (struct deferred){.fn = turn, .arg = c};
	for (i = 0; i < COMMITS - 1 && disk.commits[i] != NULL; i++)
		;
	must(disk.commits[i] == NULL);
	disk.commits[i] = c;
	return c;
}

void
commit_start(struct commit *c, struct job *job)
{
	list_push(&c->waiting, &job->link);
	if (!disk.hangs)
		loop_defer(c->loop, &c->turn);
}

bool
commit_withdraw(struct commit *c, struct job *job)
{
	list_remove(&c->waiting, &job->link); /* nothing is ever begun and not ended */
	return true;
}

void
commit_destroy(struct commit *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < COMMITS; i++)
		if (disk.commits[i] == c)
			disk.commits[i] = NULL;
	loop_defer_cancel(c->loop, &c->turn);
	turn(c);
	free(c);
}

void
queue_disk_order(struct loop *l, unsigned order)
{
	if (order > 1) {
		disk.fails_sync = (order & FAIL_SYNC) != 0;
		disk.failing = order / 2;
		return;
	}
	disk.hangs = order == 0;
	for (size_t i = 0; i < COMMITS && !disk.hangs; i++)
		if (disk.commits[i] != NULL && disk.commits[i]->waiting.n > 0)
			loop_defer(l, &disk.commits[i]->turn);
}

/* ---- the spool ---- */

struct store *__real_store_disk_open(const struct store_disk_conf *conf, const struct store_events *events, void *arg,
                                     struct buf *why);
struct store *__wrap_store_disk_open(const struct store_disk_conf *conf, const struct store_events *events, void *arg,
                                     struct buf *why);

struct store *
__wrap_store_disk_open(const struct store_disk_conf *conf, const struct store_events *events, void *arg, struct buf *why)
{
	struct store_disk_conf c = *conf;

	c.io = &disk_io;
	c.segment_bytes = SEGMENT_MIN;
	c.floor_bytes = 1;
	return __real_store_disk_open(&c, events, arg, why);
}

int
queue_disk_create(void)
{
	static const char *const places[] = {"/dev/shm", "/tmp"};
	int                      fd = -1;

	memset(&disk, 0, sizeof disk);
	for (size_t i = 0; i < ARRAY_LEN(places) && fd < 0; i++) {
		snprintf(disk.folder, sizeof disk.folder, "%s/fuzz_queue.XXXXXX", places[i]);
		if (mkdtemp(disk.folder) != NULL)
			fd = open(disk.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	must(fd >= 0);
	return fd;
}

static void
empty(int dirfd)
{
	DIR           *dir = fdopendir(dirfd);
	struct dirent *e;

	must(dir != NULL);
	while ((e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd, e->d_name, 0) != 0) {
			empty(openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
			must(unlinkat(dirfd, e->d_name, AT_REMOVEDIR) == 0);
		}
	closedir(dir);
}

void
queue_disk_destroy(void)
{
	empty(open(disk.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	must(rmdir(disk.folder) == 0);
}

/* ---- looking at it ---- */

static void
on_closed(void *arg)
{
	*(bool *)arg = true;
}

void
queue_disk_list(struct loop *l, bool (*row)(void *arg, const struct store_row *row))
{
	static const struct store_events events;
	static const struct store_filter all;
	struct store_cursor              cursor = {0};
	struct buf                       why = BUF(1024);
	bool                             closed = false;
	struct store                    *s;

	disk.failing = 0;
	s = store_disk_open(&(struct store_disk_conf){.loop = l, .dirfd = open(disk.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	                                              .read_only = true},
	                    &events, NULL, &why);
	must(s != NULL);
	while (!cursor.end) {
		store_list(s, &all, &cursor, row, NULL);
		fake_wait(l, 1);
	}
	store_cursor_free(&cursor);
	store_close(s, on_closed, &closed);
	fake_wait(l, 1000);
	must(closed);
	buf_free(&why);
}
