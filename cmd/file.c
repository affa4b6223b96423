/* SPDX-License-Identifier: ISC */
#include "cmd/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/fd.h"

enum { CHUNK = 64 * 1024 };

static bool
failed(struct buf *why, const char *what)
{
	int error = errno;

	buf_addf(why, "cannot %s: %s", what, strerror(error));
	errno = error;
	return false;
}

static bool
read_all(int fd, struct buf *out)
{
	for (;;) {
		char *room = buf_room(out, CHUNK);
		size_t want = CHUNK;
		ssize_t n;

		if (room == NULL) { /* near the limit: octet by octet decides whether the end is there */
			want = 1;
			if ((room = buf_room(out, want)) == NULL) {
				errno = EFBIG;
				return false;
			}
		}
		n = read(fd, room, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buf_commit(out, (size_t)n);
	}
}

bool
file_read(const char *path, struct buf *out, struct buf *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return failed(why, "open it");
	ok = read_all(fd, out) || failed(why, "read it");
	close(fd);
	return ok;
}

/* The rename is durable once the folder is synced too. */
static bool
sync_folder(const char *path)
{
	struct str p = str_of(path);
	ptrdiff_t slash = str_rfind(p, '/');
	char *folder = slash < 0 ? str_dup(STR(".")) : str_dup(str_sub(p, 0, (size_t)slash + 1));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	free(folder);
	return ok;
}

bool
file_replace(const char *path, struct str text, mode_t mode, struct buf *why)
{
	struct buf temp = BUF(4096);
	struct stat old;
	bool ok = false;
	int fd;

	buf_addf(&temp, "%s.new", path);
	fd = open(buf_z(&temp), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		failed(why, "write beside it");
		goto out;
	}
	/* An ordinary user cannot give files away; then the owner is himself anyway. */
	if (stat(path, &old) == 0 && fchown(fd, old.st_uid, old.st_gid) != 0 && errno != EPERM) {
		failed(why, "keep its owner");
		goto out;
	}
	if (fchmod(fd, mode) != 0 || !fd_write(fd, text) || fsync(fd) != 0 ||
	    rename(buf_z(&temp), path) != 0 || !sync_folder(path)) {
		failed(why, "write it");
		unlink(buf_z(&temp));
		goto out;
	}
	ok = true;
out:
	if (fd >= 0)
		close(fd);
	buf_free(&temp);
	return ok;
}

bool
file_append(const char *path, struct str text, struct buf *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	off_t end;
	char last = '\n';
	bool ok;

	if (fd < 0)
		return failed(why, "write to it");
	end = lseek(fd, 0, SEEK_END);
	ok = end >= 0 && (end == 0 || pread(fd, &last, 1, end - 1) == 1) &&
	     (last == '\n' || fd_write(fd, STR("\n"))) && fd_write(fd, text) && fsync(fd) == 0;
	if (!ok)
		failed(why, "write to it");
	close(fd);
	return ok;
}
