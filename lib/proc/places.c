/* SPDX-License-Identifier: ISC */
#include "lib/proc/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static int
refuse(struct buf *why, const char *path, const char *what)
{
	buf_addf(why, "%s: %s", path, what);
	return -1;
}

/* mkdir -p of what is above the last part. */
static void
make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
}

/* A directory just made, or made by the package, is root's: hand it over. Any other stranger's stays his. */
static int
check_owner(int fd, const char *path, const struct account *owner, struct buf *why)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return refuse(why, path, strerror(errno));
	if (owner->change && st.st_uid == 0 && fchown(fd, owner->uid, owner->gid) != 0)
		return refuse(why, path, strerror(errno));
	if (owner->change && st.st_uid != 0 && st.st_uid != owner->uid) {
		buf_addf(why, "%s belongs to user %u, but user-account is %u; `chown -R` it", path,
		         (unsigned)st.st_uid, (unsigned)owner->uid);
		return -1;
	}
	if (!owner->change && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
		buf_addf(why, "%s cannot be written by user %u: %s", path, (unsigned)geteuid(),
		         strerror(errno));
		return -1;
	}
	if ((st.st_mode & S_IWOTH) != 0)
		return refuse(why, path, "everybody may write to this directory; `chmod o-w` it");
	return 0;
}

int
places_dir(struct str path, mode_t mode, const struct account *owner, struct buf *why)
{
	char *z = str_dup(path);
	int   fd = -1;
	bool  made;

	if (*z != '/') {
		refuse(why, z, "must be an absolute path");
		goto out;
	}
	make_parents(z);
	made = mkdir(z, mode) == 0;
	fd = open(z, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		refuse(why, z, strerror(errno));
		goto out;
	}
	if ((made && fchmod(fd, mode) != 0) || check_owner(fd, z, owner, why) != 0) {
		if (why->n == 0)
			refuse(why, z, strerror(errno));
		close(fd);
		fd = -1;
	}
out:
	free(z);
	return fd;
}

enum { ANSWER_TRIES = 20 }; /* one second in all */

static bool
somebody_answers(const struct sockaddr_un *at)
{
	int  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answers = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) == 0;

	if (fd >= 0)
		close(fd);
	return answers;
}

/*
 * True if the place is free, or is freed from what a dead daemon left. One that
 * was killed a moment ago may still have a child that holds its socket: that passes.
 */
static bool
clear_socket(const struct sockaddr_un *at, struct buf *why)
{
	struct stat st;
	bool        answers;

	if (lstat(at->sun_path, &st) != 0)
		return true;
	if (!S_ISSOCK(st.st_mode)) {
		refuse(why, at->sun_path, "is there, and is not a socket");
		return false;
	}
	for (int i = 0; (answers = somebody_answers(at)) && i < ANSWER_TRIES; i++)
		nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
	if (answers) {
		refuse(why, at->sun_path,
		       "another daemon answers there; set `control` to another path");
		return false;
	}
	(void)unlink(at->sun_path);
	return true;
}

static int
listen_at(const struct sockaddr_un *at, const struct account *owner)
{
	int    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t old;
	int    bound;

	if (fd < 0)
		return -1;
	old = umask(0117); /* 0660 from the first moment */
	bound = bind(fd, (const struct sockaddr *)at, sizeof *at);
	umask(old);
	if (bound == 0 && (!owner->change || chown(at->sun_path, owner->uid, owner->gid) == 0) &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

int
places_control(struct str path, const struct account *owner, struct buf *why)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	ptrdiff_t          slash = str_rfind(path, '/');
	int                fd;

	if (slash < 1 || path.n >= sizeof at.sun_path) {
		buf_addz(why, "control: must be an absolute path of at most 107 octets: ");
		buf_add(why, path);
		return -1;
	}
	fd = places_dir(str_sub(path, 0, (size_t)slash), 0755, owner, why);
	if (fd < 0)
		return -1;
	close(fd);
	memcpy(at.sun_path, path.p, path.n);
	if (!clear_socket(&at, why))
		return -1;
	fd = listen_at(&at, owner);
	return fd >= 0 ? fd : refuse(why, at.sun_path, strerror(errno));
}

bool
places_pidfile(const char *path, struct buf *why)
{
	struct buf text = BUF(32);
	int        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool       ok;

	buf_addf(&text, "%d\n", (int)getpid());
	ok = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;
	if (!ok)
		refuse(why, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return ok;
}
