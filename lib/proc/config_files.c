/* SPDX-License-Identifier: ISC */
/* config_files - files that the configuration names, and whether they have changed since. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

enum { PIECE = 4096 };

/* Enough to see that a file is another, or has been written to. */
struct signature {
	dev_t           dev;
	ino_t           ino;
	off_t           size;
	struct timespec changed, modified;
	int             error;
};

struct watch {
	char            *path;
	struct signature last;
};

static const struct {
	size_t limit;
	bool   secret, watched;
} kinds[] = {
	[FILE_CONFIG] = {1024 * 1024, false, false}, [FILE_CERT] = {1024 * 1024, false, true},
	[FILE_KEY] = {64 * 1024, true, true},        [FILE_USERS] = {8 * 1024 * 1024, true, true},
	[FILE_SECRET] = {16 * 1024, true, true},
};

static struct signature
sign(const struct stat *st, int error)
{
	if (error != 0)
		return (struct signature){.error = error};
	return (struct signature){.dev = st->st_dev,
	                          .ino = st->st_ino,
	                          .size = st->st_size,
	                          .changed = st->st_ctim,
	                          .modified = st->st_mtim};
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same(const struct signature *a, const struct signature *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->error == b->error &&
	       same_time(a->changed, b->changed) && same_time(a->modified, b->modified);
}

static void
remember(struct maker *m, const char *path, const struct signature *s)
{
	struct tree *t = m->tree;

	t->watch = mem_resize(t->watch, t->n_watch + 1, sizeof *t->watch);
	t->watch[t->n_watch++] = (struct watch){str_dup(str_of(path)), *s};
}

void
conf_watch_add(struct maker *m, const char *path)
{
	struct stat      st;
	int              error = stat(path, &st) == 0 ? 0 : errno;
	struct signature s = sign(&st, error);

	remember(m, path, &s);
}

void
conf_watch_failed(struct maker *m, const char *path, int error)
{
	remember(m, path, &(struct signature){.error = error});
}

bool
conf_watch_changed(struct tree *t)
{
	for (size_t i = 0; i < t->n_watch; i++) {
		struct stat      st;
		int              error = stat(t->watch[i].path, &st) == 0 ? 0 : errno;
		struct signature s = sign(&st, error);

		if (!same(&s, &t->watch[i].last))
			return true;
	}
	return false;
}

void
conf_watch_clear(struct tree *t)
{
	for (size_t i = 0; i < t->n_watch; i++)
		free(t->watch[i].path);
	free(t->watch);
	t->watch = NULL;
	t->n_watch = 0;
}

/*
 * Writable by anyone: refused, for whoever writes it rules the server. A readable secret is only
 * told, because container engines mount secrets so.
 */
static bool
judge(struct maker *m, enum file_kind kind, const struct word *w, const struct stat *st)
{
	bool file = S_ISREG(st->st_mode) || (kind == FILE_CONFIG && S_ISFIFO(st->st_mode));

	if (!file) {
		conf_problem(m, CONF_ERROR, w->at, "%.*s is %s", S(w->text),
		             S_ISDIR(st->st_mode) ? "a folder" : "no file");
		return false;
	}
	if (S_ISREG(st->st_mode) && (st->st_mode & S_IWOTH) != 0) {
		conf_problem(m, CONF_ERROR, w->at, "anyone may write to %.*s", S(w->text));
		conf_hint(m, "chmod o-w %.*s", S(w->text));
		return false;
	}
	if (S_ISREG(st->st_mode))
		conf_owner_note(m, w, st->st_uid);
	if (kinds[kind].secret && (st->st_mode & S_IROTH) != 0) {
		conf_problem(m, CONF_WARNING, w->at, "anyone on this machine may read %.*s",
		             S(w->text));
		conf_hint(m, "chmod o-r %.*s", S(w->text));
	}
	return true;
}

/* The whole of `fd`; an errno value. */
static int
read_all(int fd, struct buf *b)
{
	for (;;) {
		char   *room = buf_room(b, PIECE);
		ssize_t got;

		if (room == NULL)
			return EFBIG;
		got = read(fd, room, PIECE);
		if (got < 0 && errno != EINTR)
			return errno;
		if (got == 0)
			return 0;
		if (got > 0)
			buf_commit(b, (size_t)got);
	}
}

static int
load(struct maker *m, enum file_kind kind, const struct word *w, struct file *f)
{
	/* buf_room() asks for a whole piece, so the last one may stand over the limit. */
	struct buf b = {.limit = kinds[kind].limit + PIECE, .secret = kinds[kind].secret};
	int fd = open(w->text.p, O_RDONLY | O_CLOEXEC | (kind == FILE_CONFIG ? 0 : O_NONBLOCK));
	struct stat st = {0};
	int         error = 0;
	int         gone = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;

	if (gone != 0) {
		error = gone;
	} else if (!judge(m, kind, w, &st)) {
		error = -1;
	} else if ((error = read_all(fd, &b)) == 0) {
		f->mode = st.st_mode;
		f->made_ms = (int64_t)st.st_mtim.tv_sec * 1000;
		f->text = arena_str(kind == FILE_CONFIG ? &m->tree->arena : &m->full->arena,
		                    buf_str(&b));
	}
	if (kinds[kind].watched) {
		/* What could not be read to its end looks whole: it counts as changed until it is read. */
		struct signature s = sign(&st, error > 0 && error != EFBIG ? error : 0);

		remember(m, w->text.p, &s);
	}
	if (fd >= 0)
		close(fd);
	buf_free(&b);
	return error;
}

enum severity
conf_unreadable(const struct maker *m, int error)
{
	return m->looks && error == EACCES ? CONF_WARNING : CONF_ERROR;
}

bool
conf_file(struct maker *m, enum file_kind kind, const struct word *w, struct file *f)
{
	int error;

	*f = (struct file){0};
	error = load(m, kind, w, f);
	if (error == ENOENT && kind == FILE_USERS) {
		f->missing = true;
		return true;
	}
	if (error == EFBIG)
		conf_problem(m, CONF_ERROR, w->at, "%.*s is too large", S(w->text));
	else if (error > 0)
		conf_problem(m, kind == FILE_CONFIG ? CONF_ERROR : conf_unreadable(m, error),
		             w->at, "cannot read %.*s: %s", S(w->text),
		             strerror(error));
	return error == 0;
}

/* NULL: it may be read. */
static const char *
judge_again(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "is no file";
	if ((st->st_mode & S_IWOTH) != 0)
		return "anyone may write to it";
	return (uint64_t)st->st_size > kinds[FILE_KEY].limit ? "is too large" : NULL;
}

bool
conf_key_again(struct str path, struct buf *out, struct buf *why)
{
	char       *z = str_dup(path);
	int         fd = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int         error = 0;
	struct stat st;
	const char *reason = NULL;

	if (fd < 0 || fstat(fd, &st) != 0) {
		error = errno;
	} else if ((reason = judge_again(&st)) == NULL) {
		*out = SECRET(kinds[FILE_KEY].limit + PIECE);
		error = read_all(fd, out);
	}
	if (error != 0)
		reason = strerror(error);
	if (reason != NULL)
		buf_addz(why, reason);
	if (fd >= 0)
		close(fd);
	free(z);
	return reason == NULL;
}
