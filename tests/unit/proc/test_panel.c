/* SPDX-License-Identifier: ISC */
/* The supervisor's children are the roles: whatever account they have, the control socket is not for them. */
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
	struct panel *p;
	int           fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)state;
	snprintf(at.sun_path, sizeof at.sun_path, "/tmp/test-panel-%d", (int)getpid());
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 10), 0);
	loop = loop_create();
	p = panel_open(loop, fd, getegid(), answer, NULL);
	assert_int_equal(calls_heard(false), 1);
	assert_int_equal(calls_heard(true), 0);
	panel_close(p);
	loop_destroy(loop);
	(void)unlink(at.sun_path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_are_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
