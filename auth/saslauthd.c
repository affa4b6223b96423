/* SPDX-License-Identifier: ISC */
#include "auth/saslauthd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/util/buf.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum { TIMEOUT_S = 5, ANSWER_MAX = 1024 };

static int
dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval     limit = {.tv_sec = TIMEOUT_S};
	size_t             n = strlen(path);
	int                fd;

	if (n >= sizeof to.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(to.sun_path, path, n);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
	    connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
add_counted(struct buf *out, struct str s)
{
	buf_addc(out, (char)(s.n >> 8));
	buf_addc(out, (char)(s.n & 0xff));
	buf_add(out, s);
}

static bool
send_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = str_skip(s, (size_t)n);
	}
	return true;
}

static bool
receive_all(int fd, char *to, size_t n)
{
	while (n > 0) {
		ssize_t got = recv(fd, to, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

static bool
ask(int fd, struct str name, struct str password)
{
	struct buf question = BUF(4096);
	bool       ok;

	add_counted(&question, name);
	add_counted(&question, password);
	add_counted(&question, STR("smtp"));
	add_counted(&question, STR(""));
	ok = !question.over && send_all(fd, buf_str(&question));
	mem_wipe(question.p, question.n);
	buf_free(&question);
	return ok;
}

static enum password_result
hear(int fd)
{
	char   count[2], answer[ANSWER_MAX];
	size_t n;

	if (!receive_all(fd, count, sizeof count))
		return PASSWORD_UNAVAILABLE;
	n = (size_t)(uint8_t)count[0] << 8 | (uint8_t)count[1];
	if (n < 2 || n > sizeof answer || !receive_all(fd, answer, n))
		return PASSWORD_UNAVAILABLE;
	if (str_starts((struct str){answer, n}, STR("OK")))
		return PASSWORD_OK;
	return str_starts((struct str){answer, n}, STR("NO")) ? PASSWORD_WRONG
	                                                      : PASSWORD_UNAVAILABLE;
}

enum password_result
saslauthd_check(const char *socket_path, struct str name, struct str password)
{
	enum password_result r = PASSWORD_UNAVAILABLE;
	int                  fd = dial(socket_path);

	if (fd >= 0 && ask(fd, name, password))
		r = hear(fd);
	if (r == PASSWORD_UNAVAILABLE)
		log_warn(ev("auth-unavailable"), kv("socket", socket_path),
		         kv("why", fd < 0 ? strerror(errno) : "no usable answer from saslauthd"));
	if (fd >= 0)
		close(fd);
	return r;
}
