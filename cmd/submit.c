/* SPDX-License-Identifier: ISC */
#include "cmd/submit.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { STEP_TIMEOUT_S = 30, REPLY_MAX = 8192 };

static int
dial(struct addr server)
{
	struct timeval          limit = {.tv_sec = STEP_TIMEOUT_S};
	struct sockaddr_storage to;
	socklen_t               n = addr_to_sockaddr(server, &to);
	int                     fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
	    connect(fd, (const struct sockaddr *)&to, n) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
say(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = send(fd, text.p, text.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = str_skip(text, (size_t)n);
	}
	return true;
}

/* The last line of a whole reply, without its CRLF. No pipelining: nothing comes behind it. */
static bool
hear(int fd, struct buf *reply)
{
	struct buf in = BUF(REPLY_MAX);
	struct str rest, line = STR_NONE, last = STR_NONE;

	buf_clear(reply);
	while (last.n == 0) {
		char   *room = buf_room(&in, 1024);
		ssize_t n = room != NULL ? recv(fd, room, 1024, 0) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_commit(&in, (size_t)n);
		rest = buf_str(&in);
		if (!str_ends(rest, STR("\r\n")))
			continue;
		while (str_cut(&rest, '\n', &line))
			if (line.n >= 4 && line.p[3] == ' ')
				last = str_trim(str_sub(line, 0, line.n - 1));
	}
	buf_add(reply, last.n > 0 ? last : STR("no answer, or none that makes sense"));
	buf_free(&in);
	return last.n > 0;
}

/* One command and its reply; true if that begins with `good`. */
static bool
ask(int fd, struct str command, char good, struct buf *reply)
{
	if (!say(fd, command)) {
		buf_clear(reply);
		buf_addz(reply, "the connection broke");
		return false;
	}
	return hear(fd, reply) && reply->p[0] == good;
}

static void
stuff(struct buf *out, struct str message)
{
	struct str line;

	while (str_cut(&message, '\n', &line)) {
		if (line.n == 0 && message.n == 0)
			break;
		if (str_starts(line, STR(".")))
			buf_addc(out, '.');
		buf_add(out, line);
		buf_addc(out, '\n');
	}
	buf_addz(out, ".\r\n");
}

static bool
dialogue(int fd, struct str from, struct str to, struct str message, struct buf *reply)
{
	struct buf path = BUF(1024), rcpt = BUF(1024), data = BUF(1024 * 1024);
	bool       ok;

	buf_addf(&path, "MAIL FROM:<%.*s>\r\n", (int)from.n, from.p);
	buf_addf(&rcpt, "RCPT TO:<%.*s>\r\n", (int)to.n, to.p);
	stuff(&data, message);
	ok = hear(fd, reply) && reply->p[0] == '2' && ask(fd, STR("EHLO localhost\r\n"), '2', reply) &&
	     ask(fd, buf_str(&path), '2', reply) && ask(fd, buf_str(&rcpt), '2', reply) &&
	     ask(fd, STR("DATA\r\n"), '3', reply) && ask(fd, buf_str(&data), '2', reply);
	(void)say(fd, STR("QUIT\r\n"));
	buf_free(&path);
	buf_free(&rcpt);
	buf_free(&data);
	return ok;
}

bool
submit(struct addr server, struct str from, struct str to, struct str message, struct buf *reply)
{
	int  fd = dial(server);
	bool ok;

	if (fd < 0) {
		buf_addz(reply, strerror(errno));
		return false;
	}
	ok = dialogue(fd, from, to, message, reply);
	close(fd);
	return ok;
}
