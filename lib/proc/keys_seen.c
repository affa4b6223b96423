/* SPDX-License-Identifier: ISC */
/* "at MS" and then a line "NAME KEY" for each key, as delivery names them (lib/proc/verdicts.h). */
#include "lib/proc/keys_seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/proc/verdicts.h"
#include "lib/util/buf.h"
#include "lib/util/fd.h"

static const char    file[] = "keys-seen", fresh[] = "keys-seen.new";
static const int64_t week_ms = 7 * 24 * 3600 * (int64_t)1000;

enum { FILE_LIMIT = 256 * 1024 };

static int
open_folder(struct str state)
{
	char *path = str_dup(state);
	int   fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(path);
	return fd;
}

/* The account of the roles may write to the folder: whatever lies there by that name is not followed or waited for. */
static bool
read_file(int folder, struct buf *text)
{
	int         fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t     n = -1;
	char       *to;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_LIMIT &&
	    (to = buf_room(text, (size_t)st.st_size)) != NULL)
		n = read(fd, to, (size_t)st.st_size);
	close(fd);
	if (n < 0)
		return false;
	buf_commit(text, (size_t)n);
	return true;
}

static bool
is_recent(struct str line, int64_t now_ms)
{
	uint64_t at;

	return str_eq(str_word(&line), STR("at")) && str_number(str_word(&line), INT64_MAX, &at) &&
	       (int64_t)at <= now_ms && now_ms - (int64_t)at < week_ms;
}

void
keys_seen_load(struct str state, struct verdicts *v, int64_t now_ms)
{
	struct buf text = BUF(FILE_LIMIT);
	struct str rest, line;
	int        folder = open_folder(state);

	if (folder >= 0 && read_file(folder, &text)) {
		rest = buf_str(&text);
		if (str_cut(&rest, '\n', &line) && is_recent(line, now_ms))
			while (str_cut(&rest, '\n', &line)) {
				struct wire_key_state k = {.name = str_word(&line)};

				k.key = str_word(&line);
				(void)verdicts_key(v, &k);
			}
	}
	if (folder >= 0)
		close(folder);
	buf_free(&text);
}

static bool
replace(int folder, struct str text)
{
	int  fd;
	bool ok;

	(void)unlinkat(folder, fresh, 0);
	fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	ok = fd_write(fd, text);
	close(fd);
	return ok && renameat(folder, fresh, folder, file) == 0;
}

bool
keys_seen_save(struct str state, const struct verdicts *v, int64_t now_ms)
{
	struct buf text = BUF(FILE_LIMIT);
	int        folder = open_folder(state), error;
	size_t     head;
	bool       ok = folder >= 0;

	buf_addf(&text, "at %lld\n", (long long)now_ms);
	head = text.n;
	verdicts_seen(v, "", &text);
	if (ok && text.n == head)
		ok = unlinkat(folder, file, 0) == 0 || errno == ENOENT;
	else
		ok = ok && !text.over && replace(folder, buf_str(&text));
	error = errno;
	if (folder >= 0)
		close(folder);
	buf_free(&text);
	errno = error;
	return ok;
}
