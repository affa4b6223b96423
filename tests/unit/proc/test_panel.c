/* SPDX-License-Identifier: ISC */
/* The supervisor's children are the roles: whatever account they have, the control socket is not for them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/panel.h"

#define OCTETS(text)             \
	{                        \
		text, sizeof(text) - 1 \
	}

static struct sockaddr_un at = {.sun_family = AF_UNIX};
static struct loop       *loop;
static unsigned           heard;

static void
answer(void *arg, struct caller *k, struct str line)
{
	(void)arg;
	(void)line;
	heard++;
	caller_answer(k, STR("ok\n"));
}

/* The answer's length; 0 if the connection was closed without one. */
static ssize_t
ask(void)
{
	char octets[64];
	int  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
	    send(fd, "status\n", 7, MSG_NOSIGNAL) != 7)
		return 0;
	return recv(fd, octets, sizeof octets, 0);
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

static void
turn_for(int64_t ms)
{
	struct timer *t = timer_create_on(loop, stop, loop);

	timer_set(t, ms);
	loop_run(loop);
	timer_destroy(t);
}

/* The caller is a grandchild for whom nobody waits here, or a child. */
static unsigned
calls_heard(bool child)
{
	pid_t pid = fork();
	int   status;

	heard = 0;
	if (pid == 0 && (child || fork() == 0)) {
		(void)ask();
		_exit(0);
	}
	if (pid == 0)
		_exit(0);
	if (!child)
		assert_int_equal(waitpid(pid, &status, 0), pid);
	turn_for(300);
	if (child)
		assert_int_equal(waitpid(pid, &status, 0), pid);
	return heard;
}

static void
children_are_turned_away(void **state)
{
	(void)state;
	assert_int_equal(calls_heard(false), 1);
	assert_int_equal(calls_heard(true), 0);
}

/* Connected, and so much said; nobody waits for an answer. */
static int
say(const char *octets, size_t n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(send(fd, octets, n, MSG_NOSIGNAL), n);
	return fd;
}

static bool
is_closed(int fd)
{
	char octet;

	return recv(fd, &octet, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET;
}

/* What local servers have fallen over: nothing a caller says is an assertion, or ends more than his own call. */
static void
odd_lines_are_lines(void **state)
{
	static const struct {
		struct str said;
		unsigned   heard;
	} rows[] = {
		{OCTETS("\n"), 1},         {OCTETS("\0\n"), 1},       {OCTETS("\1\2\3\n"), 1},
		{OCTETS("\r\n"), 1},       {OCTETS("\xff\xfe\n"), 1}, {OCTETS("a\nb\nc\n"), 1},
		{OCTETS("a\n\0\0\0\0"), 1}, {OCTETS("status"), 0},    {OCTETS("\0"), 0},
		{OCTETS("       \n"), 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int hasty = 0; hasty < 2; hasty++) {
			int fd = say(rows[i].said.p, rows[i].said.n);

			heard = 0;
			if (hasty)
				close(fd);
			turn_for(30);
			if (heard != rows[i].heard && !hasty)
				fail_msg("row %zu: heard %u times", i, heard);
			if (!hasty)
				close(fd);
			turn_for(10);
		}
}

static void
more_callers_than_there_is_room_for_are_turned_away(void **state)
{
	int fds[70];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = say("s", 1);
		turn_for(1);
	}
	turn_for(100);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (is_closed(fds[i]) != (i >= 64))
			fail_msg("caller %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	turn_for(100);
	heard = 0;
	close(say("status\n", 7));
	turn_for(100);
	assert_int_equal(heard, 1);
}

static struct panel *panel;

static int
open_all(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	snprintf(at.sun_path, sizeof at.sun_path, "/tmp/test-panel-%d", (int)getpid());
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 100) != 0)
		return -1;
	loop = loop_create();
	panel = panel_open(loop, fd, getegid(), answer, NULL);
	return 0;
}

static int
close_all(void **state)
{
	(void)state;
	panel_close(panel);
	loop_destroy(loop);
	return unlink(at.sun_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_are_turned_away),
		cmocka_unit_test(odd_lines_are_lines),
		cmocka_unit_test(more_callers_than_there_is_room_for_are_turned_away),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
