/* SPDX-License-Identifier: ISC */
#include "queue/imported.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/fd.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	LINE = ID_TEXT + 1,
	FILE_MAX = 4 * 1024 * 1024 * LINE, /* of what is read; the oldest is in front */
	SAVE_MAX = 512 * 1024 * 1024,
	ROOM = 64 * 1024,
};

static const char file[] = "imported", file_new[] = "imported.new";

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
sort(struct imported *p)
{
	if (p->n > p->n_sorted)
		qsort(p->ids, p->n, sizeof *p->ids, compare);
	p->n_sorted = p->n;
}

static void
push(struct imported *p, uint64_t id)
{
	if (p->n == p->cap) {
		p->cap = p->cap == 0 ? 256 : p->cap * 2;
		p->ids = mem_resize(p->ids, p->cap, sizeof *p->ids);
	}
	p->ids[p->n++] = id;
}

/* The file, or the end of one that is too long; there may be none. */
static bool
read_file(int dirfd, struct buf *text, bool *cut)
{
	int         fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	off_t       at = 0;
	ssize_t     n = -1;
	int         error;

	if (fd < 0)
		return errno == ENOENT;
	if (fstat(fd, &st) == 0 && (*cut = st.st_size > FILE_MAX))
		at = st.st_size - FILE_MAX;
	do {
		char *room = buf_room(text, ROOM);

		n = room == NULL ? 0 : pread(fd, room, ROOM, at);
		if (n > 0)
			buf_commit(text, (size_t)n);
		at += n > 0 ? n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	error = errno;
	close(fd);
	errno = error;
	return n == 0;
}

/*
 * Take the ids of what is to be kept, and put the lines of these into `kept`. False: something is left out, because it is
 * too old, or was cut short by a crash.
 */
static bool
parse(struct imported *p, struct str text, bool keeps, int64_t since_s, struct buf *kept)
{
	struct str line;
	uint64_t   id, at = 0;
	bool       whole = text.n == 0 || text.p[text.n - 1] == '\n';

	while (str_find(text, '\n') >= 0 && str_cut(&text, '\n', &line)) {
		struct str rest = line;
		bool       takes;

		if (str_eq(str_word(&rest), STR("at")) && str_number(str_trim(rest), INT64_MAX, &at))
			takes = keeps = (int64_t)at >= since_s;
		else if ((takes = keeps && id_parse(line, &id)))
			push(p, id);
		whole = whole && takes;
		if (takes)
			buf_add(kept, line);
		if (takes)
			buf_addc(kept, '\n');
	}
	return whole;
}

static void
add_time(struct buf *out)
{
	buf_addf(out, "at %lld\n", (long long)(time_wall_ms() / 1000));
}

/* A new file in the place of the old one. */
static bool
replace(const struct imported *p, struct str text)
{
	int  fd = openat(p->dirfd, file_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = fd_write(fd, text) && fsync(fd) == 0;
	close(fd);
	return ok && renameat(p->dirfd, file_new, p->dirfd, file) == 0 && fsync(p->dirfd) == 0;
}

bool
imported_open(struct imported *p, int dirfd, int64_t since_s)
{
	struct buf text = BUF(FILE_MAX + ROOM), kept = BUF(FILE_MAX + ROOM);
	bool       ok, cut = false;

	if (p->users > 0) {
		p->users++;
		return true;
	}
	p->dirfd = dirfd;
	ok = read_file(dirfd, &text, &cut);
	if (cut) /* when the ids in front were written is not known any more: they count as new ones */
		add_time(&kept);
	if (ok && (!parse(p, buf_str(&text), cut, since_s, &kept) || p->anew)) {
		ok = replace(p, buf_str(&kept));
		p->anew = !ok;
	}
	buf_free(&text);
	buf_free(&kept);
	sort(p);
	p->n_saved = p->n;
	p->saved_ms = time_mono_ms();
	p->users = 1;
	if (!ok) {
		int error = errno;

		imported_close(p);
		errno = error;
	}
	return ok;
}

void
imported_close(struct imported *p)
{
	if (--p->users > 0)
		return;
	free(p->ids);
	*p = (struct imported){.anew = p->anew};
}

bool
imported_has(const struct imported *p, uint64_t id)
{
	return p->n_sorted > 0 && bsearch(&id, p->ids, p->n_sorted, sizeof id, compare) != NULL;
}

void
imported_add(struct imported *p, uint64_t id)
{
	if (!imported_has(p, id))
		push(p, id);
}

/* The folder is synced as well: the file may be a new one. */
static bool
append(const struct imported *p, struct str text)
{
	int  fd = openat(p->dirfd, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok;

	if (fd < 0)
		return false;
	ok = fd_write(fd, text) && fsync(fd) == 0 && fsync(p->dirfd) == 0;
	close(fd);
	return ok;
}

bool
imported_save(struct imported *p)
{
	struct buf text = BUF(SAVE_MAX);

	p->saved_ms = time_mono_ms();
	if (p->n_saved == p->n)
		return true;
	if (p->anew) { /* what was written once may seem to be there and not be: not behind that */
		errno = EIO;
		return false;
	}
	add_time(&text);
	for (size_t i = p->n_saved; i < p->n; i++) {
		id_format(&text, p->ids[i]);
		buf_addc(&text, '\n');
	}
	p->anew = text.over || !append(p, buf_str(&text));
	buf_free(&text);
	if (p->anew)
		return false;
	sort(p);
	p->n_saved = p->n;
	return true;
}
