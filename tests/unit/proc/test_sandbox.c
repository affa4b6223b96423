/* SPDX-License-Identifier: ISC */
/* Children go into the sandbox, and the kernel says what became of them. As root more is taken from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/sandbox.h"
#include "lib/proc/traced.h"

#define ACCOUNT STR("nobody")

static const enum role_id roles[] = {ROLE_SMTPD,    ROLE_AUTH, ROLE_QUEUE,
                                     ROLE_DELIVERY, ROLE_KEYD, ROLE_DOCTOR};

/* A child inside the sandbox that lives until the pipe is closed; what /proc says of it is for the checks. */
struct child {
	pid_t pid;
	int   hold;
	char  status[8192], limits[4096], root[256];
};

static _Noreturn void
wait_inside(enum role_id role, int told, int hold)
{
	struct buf     why = BUF(1000);
	struct sandbox box = {.role = role, .account = ACCOUNT, .folder = -1, .in_force = BUF(256)};
	bool           ok = sandbox_enter(&box, &why);
	char           octet = ok;

	if (!ok)
		fprintf(stderr, "%s\n", buf_z(&why));
	(void)!write(told, &octet, 1);
	(void)!read(hold, &octet, 1);
	_exit(0);
}

static void
read_file(pid_t pid, const char *name, char *to, size_t size)
{
	char    path[64];
	int     fd;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, to, size - 1);
	assert_true(n > 0);
	to[n] = '\0';
	close(fd);
}

static void
read_proc(struct child *c)
{
	char    path[64];
	ssize_t n;

	read_file(c->pid, "status", c->status, sizeof c->status);
	read_file(c->pid, "limits", c->limits, sizeof c->limits);
	snprintf(path, sizeof path, "/proc/%d/root", (int)c->pid);
	n = readlink(path, c->root, sizeof c->root - 1);
	c->root[n > 0 ? n : 0] = '\0';
}

static void
start(struct child *c, enum role_id role)
{
	int  told[2], hold[2];
	char octet = 0;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	c->pid = fork();
	if (c->pid == 0) {
		close(hold[1]);
		wait_inside(role, told[1], hold[0]);
	}
	close(told[1]);
	close(hold[0]);
	c->hold = hold[1];
	assert_int_equal(read(told[0], &octet, 1), 1);
	assert_int_equal(octet, 1);
	close(told[0]);
	read_proc(c);
}

static void
end(struct child *c)
{
	int status;

	close(c->hold);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_int_equal(status, 0);
}

static void
assert_line(const struct child *c, const char *line)
{
	if (strstr(c->status, line) == NULL)
		fail_msg("no \"%s\" in:\n%s", line, c->status);
}

/* "Max processes   soft   hard   units" */
static rlim_t
hard_limit(const struct child *c, const char *name)
{
	const char *at = strstr(c->limits, name);
	char       *after;

	assert_non_null(at);
	at += strlen(name);
	at += strspn(at, " ");
	at += strcspn(at, " ");
	at += strspn(at, " ");
	if (strncmp(at, "unlimited", 9) == 0)
		return RLIM_INFINITY;
	return strtoull(at, &after, 10);
}

static void
every_role_gives_up_what_it_does_not_need(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct child c;

		start(&c, roles[i]);
		assert_line(&c, "\nNoNewPrivs:\t1\n");
		assert_int_equal(hard_limit(&c, "Max core file size"), 0);
		assert_true(hard_limit(&c, "Max open files") < RLIM_INFINITY);
		end(&c);
	}
}

static void
only_the_queue_may_start_a_thread(void **state)
{
	(void)state;
	if (TRACED)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct child c;

		start(&c, roles[i]);
		assert_int_equal(hard_limit(&c, "Max processes") == 0, roles[i] != ROLE_QUEUE);
		assert_true(hard_limit(&c, "Max address space") < RLIM_INFINITY);
		end(&c);
	}
}

static bool
may_change(void)
{
	struct account a;
	struct buf     why = BUF(1000);
	bool           may = account_find(ACCOUNT, &a, &why) && a.change;

	buf_free(&why);
	return may;
}

static void
root_is_given_up(void **state)
{
	(void)state;
	if (!may_change())
		skip();
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		bool sees_root = TRACED || roles[i] == ROLE_AUTH || roles[i] == ROLE_DELIVERY;
		struct child c;

		start(&c, roles[i]);
		assert_line(&c, "\nUid:\t65534\t65534\t65534\t65534\n");
		assert_line(&c, "\nGid:\t65534\t65534\t65534\t65534\n");
		assert_line(&c, "\nCapEff:\t0000000000000000\n");
		assert_line(&c, "\nCapPrm:\t0000000000000000\n");
		if (roles[i] != ROLE_AUTH)
			assert_line(&c, "\nGroups:\t \n");
		assert_int_equal(strcmp(c.root, "/") == 0, sees_root);
		assert_int_equal(strstr(c.root, "(deleted)") == NULL, sees_root);
		end(&c);
	}
}

static void
an_unknown_account_is_named(void **state)
{
	struct account a;
	struct buf     why = BUF(1000);

	(void)state;
	if (!may_change())
		skip();
	assert_false(account_find(STR("no-such-account"), &a, &why));
	assert_true(str_find_str(buf_str(&why), STR("\"no-such-account\"")) > 0);
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_role_gives_up_what_it_does_not_need),
		cmocka_unit_test(only_the_queue_may_start_a_thread),
		cmocka_unit_test(root_is_given_up),
		cmocka_unit_test(an_unknown_account_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
