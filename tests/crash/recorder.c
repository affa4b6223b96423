/* SPDX-License-Identifier: ISC */
/*
 * recorder - a file whose every write and flush is logged: recorder DIR IMAGE LOG
 *
 * Mounts a FUSE file system on DIR with the one file "disk", which is IMAGE. A
 * loop device on that file makes it a disk: what the file system above writes
 * comes here as writes, what it flushes as fsyncs, in order, one at a time. Each
 * goes to LOG before it is answered, so whoever looks at LOG's size knows that
 * all he was promised so far is within. Speaks the kernel's protocol itself: no
 * library is needed. Ends when DIR is unmounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { ROOT = FUSE_ROOT_ID, DISK = 2, WRITE_MAX = 128 * 1024, REQUEST_MAX = WRITE_MAX + 8192 };

/* A record of LOG; the octets of a write follow it. Read by tests/crash/disk.py. */
struct entry {
	uint32_t kind; /* 'W' or 'F' */
	uint32_t length;
	uint64_t offset;
	uint64_t mono_ns;
};

struct recorder {
	int      fuse, image, log;
	uint64_t size;
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
reply(const struct recorder *r, const struct fuse_in_header *h, const void *data, size_t n)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof out + n), .unique = h->unique};
	struct iovec           iov[2] = {{&out, sizeof out}, {(void *)(uintptr_t)data, n}};

	if (writev(r->fuse, iov, n == 0 ? 1 : 2) < 0 && errno != ENOENT)
		fail("reply");
}

static void
reply_error(const struct recorder *r, const struct fuse_in_header *h, int error)
{
	struct fuse_out_header out = {.len = sizeof out, .error = -error, .unique = h->unique};

	if (write(r->fuse, &out, sizeof out) < 0 && errno != ENOENT)
		fail("reply");
}

static void
record(const struct recorder *r, struct entry e, const void *octets)
{
	struct iovec    iov[2] = {{&e, sizeof e}, {(void *)(uintptr_t)octets, e.length}};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	e.mono_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (writev(r->log, iov, e.length == 0 ? 1 : 2) != (ssize_t)(sizeof e + e.length))
		fail("log");
}

static struct fuse_attr
attributes(const struct recorder *r, uint64_t node)
{
	struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = 4096};

	a.mode = node == ROOT ? S_IFDIR | 0700 : S_IFREG | 0600;
	a.size = node == ROOT ? 0 : r->size;
	a.blocks = a.size / 512;
	return a;
}

static void
do_init(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	const struct fuse_init_in *in = body;
	struct fuse_init_out       out = {.major = FUSE_KERNEL_VERSION};

	out.minor = FUSE_KERNEL_MINOR_VERSION;
	out.max_readahead = in->max_readahead;
	out.flags = FUSE_BIG_WRITES;
	out.max_write = WRITE_MAX;
	out.max_background = 64;
	out.congestion_threshold = 48;
	reply(r, h, &out, sizeof out);
}

static void
do_lookup(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	struct fuse_entry_out out = {.nodeid = DISK, .entry_valid = 3600, .attr_valid = 3600};

	if (strcmp(body, "disk") != 0) {
		reply_error(r, h, ENOENT);
		return;
	}
	out.attr = attributes(r, DISK);
	reply(r, h, &out, sizeof out);
}

static void
do_attributes(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	struct fuse_attr_out out = {.attr_valid = 3600};

	(void)body;
	out.attr = attributes(r, h->nodeid);
	reply(r, h, &out, sizeof out);
}

static void
do_open(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	struct fuse_open_out out = {.open_flags = FOPEN_KEEP_CACHE};

	(void)body;
	reply(r, h, &out, sizeof out);
}

static void
do_read(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	static char               octets[1024 * 1024];
	const struct fuse_read_in *in = body;
	size_t                     n = in->size < sizeof octets ? in->size : sizeof octets;
	ssize_t                    got = pread(r->image, octets, n, (off_t)in->offset);

	if (got < 0)
		reply_error(r, h, errno);
	else
		reply(r, h, octets, (size_t)got);
}

static void
do_write(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	const struct fuse_write_in *in = body;
	struct fuse_write_out       out = {.size = in->size};
	const char                 *octets = (const char *)body + sizeof *in;

	record(r, (struct entry){.kind = 'W', .length = in->size, .offset = in->offset}, octets);
	if (pwrite(r->image, octets, in->size, (off_t)in->offset) != (ssize_t)in->size)
		fail("image");
	reply(r, h, &out, sizeof out);
}

static void
do_sync(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	(void)body;
	record(r, (struct entry){.kind = 'F'}, NULL);
	reply(r, h, NULL, 0);
}

static void
do_nothing(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	(void)body;
	reply(r, h, NULL, 0);
}

static void
do_statfs(const struct recorder *r, const struct fuse_in_header *h, const void *body)
{
	struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};

	(void)body;
	reply(r, h, &out, sizeof out);
}

typedef void handler(const struct recorder *r, const struct fuse_in_header *h, const void *body);

static handler *const handlers[] = {
	[FUSE_INIT] = do_init,          [FUSE_LOOKUP] = do_lookup,
	[FUSE_GETATTR] = do_attributes, [FUSE_SETATTR] = do_attributes,
	[FUSE_OPEN] = do_open,          [FUSE_OPENDIR] = do_open,
	[FUSE_READ] = do_read,          [FUSE_WRITE] = do_write,
	[FUSE_FSYNC] = do_sync,         [FUSE_FLUSH] = do_nothing,
	[FUSE_RELEASE] = do_nothing,    [FUSE_RELEASEDIR] = do_nothing,
	[FUSE_STATFS] = do_statfs,
};

static void
serve(const struct recorder *r)
{
	static _Alignas(8) char request[REQUEST_MAX];
	ssize_t                 n;

	while ((n = read(r->fuse, request, sizeof request)) > 0 || errno == EINTR ||
	       errno == ENOENT) {
		const struct fuse_in_header *h = (const void *)request;

		if (n < (ssize_t)sizeof *h || h->opcode == FUSE_FORGET ||
		    h->opcode == FUSE_BATCH_FORGET)
			continue;
		if (h->opcode == FUSE_DESTROY) {
			reply(r, h, NULL, 0);
			return;
		}
		if (h->opcode < sizeof handlers / sizeof *handlers && handlers[h->opcode] != NULL)
			handlers[h->opcode](r, h, request + sizeof *h);
		else
			reply_error(r, h, ENOSYS);
	}
}

int
main(int argc, char **argv)
{
	struct recorder r;
	struct stat     st;
	char            options[100];

	if (argc != 4) {
		fputs("usage: recorder DIR IMAGE LOG\n", stderr);
		return 2;
	}
	r.image = open(argv[2], O_RDWR | O_CLOEXEC);
	r.log = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	r.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (r.image < 0 || r.log < 0 || r.fuse < 0 || fstat(r.image, &st) != 0)
		fail("open");
	r.size = (uint64_t)st.st_size;
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", r.fuse);
	if (mount("recorder", argv[1], "fuse", MS_NODEV | MS_NOSUID, options) != 0)
		fail("mount");
	puts("mounted");
	fclose(stdout);
	serve(&r);
	return 0;
}
