/* SPDX-License-Identifier: ISC */
/* Children go into the sandbox and then try what they may not. As root more is taken from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/sandbox.h"

#define ACCOUNT STR("nobody")

static const enum role_id roles[] = {ROLE_SMTPD, ROLE_AUTH, ROLE_QUEUE, ROLE_DELIVERY, ROLE_KEYD};

/* The child's answer is its exit code: 0, or the number of the check that failed. */
static int
in_sandbox(enum role_id role, int (*check)(enum role_id role))
{
	pid_t pid = fork();
	int   status;

	if (pid == 0) {
		struct buf why = BUF(1000);

		if (!sandbox_enter(role, ACCOUNT, &why)) {
			fprintf(stderr, "%s\n", buf_z(&why));
			_exit(99);
		}
		_exit(check(role));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
check_always(enum role_id role)
{
	struct rlimit core, files;

	(void)role;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
#ifndef __SANITIZE_ADDRESS__
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
#endif
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
		return 3;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur != files.rlim_max)
		return 4;
	return 0;
}

static int
check_as_root(enum role_id role)
{
	gid_t groups[100];
#ifdef __SANITIZE_ADDRESS__
	bool sees_files = true;
#else
	bool sees_files = role == ROLE_AUTH || role == ROLE_DELIVERY;
#endif

	if (getuid() == 0 || geteuid() == 0 || getgid() == 0 || setuid(0) == 0 || setgid(0) == 0)
		return 1;
	if (role != ROLE_AUTH && getgroups(100, groups) != 0)
		return 2;
	if ((open("/etc/passwd", O_RDONLY) >= 0) != sees_files)
		return 3;
	if (!sees_files && (open("/new", O_WRONLY | O_CREAT, 0600) >= 0 || open("..", O_PATH) < 0 ||
	                    open("../etc", O_PATH) >= 0 || open("/tmp", O_PATH) >= 0))
		return 4;
	return 0;
}

static void
every_role_gives_up_what_it_does_not_need(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		assert_int_equal(in_sandbox(roles[i], check_always), 0);
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
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		assert_int_equal(in_sandbox(roles[i], check_as_root), 0);
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
		cmocka_unit_test(root_is_given_up),
		cmocka_unit_test(an_unknown_account_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
