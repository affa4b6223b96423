/* SPDX-License-Identifier: ISC */
#include "cmd/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/control_path.h"
#include "lib/proc/control.h"
#include "lib/util/json.h"
#include "lib/util/mem.h"

enum {
	LINE_MAX_BYTES = 4 * 1024 * 1024,
	READ_BYTES = 64 * 1024,
	CELL_MAX = 1024 * 1024,
};

int
daemon_connect(struct cmd *c)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct buf         path = BUF(4096);
	int                fd = -1;

	if (c->connection > 0) {
		fd = c->connection;
		c->connection = 0;
		return fd;
	}
	control_path(c, &path);
	if (path.n < sizeof at.sun_path) {
		memcpy(at.sun_path, buf_z(&path), path.n);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	} else {
		errno = ENAMETOOLONG;
	}
	buf_free(&path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}

/* Says why there is no connection. */
static int
no_daemon(struct cmd *c, int error)
{
	struct buf path = BUF(4096), why = BUF(8192);

	control_path(c, &path);
	if (error == EACCES) {
		buf_addf(&why, "may not use the control socket %s", buf_z(&path));
		cmd_error(c->verb->name, buf_z(&why),
		          "run this as root, or become a member of the socket's group");
	} else {
		buf_addf(&why, "the daemon is not running (%s: %s)", buf_z(&path), strerror(error));
		cmd_error(c->verb->name, buf_z(&why),
		          "start it with `systemctl start postern`, or here with `postern run`");
	}
	buf_free(&path);
	buf_free(&why);
	return error == EACCES ? CMD_FAILED : CMD_NO_DAEMON;
}

static bool
send_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		s = str_skip(s, n > 0 ? (size_t)n : 0);
	}
	return true;
}

/* The answer as it comes: rows, raw octets, the end. */
struct answer {
	const struct daemon_hooks *hooks;
	void                      *arg;
	struct buf                 in;
	uint64_t                   raw; /* octets that are still to come */
	bool                       ended;
	int                        code;
	struct buf                *text;
};

static void
give_raw(struct answer *a, struct str piece)
{
	if (a->hooks->raw != NULL)
		a->hooks->raw(a->arg, piece);
	else
		fwrite(piece.p, 1, piece.n, stdout);
}

static void
take_end(struct answer *a, struct str rest)
{
	uint64_t   code;
	struct str row;
	struct str key;
	bool       number;
	struct buf line = BUF(CELL_MAX);

	a->ended = true;
	if (str_number(str_word(&rest), 255, &code))
		a->code = (int)code;
	/* The sentence is escaped as a cell is. */
	buf_addz(&line, "text=");
	buf_add(&line, str_trim(rest));
	row = buf_str(&line);
	(void)control_next_cell(&row, &key, a->text, &number);
	buf_free(&line);
}

static void
take_line(struct answer *a, struct str line)
{
	struct str rest = line, word = str_word(&rest);

	if (str_eq(word, STR("end")))
		take_end(a, rest);
	else if (str_eq(word, STR("raw")) && str_number(str_trim(rest), INT64_MAX, &a->raw))
		return;
	else if (a->hooks->row != NULL)
		a->hooks->row(a->arg, line);
	if (!a->ended && a->hooks->enough != NULL && a->hooks->enough(a->arg)) {
		a->ended = true;
		a->code = CMD_OK;
	}
}

/* Use up what has come; false if more is needed. */
static bool
take(struct answer *a)
{
	struct str rest = buf_str(&a->in);
	ptrdiff_t  at;

	while (!a->ended && rest.n > 0) {
		if (a->raw > 0) {
			struct str piece = str_sub(rest, 0,
			                           a->raw < rest.n ? (size_t)a->raw : rest.n);

			give_raw(a, piece);
			a->raw -= piece.n;
			rest = str_skip(rest, piece.n);
		} else if ((at = str_find(rest, '\n')) >= 0) {
			take_line(a, str_sub(rest, 0, (size_t)at));
			rest = str_skip(rest, (size_t)at + 1);
		} else {
			break;
		}
	}
	buf_drop(&a->in, a->in.n - rest.n);
	return a->ended;
}

static bool
read_answer(int fd, struct answer *a)
{
	while (!take(a)) {
		char   *room = buf_room(&a->in, READ_BYTES);
		ssize_t n = room != NULL ? recv(fd, room, READ_BYTES, 0) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf_commit(&a->in, (size_t)n);
	}
	return true;
}

int
daemon_ask(struct cmd *c, struct str request, const struct daemon_hooks *hooks, void *arg,
           struct buf *said)
{
	struct buf    text = BUF(CELL_MAX);
	struct answer a = {.hooks = hooks,
	                   .arg = arg,
	                   .in = BUF(LINE_MAX_BYTES),
	                   .code = CMD_FAILED,
	                   .text = &text};
	int           fd = daemon_connect(c);

	if (fd < 0)
		return no_daemon(c, errno);
	if (!send_all(fd, request) || !send_all(fd, STR("\n")) || !read_answer(fd, &a)) {
		cmd_error(c->verb->name, "the daemon did not finish its answer", NULL);
		a.code = CMD_TRY_AGAIN;
	} else if (said != NULL) {
		buf_add(said, buf_str(&text));
	} else if (a.code != CMD_OK && text.n > 0) {
		cmd_error(c->verb->name, buf_z(&text), NULL);
	}
	close(fd);
	buf_free(&a.in);
	buf_free(&text);
	return a.code;
}

bool
daemon_cell(struct str row, const char *key, struct buf *value)
{
	struct str name;
	bool       number;

	while (control_next_cell(&row, &name, value, &number))
		if (str_eq(name, str_of(key)))
			return true;
	buf_clear(value);
	return false;
}

void
daemon_json(struct str row)
{
	struct buf  out = BUF(LINE_MAX_BYTES), value = BUF(CELL_MAX);
	struct json j = {.out = &out};
	struct str  key;
	bool        number;

	json_open(&j, NULL, '{');
	while (control_next_cell(&row, &key, &value, &number)) {
		char *name = str_dup(key);

		if (number)
			json_int(&j, name, strtoll(buf_z(&value), NULL, 10));
		else
			json_str(&j, name, buf_str(&value));
		free(name);
	}
	json_close(&j, '}');
	puts(buf_z(&out));
	buf_free(&out);
	buf_free(&value);
}

struct print {
	struct table        *table; /* NULL: JSON */
	const struct column *columns;
	size_t               n;
	struct buf          *values;
	struct str          *cells;
};

static void
print_row(void *arg, struct str row)
{
	struct print *p = arg;

	if (p->table == NULL) {
		daemon_json(row);
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		(void)daemon_cell(row, p->columns[i].key, &p->values[i]);
		p->cells[i] = buf_str(&p->values[i]);
	}
	table_add(p->table, p->cells);
}

int
daemon_print(struct cmd *c, struct str request, const struct column *columns, size_t n)
{
	static const struct daemon_hooks hooks = {.row = print_row};
	struct print                     p = {.columns = columns,
	                                      .n = n,
	                                      .values = mem_array(n, sizeof(struct buf)),
	                                      .cells = mem_array(n, sizeof(struct str))};
	int                              code;

	for (size_t i = 0; i < n; i++)
		buf_init(&p.values[i], CELL_MAX);
	if (!c->json)
		p.table = table_create(columns, n);
	code = daemon_ask(c, request, &hooks, &p, NULL);
	if (p.table != NULL)
		table_finish(p.table);
	for (size_t i = 0; i < n; i++)
		buf_free(&p.values[i]);
	free(p.values);
	free(p.cells);
	return code;
}

static void
raw_to_stderr(void *arg UNUSED, struct str octets)
{
	fwrite(octets.p, 1, octets.n, stderr);
}

int
daemon_say(struct cmd *c, struct str request)
{
	static const struct daemon_hooks hooks = {.raw = raw_to_stderr};
	struct buf                       said = BUF(CELL_MAX), out = BUF(CELL_MAX);
	struct json                      j = {.out = &out};
	int                              code = daemon_ask(c, request, &hooks, NULL, &said);

	if (code == CMD_NO_DAEMON || said.n == 0) {
		/* What was to be said is said. */
	} else if (c->json) {
		json_open(&j, NULL, '{');
		json_bool(&j, "ok", code == CMD_OK);
		json_str(&j, "text", buf_str(&said));
		json_close(&j, '}');
		puts(buf_z(&out));
	} else if (code == CMD_OK) {
		puts(buf_z(&said));
	} else {
		cmd_error(c->verb->name, buf_z(&said), NULL);
	}
	buf_free(&said);
	buf_free(&out);
	return code;
}
