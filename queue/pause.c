/* SPDX-License-Identifier: ISC */
#include "queue/pause.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/log.h"

enum { PAUSES_MAX = 1024 * 1024 };

static const char file[] = "paused", file_new[] = "paused.new";

void
pauses_init(struct pauses *p, int dirfd)
{
	*p = (struct pauses){.dirfd = dirfd, .lanes = BUF(PAUSES_MAX)};
	buf_addc(&p->lanes, '\n');
}

void
pauses_free(struct pauses *p)
{
	buf_free(&p->lanes);
}

static ptrdiff_t
find(const struct pauses *p, struct str lane)
{
	struct buf needle = BUF(1024);
	ptrdiff_t  at;

	buf_addc(&needle, '\n');
	buf_add(&needle, lane);
	buf_addc(&needle, '\n');
	at = needle.over ? -1 : str_find_str(buf_str(&p->lanes), buf_str(&needle));
	buf_free(&needle);
	return at;
}

bool
pauses_has(const struct pauses *p, struct str lane)
{
	return p->all || (p->lanes.n > 1 && find(p, lane) >= 0);
}

/* Somebody wanted something to rest, and nobody knows what: mail that has gone out cannot be called back. */
static void
pause_all(struct pauses *p, int error)
{
	if (!p->unknown)
		log_error(ev("pauses-unreadable"), kv("why", strerror(error)));
	buf_clear(&p->lanes);
	buf_addz(&p->lanes, "\n*\n");
}

static int
read_lanes(struct pauses *p, int fd)
{
	char    piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(&p->lanes, (struct str){piece, (size_t)n});
	return n < 0 ? errno : p->lanes.over ? EFBIG : 0;
}

bool
pauses_load(struct pauses *p)
{
	int  fd, error;
	bool ok;

	buf_clear(&p->lanes);
	buf_addc(&p->lanes, '\n');
	fd = openat(p->dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	error = fd < 0 ? errno : read_lanes(p, fd);
	if (fd >= 0)
		close(fd);
	ok = error == 0 || error == ENOENT;
	if (!ok)
		pause_all(p, error);
	else if (p->unknown)
		log_info(ev("pauses-readable"));
	p->unknown = !ok;
	if (p->lanes.p[p->lanes.n - 1] != '\n')
		buf_addc(&p->lanes, '\n');
	p->all = find(p, STR("*")) >= 0;
	return ok;
}

static bool
save(const struct pauses *p)
{
	struct str text = str_skip(buf_str(&p->lanes), 1);
	int  fd = openat(p->dirfd, file_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	                 0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text.n > 0 ? text.p : "", text.n) == (ssize_t)text.n && fsync(fd) == 0;
	close(fd);
	return ok && renameat(p->dirfd, file_new, p->dirfd, file) == 0 && fsync(p->dirfd) == 0;
}

static void
forget(struct pauses *p, ptrdiff_t at, size_t n)
{
	struct buf out = BUF(PAUSES_MAX);
	struct str all = buf_str(&p->lanes);

	buf_add(&out, str_sub(all, 0, (size_t)at));
	buf_add(&out, str_skip(all, (size_t)at + n + 1));
	buf_free(&p->lanes);
	p->lanes = out;
}

bool
pauses_set(struct pauses *p, struct str lane, bool paused, bool *saved)
{
	struct str name = lane.n == 0 ? STR("*") : lane;
	ptrdiff_t  at = find(p, name);
	bool       anew = p->unknown;

	*saved = true;
	p->unknown = false;
	if (paused == (at >= 0)) {
		/* To resume all means to resume each as well. */
		if (paused || lane.n > 0 || p->lanes.n <= 1) {
			*saved = !anew || save(p);
			return false;
		}
	}
	if (paused) {
		buf_add(&p->lanes, name);
		buf_addc(&p->lanes, '\n');
	} else if (lane.n == 0) {
		buf_clear(&p->lanes);
		buf_addc(&p->lanes, '\n');
	} else {
		forget(p, at, name.n);
	}
	p->all = find(p, STR("*")) >= 0;
	*saved = save(p);
	return true;
}
