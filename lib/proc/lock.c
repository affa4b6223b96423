/* SPDX-License-Identifier: ISC */
#include "lib/proc/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The holder has left its process id in the file. */
static void
name_holder(int fd, struct buf *why)
{
	char       text[32];
	ssize_t    n = pread(fd, text, sizeof text, 0);
	struct str rest = {text, n > 0 ? (size_t)n : 0};
	uint64_t   pid;

	buf_addz(why, "another postern uses this spool");
	if (str_number(str_word(&rest), INT32_MAX, &pid))
		buf_addf(why, " (process %u)", (unsigned)pid);
}

int
lock_take(int dirfd, struct buf *why)
{
	int         fd = openat(dirfd, "LOCK", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct buf  pid = BUF(32);
	struct stat dir;

	if (fd < 0) {
		buf_addf(why, "cannot open LOCK: %s", strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			name_holder(fd, why);
		else
			buf_addf(why, "cannot lock: %s", strerror(errno));
		close(fd);
		return -1;
	}
	/* Made by root, it must still open for the account that owns the spool. */
	if (fstat(dirfd, &dir) == 0 && dir.st_uid != geteuid() &&
	    fchown(fd, dir.st_uid, dir.st_gid) != 0) {
		buf_addf(why, "cannot give LOCK to the owner of the spool: %s", strerror(errno));
		close(fd);
		return -1;
	}
	buf_addf(&pid, "%-10d\n", (int)getpid());
	/* Only for the sentence above: a full disk does not matter. */
	if (pwrite(fd, pid.p, pid.n, 0) < 0 && ftruncate(fd, 0) != 0)
		buf_clear(&pid);
	buf_free(&pid);
	return fd;
}
