/* SPDX-License-Identifier: ISC */
/*
 * export - queued messages as a tar of files, each with its envelope on top (cmd/eml.h).
 *
 * The archive gets its name when it is whole and on the disk. What cannot be read whole is
 * named and left out, and the exit code says so.
 */
#include "cmd/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/daemon.h"
#include "cmd/eml.h"
#include "cmd/offline.h"
#include "cmd/progress.h"
#include "lib/mail/ids.h"
#include "lib/proc/control.h"
#include "lib/util/json.h"
#include "lib/util/tar.h"

enum { CELL_BYTES = 1024 * 1024 };

struct exporting {
	struct progress progress;
	FILE           *out;
	struct buf      id, envelope, cell, head;
	struct envelope e;       /* borrows from `envelope` */
	bool            pending; /* a message whose body has not come yet */
	bool            known;   /* its envelope could be read */
	bool            hold;
	struct buf      why; /* of the hold */
	size_t          n_waiting;
	uint64_t        size, written, at, of, tar_bytes;
	uint64_t        n_done, n_lost;
	int             error; /* of writing */
};

static uint64_t
number(struct exporting *x, struct str row, const char *key)
{
	uint64_t n = 0;

	return daemon_cell(row, key, &x->cell) && str_number(buf_str(&x->cell), INT64_MAX, &n) ? n
	                                                                                       : 0;
}

static void
put(struct exporting *x, const void *p, size_t n)
{
	if (x->error == 0 && fwrite(p, 1, n, x->out) != n)
		x->error = errno != 0 ? errno : EIO;
	x->tar_bytes += n;
}

/* The message that was begun cannot be had. One that is delivered meanwhile is no loss, but we cannot tell. */
static void
lose(struct exporting *x)
{
	if (!x->pending)
		return;
	x->pending = false;
	x->n_lost++;
	progress_wipe(&x->progress);
	fprintf(stderr, "postern: %s: cannot be read whole, or is gone: left out\n", buf_z(&x->id));
}

static void
take_message(struct exporting *x, struct str row)
{
	lose(x);
	envelope_free(&x->e);
	buf_clear(&x->head);
	buf_clear(&x->why);
	(void)daemon_cell(row, "id", &x->id);
	x->size = number(x, row, "size");
	x->at = number(x, row, "at");
	x->of = number(x, row, "of");
	x->known = daemon_cell(row, "envelope", &x->envelope) &&
	           envelope_parse(&x->e, buf_str(&x->envelope));
	x->pending = true;
	x->hold = false;
	x->written = 0;
	x->n_waiting = 0;
	if (x->known)
		eml_begin(&x->head, buf_str(&x->id), &x->e);
	progress_set(&x->progress, x->at, x->of);
}

static void
take_rcpt(struct exporting *x, struct str row)
{
	uint64_t at = number(x, row, "rcpt");
	uint64_t tries = number(x, row, "tries");

	(void)daemon_cell(row, "state", &x->cell);
	if (!x->known || at >= x->e.n_rcpts || str_eq(buf_str(&x->cell), STR("delivered")) ||
	    str_eq(buf_str(&x->cell), STR("failed")))
		return;
	if (str_eq(buf_str(&x->cell), STR("held"))) {
		x->hold = true;
		if (x->why.n == 0)
			(void)daemon_cell(row, "reply", &x->why);
	}
	x->n_waiting++;
	eml_rcpt(&x->head, &x->e.rcpts[at], tries);
}

static void
take_row(void *arg, struct str row)
{
	struct exporting *x = arg;

	(void)daemon_cell(row, "kind", &x->cell);
	if (str_eq(buf_str(&x->cell), STR("export")))
		take_message(x, row);
	else if (str_eq(buf_str(&x->cell), STR("rcpt")))
		take_rcpt(x, row);
	else
		lose(x);
}

static bool
begin_file(struct exporting *x)
{
	struct tar_entry e = {.type = '0', .mtime = x->e.accepted_ms / 1000};
	uint8_t          block[TAR_BLOCK];

	eml_end(&x->head, x->hold, buf_str(&x->why), x->size);
	snprintf(e.name, sizeof e.name, "%s.eml", buf_z(&x->id));
	e.size = x->head.n + x->size;
	if (!x->known || x->n_waiting == 0 || x->head.over || !tar_header(block, &e)) {
		lose(x);
		return false;
	}
	put(x, block, sizeof block);
	put(x, x->head.p, x->head.n);
	return true;
}

static void
take_octets(void *arg, struct str octets)
{
	static const uint8_t zeros[TAR_BLOCK];
	struct exporting    *x = arg;

	if (!x->pending || (x->written == 0 && !begin_file(x)))
		return;
	put(x, octets.p, octets.n);
	x->written += octets.n;
	if (x->written < x->size)
		return;
	put(x, zeros, tar_padding(x->head.n + x->size));
	x->pending = false;
	x->n_done++;
}

static bool
take_enough(void *arg)
{
	return ((struct exporting *)arg)->error != 0;
}

/* ---- the verb ---- */

static FILE *
open_file(struct cmd *c, const char *path, struct buf *part)
{
	FILE *out = stdout;
	int   fd;

	if (strcmp(path, "-") == 0) {
		if (!isatty(STDOUT_FILENO))
			return out;
		(void)cmd_usage(c, "an archive is nothing for a terminal: give a file's name");
		return NULL;
	}
	buf_addf(part, "%s.part", path);
	fd = open(buf_z(part), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	out = fd < 0 ? NULL : fdopen(fd, "wb");
	if (out == NULL)
		cmd_error(buf_z(part), strerror(errno), NULL);
	return out;
}

static void
finish_file(struct exporting *x, const char *path, struct buf *part, bool whole)
{
	static const uint8_t zeros[TAR_TRAILER];

	if (whole)
		put(x, zeros, sizeof zeros);
	if (fflush(x->out) != 0 && x->error == 0)
		x->error = errno;
	if (part->n == 0)
		return;
	if (x->error == 0 && fdatasync(fileno(x->out)) != 0)
		x->error = errno;
	fclose(x->out);
	if (!whole || x->error != 0)
		(void)unlink(buf_z(part));
	else if (rename(buf_z(part), path) != 0)
		x->error = errno;
}

static void
say_sum(struct cmd *c, const struct exporting *x)
{
	FILE      *to = x->out == stdout ? stderr : stdout;
	struct buf text = BUF(256);

	if (c->json) {
		struct json j = {.out = &text};

		json_open(&j, NULL, '{');
		json_int(&j, "exported", (int64_t)x->n_done);
		json_int(&j, "left_out", (int64_t)x->n_lost);
		json_close(&j, '}');
	} else {
		buf_addf(&text, "%llu message%s exported", (unsigned long long)x->n_done,
		         x->n_done == 1 ? "" : "s");
		if (x->n_lost > 0)
			buf_addf(&text, ", %llu left out", (unsigned long long)x->n_lost);
	}
	fprintf(to, "%s\n", buf_z(&text));
	buf_free(&text);
}

static int
run(struct cmd *c, struct exporting *x, struct buf *request)
{
	static const struct daemon_hooks hooks = {
		.row = take_row, .raw = take_octets, .enough = take_enough};
	struct buf said = BUF(4096);
	pid_t      child = 0;
	int        code;

	c->connection = daemon_connect(c);
	if (c->connection < 0 && errno != EACCES &&
	    (c->connection = offline_start(c, request, &child, &code)) < 0)
		return code;
	progress_begin(&x->progress, "messages");
	code = daemon_ask(c, buf_str(request), &hooks, x, &said);
	lose(x);
	progress_wipe(&x->progress);
	if (code != CMD_OK && code != CMD_NOTHING && said.n > 0)
		cmd_error("queue export", buf_z(&said), NULL);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
	buf_free(&said);
	/* An empty queue is an empty archive. */
	return code == CMD_NOTHING ? CMD_OK : code;
}

int
queue_export(struct cmd *c)
{
	struct exporting x = {.id = BUF(64),
	                      .envelope = BUF(CELL_BYTES),
	                      .cell = BUF(CELL_BYTES),
	                      .head = BUF(EML_HEAD_MAX),
	                      .why = BUF(CELL_BYTES)};
	struct buf       request = BUF(CONTROL_REQUEST_MAX), part = BUF(8192);
	const char      *path = cmd_word(c), *word;
	int              code;

	if (path == NULL)
		return cmd_usage(c, "export: a file's name is expected, or - for standard output");
	buf_addz(&request, "queue export");
	while ((word = cmd_word(c)) != NULL)
		control_add_word(&request, str_of(word));
	if (request.over)
		return cmd_usage(c, "that is too long; use a filter");
	x.out = open_file(c, path, &part);
	if (x.out == NULL)
		return CMD_FAILED;
	code = run(c, &x, &request);
	finish_file(&x, path, &part, code == CMD_OK);
	if (x.error != 0)
		cmd_error(path, strerror(x.error), NULL);
	else if (code == CMD_OK)
		say_sum(c, &x);
	envelope_free(&x.e);
	buf_free(&x.id);
	buf_free(&x.envelope);
	buf_free(&x.cell);
	buf_free(&x.head);
	buf_free(&x.why);
	buf_free(&request);
	buf_free(&part);
	return code != CMD_OK ? code : x.error != 0 || x.n_lost > 0 ? CMD_FAILED : CMD_OK;
}
