/* SPDX-License-Identifier: ISC */
/* Children go into the sandbox, and the kernel says what became of them. As root more is taken from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/sandbox.h"
#include "lib/proc/syscalls.h"
#include "lib/proc/traced.h"
#include "lib/util/buf.h"
#include "lib/util/log.h"

#define ACCOUNT STR("nobody")

enum { CANNOT_TAKE_AWAY = 99 };

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

/* A role that starts where memory is missing is confined all the same, or not there. */
static void
the_filter_takes_no_memory(void **state)
{
	pid_t pid;
	int   status;

	(void)state;
	if (TRACED)
		skip();
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		int                 error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

		_exit(setrlimit(RLIMIT_AS, &none) != 0 || error != 0 || malloc(1 << 20) != NULL
		              ? CANNOT_TAKE_AWAY
		              : syscalls_enter(ROLE_DELIVERY));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
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

/* A kernel that does not know `number`, for this process and its children. */
static void
take_away(unsigned number, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_LEN(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		_exit(CANNOT_TAKE_AWAY);
}

static struct buf lines = {.limit = 4096};

static void
on_line(struct str line)
{
	buf_add(&lines, line);
	buf_addc(&lines, '\n');
}

enum { LANDLOCK_CREATE = 444 };

static const struct {
	const char *name;
	unsigned    numbers[2], error;
	const char *missing; /* as the log has it */
	const char *there, *not_there;
} lacks[] = {
	{"no landlock", {LANDLOCK_CREATE}, ENOSYS, "missing=landlock ", "seccomp", "landlock"},
	{"landlock is off", {LANDLOCK_CREATE}, EOPNOTSUPP, "missing=landlock ", "seccomp", "landlock"},
	{"no seccomp", {SYS_seccomp}, EINVAL, "missing=seccomp ", "landlock", "seccomp"},
	{"neither", {LANDLOCK_CREATE, SYS_seccomp}, ENOSYS, "missing=landlock,seccomp ", "", "seccomp"},
};

/* 0, or the line of the expectation that does not hold. */
static int
enter_without(size_t row, enum role_id role)
{
	struct buf     why = BUF(1000);
	struct sandbox box = {.role = role, .account = ACCOUNT, .folder = -1, .in_force = BUF(256)};

	log_hook(on_line);
	for (size_t i = 0; i < 2; i++)
		if (lacks[row].numbers[i] != 0)
			take_away(lacks[row].numbers[i], lacks[row].error);
	if (!sandbox_enter(&box, &why))
		return __LINE__;
	if (str_find_str(buf_str(&box.in_force), str_of(lacks[row].there)) < 0)
		return __LINE__;
	if (str_find_str(buf_str(&box.in_force), str_of(lacks[row].not_there)) >= 0)
		return __LINE__;
	buf_addc(&lines, ' ');
	if (str_find_str(buf_str(&lines), STR("ev=sandbox level=warn")) < 0 ||
	    str_find_str(buf_str(&lines), str_of(lacks[row].missing)) < 0)
		return __LINE__;
	/* In one line, and once. */
	return str_find(buf_str(&lines), '\n') == (ptrdiff_t)lines.n - 2 ? 0 : __LINE__;
}

static void
what_the_kernel_lacks_is_told_in_one_line(void **state)
{
	(void)state;
	if (TRACED)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(lacks); i++)
		for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
			int   status;
			pid_t pid = fork();

			if (pid == 0) {
				int line = enter_without(i, roles[r]);

				if (line != 0)
					fprintf(stderr, "%s: line %d: %s\n", lacks[i].name, line,
					        buf_z(&lines));
				_exit(line != 0);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_TAKE_AWAY)
				skip();
			assert_int_equal(status, 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_role_gives_up_what_it_does_not_need),
		cmocka_unit_test(only_the_queue_may_start_a_thread),
		cmocka_unit_test(root_is_given_up),
		cmocka_unit_test(the_filter_takes_no_memory),
		cmocka_unit_test(an_unknown_account_is_named),
		cmocka_unit_test(what_the_kernel_lacks_is_told_in_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
