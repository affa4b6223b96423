/* SPDX-License-Identifier: ISC */
/*
 * import - the messages of `queue export` into the queue of this host (queue/import.c).
 *
 * Several are on their way at a time, so that the queue can sync them together. Run again
 * it begins at the front: what is there already, or was there once, is left alone, and
 * nothing is delivered before the import is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/daemon.h"
#include "cmd/eml.h"
#include "cmd/export.h"
#include "cmd/offline.h"
#include "cmd/progress.h"
#include "lib/mail/ids.h"
#include "lib/util/json.h"
#include "lib/util/tar.h"
#include "queue/queue.h"

enum {
	FLYING_MAX = 32,
	FLYING_BYTES = 4 * 1024 * 1024,
	MAIL_MAX = 512 * 1024 * 1024,
	ANSWER_BYTES = 64 * 1024,
	READ_BYTES = 64 * 1024,
};

struct importing {
	struct progress   progress;
	struct tar_reader tar;
	uint64_t          total; /* octets of the archive; 0: not known */
	int               fd;    /* to the queue */
	bool              hold, again;
	struct buf        in, cell, text, scratch, envelope;
	size_t            n_flying;
	uint64_t          n_kept, n_there, n_past, n_bad;
	int               code;  /* CMD_OK: go on */
	bool              ended; /* the queue has said the last word */
};

static ssize_t
read_file(void *arg, void *to, size_t n)
{
	return read(*(const int *)arg, to, n);
}

static void
stop(struct importing *m, int code, const char *why)
{
	if (m->code != CMD_OK)
		return;
	m->code = code;
	progress_wipe(&m->progress);
	cmd_error("queue import", why,
	          code == CMD_TRY_AGAIN ? "the same command goes on where this one ended" : NULL);
}

static void
report_bad(struct importing *m, const char *name, const char *why)
{
	struct buf shown = BUF(2 * TAR_NAME);

	show_value(&shown, SHOW_TEXT, str_of(name));
	m->n_bad++;
	progress_wipe(&m->progress);
	fprintf(stderr, "postern: %s: %s: skipped\n", buf_z(&shown), why);
	buf_free(&shown);
}

/* ---- the connection ---- */

static bool
send_all(struct importing *m, struct str s)
{
	while (s.n > 0 && m->code == CMD_OK) {
		ssize_t n = send(m->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			stop(m, CMD_TRY_AGAIN, "the queue has closed the connection");
		s = str_skip(s, n > 0 ? (size_t)n : 0);
	}
	return m->code == CMD_OK;
}

static void
take_result(struct importing *m, struct str row)
{
	struct buf id = BUF(64);

	(void)daemon_cell(row, "id", &id);
	(void)daemon_cell(row, "result", &m->cell);
	m->n_flying--;
	if (str_eq(buf_str(&m->cell), STR("kept")))
		m->n_kept++;
	else if (str_eq(buf_str(&m->cell), STR("there")))
		m->n_there++;
	else if (str_eq(buf_str(&m->cell), STR("past")))
		m->n_past++;
	else if (str_eq(buf_str(&m->cell), STR("wrong")))
		report_bad(m, buf_z(&id), "the queue cannot take it");
	else
		stop(m, CMD_TRY_AGAIN, "the queue cannot be written now, or has no room left");
	buf_free(&id);
}

static void
take_end(struct importing *m, struct str rest)
{
	struct buf text = BUF(ANSWER_BYTES);
	uint64_t   code = CMD_FAILED;

	m->ended = true;
	(void)!str_number(str_word(&rest), 255, &code);
	buf_add(&text, str_trim(rest));
	if (code != CMD_OK)
		stop(m, (int)code, text.n > 0 ? buf_z(&text) : "the queue ended the import");
	buf_free(&text);
}

/* Read until a line has come and been taken. */
static void
take_answer(struct importing *m)
{
	ptrdiff_t  at = 0;
	struct str line;

	while (m->code == CMD_OK && (at = str_find(buf_str(&m->in), '\n')) < 0) {
		char   *room = buf_room(&m->in, ANSWER_BYTES / 4);
		ssize_t n = room == NULL ? 0 : recv(m->fd, room, ANSWER_BYTES / 4, 0);

		if (n > 0)
			buf_commit(&m->in, (size_t)n);
		else if (n == 0 || errno != EINTR)
			stop(m, CMD_TRY_AGAIN, "the queue has closed the connection");
	}
	if (m->code != CMD_OK)
		return;
	line = str_sub(buf_str(&m->in), 0, (size_t)at);
	if (str_starts(line, STR("end ")))
		take_end(m, str_skip(line, 4));
	else if (str_starts(line, STR("id=")))
		take_result(m, line);
	buf_drop(&m->in, (size_t)at + 1);
}

/* ---- one entry ---- */

static void
send_mail(struct importing *m, struct eml *mail)
{
	struct buf line = BUF(256);

	/* What has no reason of its own waits for the end of the import. */
	if (!mail->e.hold)
		mail->e.hold_why = m->hold ? STR(QUEUE_IMPORT_HOLD) : STR(QUEUE_IMPORTING);
	mail->e.hold = true;
	buf_clear(&m->envelope);
	envelope_format(&m->envelope, &mail->e);
	buf_addz(&line, "put ");
	id_format(&line, mail->id);
	buf_addf(&line, " %zu %zu\n", m->envelope.n, mail->body.n);
	while (m->n_flying >= (mail->body.n > FLYING_BYTES / FLYING_MAX ? 1 : FLYING_MAX) &&
	       m->code == CMD_OK)
		take_answer(m);
	m->n_flying++;
	if (send_all(m, buf_str(&line)) && send_all(m, buf_str(&m->envelope)))
		(void)send_all(m, mail->body);
	buf_free(&line);
}

/* False: the archive ends before the entry does. */
static bool
read_entry(struct importing *m, const struct tar_entry *e)
{
	ssize_t n = 1;

	buf_clear(&m->text);
	while (n > 0 && m->text.n < e->size) {
		char *room = buf_room(&m->text, READ_BYTES);

		if (room == NULL)
			return true;
		n = tar_read(&m->tar, room, READ_BYTES);
		if (n > 0)
			buf_commit(&m->text, (size_t)n);
		progress_set(&m->progress, m->tar.at, m->total);
	}
	return n > 0;
}

static bool
take_entry(struct importing *m, const struct tar_entry *e)
{
	struct eml  mail;
	const char *wrong;

	if (e->type == '5')
		return true; /* the folder that the files are in, if somebody packed them again */
	if (e->type != '0' || e->size > MAIL_MAX || e->size == 0) {
		report_bad(m, e->name,
		           e->type != '0' ? "is no plain file"
		           : e->size == 0 ? "is empty"
		                          : "is too large");
		return true;
	}
	if (!read_entry(m, e)) {
		report_bad(m, e->name, "the archive ends in it");
		return false;
	}
	wrong = eml_parse(buf_str(&m->text), &mail, &m->scratch);
	if (wrong == NULL)
		send_mail(m, &mail);
	else
		report_bad(m, e->name, wrong);
	envelope_free(&mail.e);
	return true;
}

static void
take_archive(struct importing *m)
{
	struct tar_entry e;
	enum tar_next    next = TAR_ENTRY;

	while (m->code == CMD_OK && (next = tar_next(&m->tar, &e)) == TAR_ENTRY)
		if (!take_entry(m, &e))
			return;
	if (m->code == CMD_OK && next != TAR_END)
		report_bad(m, "archive",
		           next == TAR_SHORT ? "it ends too early: the rest of it"
		                             : "this is no tar, or damaged: the rest of it");
}

/* ---- the verb ---- */

static int
open_archive(struct cmd *c, const char *path, struct importing *m)
{
	struct stat st;
	int         fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		cmd_error(path, strerror(errno), NULL);
	else if (fd == STDIN_FILENO && isatty(fd)) {
		(void)cmd_usage(c, "an archive is not typed in: give a file's name");
		fd = -1;
	} else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		m->total = (uint64_t)st.st_size;
	return fd;
}

static void
say_sum(struct cmd *c, const struct importing *m)
{
	struct buf text = BUF(256);

	if (c->json) {
		struct json j = {.out = &text};

		json_open(&j, NULL, '{');
		json_int(&j, "imported", (int64_t)m->n_kept);
		json_int(&j, "there", (int64_t)m->n_there);
		json_int(&j, "past", (int64_t)m->n_past);
		json_int(&j, "skipped", (int64_t)m->n_bad);
		json_close(&j, '}');
	} else {
		buf_addf(&text, "%llu message%s imported", (unsigned long long)m->n_kept,
		         m->n_kept == 1 ? "" : "s");
		if (m->n_there > 0)
			buf_addf(&text, ", %llu in the queue already", (unsigned long long)m->n_there);
		if (m->n_past > 0)
			buf_addf(&text, ", %llu already imported", (unsigned long long)m->n_past);
		if (m->n_bad > 0)
			buf_addf(&text, ", %llu skipped", (unsigned long long)m->n_bad);
	}
	puts(buf_z(&text));
	buf_free(&text);
	if (m->n_past > 0 && !c->json)
		fputs("postern: what was already imported has left this queue since, delivered or deleted;\n"
		      "  --again takes it once more\n",
		      stderr);
}

static void
run(struct cmd *c, struct importing *m)
{
	struct buf request = BUF(64);
	pid_t      child = 0;
	int        code = CMD_FAILED;

	buf_addz(&request, m->again ? "queue put again" : "queue put");
	m->fd = daemon_connect(c);
	if (m->fd < 0 && errno == EACCES)
		stop(m, CMD_FAILED, "may not use the control socket: run this as root");
	else if (m->fd < 0 && (m->fd = offline_start(c, &request, &child, &code)) < 0)
		m->code = code;
	else if (child == 0)
		(void)(send_all(m, buf_str(&request)) && send_all(m, STR("\n")));
	take_answer(m);
	take_archive(m);
	if (m->code == CMD_OK)
		(void)send_all(m, STR("end\n"));
	while (!m->ended && m->code == CMD_OK)
		take_answer(m);
	if (m->fd >= 0)
		close(m->fd);
	if (child > 0)
		(void)waitpid(child, NULL, 0);
	progress_wipe(&m->progress);
	buf_free(&request);
}

int
queue_import(struct cmd *c)
{
	struct importing m = {.fd = -1,
	                      .in = BUF(ANSWER_BYTES),
	                      .cell = BUF(ANSWER_BYTES),
	                      .text = BUF((size_t)MAIL_MAX + READ_BYTES),
	                      .scratch = BUF(EML_HEAD_MAX),
	                      .envelope = BUF(EML_HEAD_MAX)};
	const char      *path;
	int              archive;

	m.hold = cmd_flag(c, "--hold");
	m.again = cmd_flag(c, "--again");
	path = cmd_word(c);
	if (path == NULL)
		return cmd_usage(c, "import: a file's name is expected, or - for standard input");
	if (!cmd_end(c))
		return CMD_USAGE;
	archive = open_archive(c, path, &m);
	if (archive < 0)
		return CMD_FAILED;
	m.tar = (struct tar_reader){.read = read_file, .arg = &archive};
	progress_begin(&m.progress, NULL);
	run(c, &m);
	if (m.code == CMD_OK || m.n_kept + m.n_there + m.n_past > 0)
		say_sum(c, &m);
	if (archive != STDIN_FILENO)
		close(archive);
	buf_free(&m.in);
	buf_free(&m.cell);
	buf_free(&m.text);
	buf_free(&m.scratch);
	buf_free(&m.envelope);
	return m.code == CMD_OK && m.n_bad > 0 ? CMD_FAILED : m.code;
}
