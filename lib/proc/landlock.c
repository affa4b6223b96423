/* SPDX-License-Identifier: ISC */
#include "lib/proc/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/landlock.h, of which the one that we are built with may know only the first part. */
enum { CALL_CREATE = 444, CALL_ADD = 445, CALL_RESTRICT = 446 };
enum { RULE_PATH = 1, RULE_PORT = 2 };
enum { ASK_VERSION = 1 };

#define BIT(n) (1ull << (n))

enum {
	FS_WRITE_FILE = 1,
	FS_READ_FILE = 2,
	FS_READ_DIR = 3,
	FS_REMOVE_FILE = 5,
	FS_MAKE_DIR = 7,
	FS_MAKE_REG = 8,
	FS_FIRST = 13, /* rights of the first version */
	FS_REFER = 13,
	FS_TRUNCATE = 14,
	FS_IOCTL_DEV = 15,
};
enum { TCP_BIND = 0, TCP_CONNECT = 1 };
enum { SCOPE_ABSTRACT_UNIX = 0, SCOPE_SIGNAL = 1 };

struct rights {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t  fd;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed, port;
};

/* What each version of the interface can forbid beside what those before it can. */
static const struct rights added[] = {
	{0, 0, 0},
	{BIT(FS_FIRST) - 1, 0, 0},
	{BIT(FS_REFER), 0, 0},
	{BIT(FS_TRUNCATE), 0, 0},
	{0, BIT(TCP_BIND) | BIT(TCP_CONNECT), 0},
	{BIT(FS_IOCTL_DEV), 0, 0},
	{0, 0, BIT(SCOPE_ABSTRACT_UNIX) | BIT(SCOPE_SIGNAL)},
};

static const uint64_t reading = BIT(FS_READ_FILE) | BIT(FS_READ_DIR);
static const uint64_t keeping = BIT(FS_READ_FILE) | BIT(FS_READ_DIR) | BIT(FS_WRITE_FILE) |
                                BIT(FS_REMOVE_FILE) | BIT(FS_MAKE_DIR) | BIT(FS_MAKE_REG) |
                                BIT(FS_REFER) | BIT(FS_TRUNCATE);
static const uint64_t of_files = BIT(FS_READ_FILE) | BIT(FS_WRITE_FILE) | BIT(FS_TRUNCATE);

static struct rights
known(int version)
{
	struct rights r = {0, 0, 0};

	for (size_t i = 0; i < ARRAY_LEN(added) && (int)i <= version; i++) {
		r.fs |= added[i].fs;
		r.net |= added[i].net;
		r.scoped |= added[i].scoped;
	}
	return r;
}

/* The kernel refuses rights of directories for what is a file. */
static bool
allow_fd(int ruleset, int fd, uint64_t rights)
{
	struct path_rule rule = {.fd = fd};
	struct stat      st;

	if (fstat(fd, &st) != 0)
		return false;
	rule.allowed = S_ISDIR(st.st_mode) ? rights : rights & of_files;
	return syscall(CALL_ADD, ruleset, RULE_PATH, &rule, 0) == 0;
}

/* A file that cannot be allowed stays hidden: that is better than to hide nothing. */
static void
allow_path(int ruleset, const char *path, uint64_t rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)allow_fd(ruleset, fd, rights);
	close(fd);
}

static bool
allow(int ruleset, const struct landlock_wish *w, const struct rights *all)
{
	struct port_rule chosen = {.allowed = BIT(TCP_BIND), .port = 0};

	for (const char *const *path = w->readable; path != NULL && *path != NULL; path++)
		allow_path(ruleset, *path, reading & all->fs);
	if (w->folder >= 0 && !allow_fd(ruleset, w->folder, keeping & all->fs))
		return false;
	return (all->net & BIT(TCP_BIND)) == 0 || !w->connect ||
	       syscall(CALL_ADD, ruleset, RULE_PORT, &chosen, 0) == 0;
}

int
landlock_enter(const struct landlock_wish *w)
{
	int           version = (int)syscall(CALL_CREATE, NULL, 0, ASK_VERSION);
	struct rights all = known(version);
	int           ruleset, error = 0;

	if (version <= 0)
		return 0;
	if (w->connect) /* what is not handled is allowed: there is no rule for "any port" */
		all.net &= ~BIT(TCP_CONNECT);
	ruleset = (int)syscall(CALL_CREATE, &all, sizeof all, 0);
	if (ruleset < 0)
		return 0;
	if (!allow(ruleset, w, &all) || syscall(CALL_RESTRICT, ruleset, 0) != 0)
		error = errno;
	close(ruleset);
	errno = error;
	return error == 0 ? version : 0;
}
