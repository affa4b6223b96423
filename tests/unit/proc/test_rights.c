/* SPDX-License-Identifier: ISC */
/*
 * What somebody who has taken over a role can do: children enter the sandbox of each role
 * and try. Twice: as root, who could do it all without landlock and seccomp, and,
 * where the tests run as root, as an account of the role's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/sandbox.h"
#include "lib/proc/traced.h"

enum {
	S = 1u << ROLE_SMTPD,
	A = 1u << ROLE_AUTH,
	Q = 1u << ROLE_QUEUE,
	D = 1u << ROLE_DELIVERY,
	K = 1u << ROLE_KEYD,
	X = 1u << ROLE_DOCTOR,
	ALL = S | A | Q | D | K | X,
	NONE = 0,
};

/* Exit codes of a child beside the errno of what it tried. */
enum { NOT_ENTERED = 250, NOT_IN_FORCE = 251 };

/* What the children find: files that the mode lets everybody read, and sockets from before. */
static struct {
	char spool[64], key[96], users[96];
	int  folder, stream, server;
} here;

static int
result(long value)
{
	return value >= 0 ? 0 : errno;
}

static int
open_spooled(void)
{
	return result(openat(here.folder, "message", O_RDWR));
}

static int
make_spooled(void)
{
	return result(openat(here.folder, "new", O_WRONLY | O_CREAT, 0600));
}

static int
follow_link(void)
{
	return result(openat(here.folder, "link", O_RDONLY));
}

static int
open_key(void)
{
	return result(open(here.key, O_RDONLY));
}

static int
open_users(void)
{
	return result(open(here.users, O_RDONLY));
}

static int
open_passwd(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int
open_memory(void)
{
	return result(open("/proc/self/mem", O_RDWR));
}

/* Where anybody may write, in a read-only root as well. */
static const char *
scratch_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir != NULL ? dir : "/tmp";
}

static int
write_tmp(void)
{
	return result(open(scratch_dir(), O_TMPFILE | O_WRONLY, 0600));
}

static int
socket_inet(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int
socket_unix(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int
socket_packet(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

/* A socket that came from elsewhere is of no use either. */
static int
connect_out(void)
{
	struct sockaddr_in to;
	socklen_t          n = sizeof to;

	if (getsockname(here.server, (struct sockaddr *)&to, &n) != 0)
		to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = 1};
	return result(connect(here.stream, (const struct sockaddr *)&to, sizeof to));
}

static int
bind_to(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};

	return result(bind(here.stream, (const struct sockaddr *)&at, sizeof at));
}

static int
bind_any(void)
{
	return bind_to(0);
}

static int
bind_smtp(void)
{
	return bind_to(2525);
}

static int
run_shell(void)
{
	char *argv[] = {NULL};

	return result(execve("/bin/sh", argv, argv));
}

static int
make_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static void *
idle(void *arg)
{
	return arg;
}

static int
make_thread(void)
{
	pthread_t t;
	int       error = pthread_create(&t, NULL, idle, NULL);

	return error != 0 ? error : pthread_join(t, NULL);
}

static int
trace_parent(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int
read_parent(void)
{
	char         octet;
	struct iovec to = {&octet, 1}, from = {&here, 1};

	return result(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int
signal_parent(void)
{
	return result(kill(getppid(), 0));
}

static int
map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
map_data(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
turn_to_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
raise_limits(void)
{
	return result(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
}

static int
be_dumpable(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int
be_root(void)
{
	return result(setuid(0));
}

static int
new_namespace(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int
use_io_uring(void)
{
	return result(syscall(425, 4, NULL));
}

static int
wait_briefly(void)
{
	return result(usleep(1));
}

static int
write_log(void)
{
	return result(write(STDERR_FILENO, "", 0));
}

static const struct {
	const char *name;
	int (*act)(void);
	unsigned allowed; /* roles that may */
	unsigned deadly;  /* roles that the attempt ends; all others are refused */
} attempts[] = {
	{"write to stored mail", open_spooled, Q, NONE},
	{"make a file among stored mail", make_spooled, Q, NONE},
	{"follow a link out of the spool", follow_link, NONE, NONE},
	{"read a private key", open_key, NONE, NONE},
	{"read the users file", open_users, NONE, NONE},
	{"read a system file", open_passwd, NONE, NONE},
	{"open its own memory as a file", open_memory, NONE, NONE},
	{"write to /tmp", write_tmp, NONE, NONE},
	{"open an internet socket", socket_inet, D | X, S | Q | K},
	{"open a local socket", socket_unix, A, S | Q | K},
	{"open a packet socket", socket_packet, NONE, S | Q | K},
	{"connect a socket it was given", connect_out, D | X, NONE},
	{"bind to a port the kernel chooses", bind_any, D | X, NONE},
	{"bind to a port of its choice", bind_smtp, NONE, NONE},
	{"run a program", run_shell, NONE, ALL},
	{"fork", make_child, NONE, S | A | D | K | X},
	{"start a thread", make_thread, Q, S | A | D | K | X},
	{"trace another process", trace_parent, NONE, ALL},
	{"read another process", read_parent, NONE, ALL},
	{"signal another process", signal_parent, NONE, NONE},
	{"map code", map_code, NONE, NONE},
	{"map data", map_data, ALL, NONE},
	{"make data executable", turn_to_code, NONE, NONE},
	{"change its limits", raise_limits, NONE, NONE},
	{"become dumpable", be_dumpable, NONE, NONE},
	{"become root", be_root, NONE, ALL},
	{"enter a new namespace", new_namespace, NONE, ALL},
	{"use io_uring", use_io_uring, NONE, ALL},
	{"wait", wait_briefly, ALL, NONE},
	{"write a line of log", write_log, ALL, NONE},
};

static _Noreturn void
enter_and(enum role_id role, struct str account, int (*act)(void))
{
	struct buf     why = BUF(1000);
	struct sandbox box = {
		.role = role, .account = account, .folder = here.folder, .in_force = BUF(256)};
	struct str in_force;

	if (!sandbox_enter(&box, &why)) {
		fprintf(stderr, "%s\n", buf_z(&why));
		_exit(NOT_ENTERED);
	}
	in_force = buf_str(&box.in_force);
	/* Ports are landlock's business since its version 4. */
	if (str_find_str(in_force, STR("seccomp")) < 0 ||
	    str_find_str(in_force, STR("landlock")) < 0 ||
	    str_find_str(in_force, STR("landlock1")) >= 0 ||
	    str_find_str(in_force, STR("landlock2")) >= 0 ||
	    str_find_str(in_force, STR("landlock3")) >= 0)
		_exit(NOT_IN_FORCE);
	_exit(act());
}

static int
try(enum role_id role, struct str account, int (*act)(void))
{
	pid_t pid;
	int   status;

	here.stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(here.stream >= 0);
	pid = fork();
	if (pid == 0)
		enter_and(role, account, act);
	assert_true(pid > 0);
	close(here.stream);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)unlinkat(here.folder, "new", 0);
	return status;
}

static bool
is_refusal(int error)
{
	return error == EPERM || error == EACCES || error == ENOENT || error == EXDEV;
}

static bool
is_as_expected(size_t i, enum role_id role, int status)
{
	unsigned bit = 1u << role;

	if ((attempts[i].deadly & bit) != 0)
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	if (!WIFEXITED(status))
		return false;
	if ((attempts[i].allowed & bit) != 0)
		return WEXITSTATUS(status) == 0;
	return is_refusal(WEXITSTATUS(status));
}

static void
try_all(struct str account)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
		for (unsigned role = ROLE_SMTPD; role < ROLE_COUNT; role++) {
			int status = try((enum role_id)role, account, attempts[i].act);

			if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_IN_FORCE)
				skip();
			if (is_as_expected(i, (enum role_id)role, status))
				continue;
			print_message("%s: %s: wait status %#x\n", role_name((enum role_id)role),
			              attempts[i].name, (unsigned)status);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static void
without_an_account_of_its_own(void **state)
{
	(void)state;
	if (TRACED)
		skip();
	try_all(STR("root"));
}

static void
with_an_account_of_its_own(void **state)
{
	struct account a;
	struct buf     why = BUF(1000);

	(void)state;
	if (TRACED || !account_find(STR("nobody"), &a, &why) || !a.change)
		skip();
	try_all(STR("nobody"));
}

/* All that is left to keyd, of all calls there are. */
static const long left_to_keyd[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_close,
	SYS_fcntl,
	SYS_fstat,
	SYS_lseek,
	SYS_epoll_ctl,
	SYS_epoll_pwait,
	SYS_ppoll,
	SYS_restart_syscall,
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_mmap,
	SYS_mprotect,
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_nanosleep,
	SYS_getrandom,
	SYS_futex,
	SYS_clock_nanosleep,
	SYS_sched_yield,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_exit,
	SYS_exit_group,
	SYS_sysinfo,
	SYS_tgkill,
	SYS_prlimit64,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
	SYS_poll,
	SYS_time,
#endif
};

/* The kernel lets these two past every filter; they are its own, for probes, and end who calls them. */
enum { URETPROBE = 335, UPROBE = 336 };

static long the_call;

static int
call_it(void)
{
	return result(syscall(the_call, -1L, -1L, 0L, -1L, -1L, -1L));
}

static bool
is_left(long number)
{
	for (size_t i = 0; i < ARRAY_LEN(left_to_keyd); i++)
		if (left_to_keyd[i] == number)
			return true;
	return false;
}

static void
keyd_has_few_calls(void **state)
{
	(void)state;
	if (TRACED)
		skip();
	for (the_call = 0; the_call < 470; the_call++) {
		int  status;
		bool refused;

		if (is_left(the_call) || the_call == URETPROBE || the_call == UPROBE)
			continue;
		status = try(ROLE_KEYD, STR("root"), call_it);
		if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_IN_FORCE)
			skip();
		refused = (WIFEXITED(status) && WEXITSTATUS(status) == EPERM) ||
		          (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		if (!refused)
			print_message("call %ld: wait status %#x\n", the_call, (unsigned)status);
		assert_true(refused);
	}
}

static void
put_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0 && fchmod(fd, 0644) == 0);
	close(fd);
}

static int
set_up(void **state)
{
	char message[96], link[96];

	(void)state;
	snprintf(here.spool, sizeof here.spool, "%s/test-rights-XXXXXX", scratch_dir());
	assert_non_null(mkdtemp(here.spool));
	assert_int_equal(chmod(here.spool, 0777), 0);
	snprintf(message, sizeof message, "%s/message", here.spool);
	snprintf(link, sizeof link, "%s/link", here.spool);
	snprintf(here.key, sizeof here.key, "%s.key", here.spool);
	snprintf(here.users, sizeof here.users, "%s.users", here.spool);
	put_file(message);
	put_file(here.key);
	put_file(here.users);
	assert_int_equal(chmod(message, 0666), 0);
	assert_int_equal(symlink(here.key, link), 0);
	here.folder = open(here.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	here.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(here.folder >= 0 && here.server >= 0);
	assert_int_equal(listen(here.server, 100), 0);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = {"message", "link"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(here.folder, names[i], 0);
	(void)rmdir(here.spool);
	(void)unlink(here.key);
	(void)unlink(here.users);
	close(here.folder);
	close(here.server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_an_account_of_its_own),
		cmocka_unit_test(with_an_account_of_its_own),
		cmocka_unit_test(keyd_has_few_calls),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
