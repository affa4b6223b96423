/* SPDX-License-Identifier: ISC */
/* A whole supervisor with a fake program as its roles; the first argument is that program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/net/listener.h"
#include "lib/proc/config.h"
#include "lib/proc/lock.h"
#include "lib/proc/supervise.h"
#include "lib/util/random.h"
#include "lib/util/time.h"

enum { ANSWER_MAX = 256 * 1024, DEADLINE_MS = 120 * 1000 };

static const char *program;
static char        dir[] = "/tmp/test_supervise-XXXXXX";
static pid_t       daemon_pid;
static uint16_t    ports[2];
static int         reserved[2] = {-1, -1};

static void
rest_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Whoever has this port of an address where nobody serves owns its number: other tests look for one meanwhile. */
static int
reserve(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(0x7ffffffe)};
	int                fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Below the range that the kernel gives to outgoing connections: those of other tests took such ports away. */
static uint16_t
free_port(int *mine)
{
	struct addr a;
	int         fd = -1;

	assert_true(addr_parse_port(STR("127.0.0.1:1"), 0, &a));
	for (int tries = 0; fd < 0 && tries < 1000; tries++) {
		struct buf why = BUF(100);

		a.port = (uint16_t)(10000 + random_below(10000));
		*mine = reserve(a.port);
		fd = *mine >= 0 ? listener_bind(a, &why) : -1;
		if (fd < 0 && *mine >= 0)
			close(*mine);
		buf_free(&why);
	}
	assert_true(fd >= 0);
	close(fd);
	return a.port;
}

static const char *
path(const char *name)
{
	static char text[4][256];
	static int  turn;
	char       *p = text[turn++ % 4];

	snprintf(p, sizeof text[0], "%s/%s", dir, name);
	return p;
}

static void
write_config(const char *listen, const char *more)
{
	FILE *f = fopen(path("conf"), "w");

	assert_non_null(f);
	fprintf(f,
	        "hostname mail.example.com\nlisten %s\nspool %s\nstate %s\ncontrol %s\n"
	        "smtpd-processes 2\ndelivery-processes 2\nauth-processes 1\n"
	        "pwcheck saslauthd /nowhere\n%s",
	        listen, path("spool"), path("state"), path("run/control"), more);
	if (geteuid() == 0)
		fputs("user-account root\n", f);
	fclose(f);
}

static void
write_usual_config(void)
{
	char listen[64];

	snprintf(listen, sizeof listen, "127.0.0.1:%u", ports[0]);
	write_config(listen, "");
}

static void
replace_in_config(const char *what, const char *with)
{
	char   text[8192];
	FILE  *f = fopen(path("conf"), "r+");
	size_t n;
	char  *at;

	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	at = strstr(text, what);
	assert_non_null(at);
	assert_int_equal(strlen(what), strlen(with));
	memcpy(at, with, strlen(with));
	rewind(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
}

static int
run_daemon(void)
{
	struct supervise_options o = {
		.config_file = path("conf"), .version = "test", .program = program};
	struct buf report = BUF(64 * 1024);

	o.config = config_load(o.config_file, &report, NULL, NULL);
	if (o.config == NULL) {
		fputs(buf_z(&report), stderr);
		return 99;
	}
	buf_free(&report);
	return supervise_run(&o);
}

static pid_t
start_daemon(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(run_daemon());
	assert_true(pid > 0);
	return pid;
}

static int
end_of(pid_t pid)
{
	int64_t until = time_mono_ms() + DEADLINE_MS;
	int     status = -1;

	while (time_mono_ms() < until) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
		rest_ms(5);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

/* What the control socket answers; empty if there is none. */
static const char *
ask(const char *line)
{
	static char        answer[ANSWER_MAX];
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int                fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t             n = 0;
	ssize_t            got;

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path("run/control"));
	answer[0] = '\0';
	if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
	    send(fd, line, strlen(line), MSG_NOSIGNAL) > 0 &&
	    send(fd, "\n", 1, MSG_NOSIGNAL) == 1) {
		while ((got = recv(fd, answer + n, sizeof answer - 1 - n, 0)) > 0)
			n += (size_t)got;
		answer[n] = '\0';
	}
	close(fd);
	return answer;
}

static bool
comes(const char *line, const char *what)
{
	int64_t until = time_mono_ms() + DEADLINE_MS;

	while (time_mono_ms() < until) {
		if (strstr(ask(line), what) != NULL)
			return true;
		rest_ms(20);
	}
	fprintf(stderr, "\"%s\" never said \"%s\" but:\n%s\n", line, what, ask(line));
	return false;
}

static bool
is_ready(void)
{
	return comes("readyz", "end 0 ");
}

/* The number in `key:=N` of the role's row. */
static long
role_number(const char *role, const char *key)
{
	char        start[64], cell[64];
	const char *row, *at;

	snprintf(start, sizeof start, "kind=role\trole=%s\tindex:=0", role);
	snprintf(cell, sizeof cell, "\t%s:=", key);
	row = strstr(ask("status"), start);
	at = row != NULL ? strstr(row, cell) : NULL;
	return at != NULL ? strtol(at + strlen(cell), NULL, 10) : -1;
}

static bool
role_number_reaches(const char *role, const char *key, long n)
{
	int64_t until = time_mono_ms() + DEADLINE_MS;

	while (role_number(role, key) < n) {
		if (time_mono_ms() > until)
			return false;
		rest_ms(20);
	}
	return true;
}

static int
set_up(void **state)
{
	(void)state;
	unsetenv("FAULT_ROLE");
	unsetenv("FAULT_HOW");
	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		ports[i] = free_port(&reserved[i]);
	write_usual_config();
	daemon_pid = 0;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (daemon_pid > 0)
		kill(daemon_pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		close(reserved[i]);
	return 0;
}

/* Every smtpd has a channel to auth, queue and one keyd, every delivery to queue and keyd; each has two ends. */
#define ALL_WIRED "name=peers\tvalue:=24\n"

static void
all_roles_are_started_joined_and_stopped(void **state)
{
	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	assert_true(comes("status", ALL_WIRED));
	assert_true(comes("status", "name=queue_messages\tvalue:=42\n"));
	assert_true(comes("status", "name=spools\tvalue:=1\n"));
	assert_true(comes("status", "name=listeners_given\tvalue:=2\n"));
	assert_true(comes("status", "kind=daemon\tmode=capture\tversion=test\t"));
	assert_true(comes("status", "kind=listener\taddress=127.0.0.1:"));
	assert_non_null(strstr(ask("nonsense"), "end 2 "));
	assert_non_null(
		strstr(ask("queue list \"a b\""), "request=queue list \\\"a b\\\"\nend 0 done\n"));
	assert_non_null(strstr(ask("pause"), "request=pause\nend 0 done\n"));
	kill(daemon_pid, SIGTERM);
	assert_int_equal(end_of(daemon_pid), 0);
	daemon_pid = 0;
	assert_int_not_equal(access(path("run/control"), F_OK), 0);
}

static void
a_killed_role_comes_back_with_its_channels(void **state)
{
	static const char *const names[] = {"smtpd", "auth", "queue", "delivery", "keyd"};

	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		long pid = role_number(names[i], "pid");

		assert_true(pid > 1);
		assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
		assert_true(role_number_reaches(names[i], "restarts", 1));
		assert_true(is_ready());
		assert_true(comes("status", ALL_WIRED));
		assert_int_equal(role_number(names[i], "restarts"), 1);
		assert_int_not_equal(role_number(names[i], "pid"), pid);
	}
	assert_non_null(strstr(ask("stop"), "end 0 "));
	assert_int_equal(end_of(daemon_pid), 0);
	daemon_pid = 0;
}

static void
a_role_that_dies_again_and_again_is_started_ever_more_slowly(void **state)
{
	int64_t started = time_mono_ms();

	(void)state;
	setenv("FAULT_ROLE", "keyd", 1);
	setenv("FAULT_HOW", "die", 1);
	daemon_pid = start_daemon();
	assert_true(role_number_reaches("keyd", "restarts", 4));
	assert_true(time_mono_ms() - started >= 700); /* 0.1, 0.2 and 0.4 s between four deaths */
	assert_true(comes("readyz", "end 1 keyd 0 is down"));
	kill(daemon_pid, SIGTERM);
	assert_int_equal(end_of(daemon_pid), 0);
	daemon_pid = 0;
}

static void
a_role_that_breaks_the_rules_is_ended(void **state)
{
	(void)state;
	setenv("FAULT_ROLE", "auth", 1);
	setenv("FAULT_HOW", "nonsense", 1);
	daemon_pid = start_daemon();
	assert_true(role_number_reaches("auth", "restarts", 2));
	kill(daemon_pid, SIGTERM);
	assert_int_equal(end_of(daemon_pid), 0);
	daemon_pid = 0;
}

static void
a_channel_that_is_cut_is_made_anew(void **state)
{
	static const char *const names[] = {"smtpd", "auth", "queue", "delivery", "keyd"};

	(void)state;
	setenv("FAULT_HOW", "babble", 1);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		long pid;

		setenv("FAULT_ROLE", names[i], 1);
		daemon_pid = start_daemon();
		assert_true(is_ready());
		pid = role_number(names[i], "pid");
		assert_true(comes("status", ALL_WIRED));
		assert_int_equal(role_number(names[i], "restarts"), 0);
		assert_int_equal(role_number(names[i], "pid"), pid);
		kill(daemon_pid, SIGTERM);
		assert_int_equal(end_of(daemon_pid), 0);
		daemon_pid = 0;
	}
}

static void
a_role_that_cannot_start_ends_the_daemon(void **state)
{
	(void)state;
	setenv("FAULT_ROLE", "auth", 1);
	setenv("FAULT_HOW", "start", 1);
	assert_int_equal(end_of(start_daemon()), 78);
}

static void
a_second_daemon_on_the_same_spool_refuses(void **state)
{
	struct buf why = BUF(1000);
	int        spool;

	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	assert_int_equal(end_of(start_daemon()), 1);
	assert_true(is_ready()); /* the first has not noticed */
	spool = open(path("spool"), O_RDONLY | O_DIRECTORY);
	assert_true(spool >= 0);
	assert_int_equal(lock_take(spool, &why), -1);
	assert_non_null(strstr(buf_z(&why), "another postern uses this spool (process "));
	buf_free(&why);
	close(spool);
}

static void
nothing_stale_keeps_a_new_daemon_away(void **state)
{
	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	kill(daemon_pid, SIGKILL);
	assert_int_equal(end_of(daemon_pid), 1000 + SIGKILL);
	daemon_pid = start_daemon(); /* the old queue may still be there for a moment */
	assert_true(is_ready());
}

/* As ALL_WIRED, without the two channels to auth. */
#define WIRED_WITHOUT_AUTH "name=peers\tvalue:=20\n"

static void
a_role_with_nothing_to_do_rests_until_a_reload_needs_it(void **state)
{
	static const char logins[] = "pwcheck saslauthd /nowhere", none[] = "pwcheck users             ";

	(void)state;
	replace_in_config(logins, none);
	daemon_pid = start_daemon();
	assert_true(is_ready());
	assert_true(comes("status", WIRED_WITHOUT_AUTH));
	assert_int_equal(role_number("auth", "pid"), -1);
	for (long round = 0; round < 2; round++) {
		replace_in_config(none, logins);
		assert_non_null(strstr(ask("reload"), "end 0 "));
		assert_true(comes("status", ALL_WIRED));
		assert_true(role_number("auth", "pid") > 1);
		assert_int_equal(role_number("auth", "restarts"), 0);
		assert_true(is_ready());
		replace_in_config(logins, none);
		assert_non_null(strstr(ask("reload"), "end 0 "));
		assert_true(comes("status", WIRED_WITHOUT_AUTH));
		while (role_number("auth", "pid") != -1)
			rest_ms(5);
		assert_true(is_ready());
	}
	/* At once: the process may still be on its way out. */
	replace_in_config(none, logins);
	assert_non_null(strstr(ask("reload"), "end 0 "));
	replace_in_config(logins, none);
	assert_non_null(strstr(ask("reload"), "end 0 "));
	replace_in_config(none, logins);
	assert_non_null(strstr(ask("reload"), "end 0 "));
	assert_true(comes("status", ALL_WIRED));
	assert_int_equal(role_number("auth", "restarts"), 0);
	kill(daemon_pid, SIGTERM);
	assert_int_equal(end_of(daemon_pid), 0);
	daemon_pid = 0;
}

static void
a_role_that_will_not_rest_is_made_to(void **state)
{
	static const char logins[] = "pwcheck saslauthd /nowhere", none[] = "pwcheck users             ";
	long              pid;

	(void)state;
	setenv("FAULT_ROLE", "auth", 1);
	setenv("FAULT_HOW", "drain", 1);
	daemon_pid = start_daemon();
	assert_true(is_ready());
	pid = role_number("auth", "pid");
	replace_in_config(logins, none);
	assert_non_null(strstr(ask("reload"), "end 0 "));
	assert_int_equal(role_number("auth", "pid"), pid);
	/* It is needed again before it has gone: the reload ends when there is another one. */
	replace_in_config(none, logins);
	assert_non_null(strstr(ask("reload"), "end "));
	assert_true(comes("status", ALL_WIRED));
	assert_true(is_ready());
	assert_int_not_equal(role_number("auth", "pid"), pid);
}

static void
a_reload_changes_all_or_nothing(void **state)
{
	char  listen[128];
	FILE *f;

	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	f = fopen(path("conf"), "a");
	assert_non_null(f);
	fputs("listn 127.0.0.1:1\n", f);
	fclose(f);
	assert_non_null(strstr(ask("reload"), "end 78 "));
	assert_true(comes("status", "generation:=1\t"));

	snprintf(listen, sizeof listen, "127.0.0.1:%u 127.0.0.1:%u", ports[1], ports[0]);
	write_config(listen, "");
	assert_non_null(strstr(ask("reload"), "end 0 "));
	assert_true(comes("status", "generation:=2\t"));
	/* Two smtpds: one listener each at the start, then both places are other sockets. */
	assert_true(comes("status", "name=listeners_given\tvalue:=6\n"));
	assert_true(comes("status", "name=configs\tvalue:=16\n"));

	write_config(listen, "max-recipients 7\n");
	kill(daemon_pid, SIGHUP);
	assert_true(comes("status", "generation:=3\t"));
	assert_true(comes("status", "name=listeners_given\tvalue:=6\n"));

	/* What needs a restart is named. */
	write_config(listen, "debug on\n");
	replace_in_config("smtpd-processes 2", "smtpd-processes 3");
	assert_non_null(strstr(ask("reload"), "only after a restart: process counts"));
}

static void
trouble_is_shown(void **state)
{
	(void)state;
	daemon_pid = start_daemon();
	assert_true(is_ready());
	(void)ask("queue trouble");
	assert_true(
		comes("status", "kind=trouble\trole=queue\tindex:=0\twhat=something is wrong\n"));
}

static int
call(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path("run/control"));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* Too long a line, nothing said, the end in the middle, more callers than there is room for. */
static void
odd_callers_do_no_harm(void **state)
{
	static char long_line[100 * 1024];
	int         silent[70], fd;
	char        octet;

	(void)state;
	memset(long_line, 'x', sizeof long_line);
	daemon_pid = start_daemon();
	assert_true(is_ready());
	fd = call();
	(void)send(fd, long_line, sizeof long_line, MSG_NOSIGNAL);
	assert_true(recv(fd, &octet, 1, 0) <= 0);
	close(fd);
	fd = call();
	assert_int_equal(send(fd, "stat", 4, MSG_NOSIGNAL), 4);
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		silent[i] = call();
	assert_true(recv(silent[69], &octet, 1, 0) <= 0);
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		close(silent[i]);
	assert_true(is_ready());
}

static void
a_second_signal_ends_what_does_not_finish(void **state)
{
	(void)state;
	setenv("FAULT_ROLE", "smtpd", 1);
	setenv("FAULT_HOW", "drain", 1);
	daemon_pid = start_daemon();
	assert_true(is_ready());
	kill(daemon_pid, SIGTERM);
	assert_true(comes("readyz", "end 1 the daemon is stopping"));
	assert_true(comes("status", "role=smtpd\tindex:=0"));
	kill(daemon_pid, SIGINT);
	assert_int_equal(end_of(daemon_pid), 1);
	daemon_pid = 0;
}

static int
make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL ? 0 : -1;
}

static int
remove_dir(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

int
main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(all_roles_are_started_joined_and_stopped),
		T(a_killed_role_comes_back_with_its_channels),
		T(a_role_that_dies_again_and_again_is_started_ever_more_slowly),
		T(a_role_that_breaks_the_rules_is_ended),
		T(a_channel_that_is_cut_is_made_anew),
		T(a_role_that_cannot_start_ends_the_daemon),
		T(a_second_daemon_on_the_same_spool_refuses),
		T(nothing_stale_keeps_a_new_daemon_away),
		T(a_role_with_nothing_to_do_rests_until_a_reload_needs_it),
		T(a_role_that_will_not_rest_is_made_to),
		T(a_reload_changes_all_or_nothing),
		T(trouble_is_shown),
		T(odd_callers_do_no_harm),
		T(a_second_signal_ends_what_does_not_finish),
	};

	if (argc != 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
