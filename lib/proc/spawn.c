/* SPDX-License-Identifier: ISC */
#include "lib/proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/mem.h"

extern char **environ;

/*
 * What a role inherits of the environment; all else may hold a secret. The
 * second row is for the tests: sanitizers, coverage, and the shim that makes calls fail.
 */
static const char *const inherited[] = {
	"LANG=",         "LC_",           "TZ=",         "PATH=",  "SSL_CERT_FILE=",
	"SSL_CERT_DIR=", "ASAN_OPTIONS=", "UBSAN_",      "LSAN_",  "LLVM_PROFILE",
	"GCOV_",         "LD_PRELOAD=",   "LD_LIBRARY_", "FAULT_", "MALLOC_"};

static char **
clean_environment(void)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ != NULL && environ[n] != NULL)
		n++;
	env = mem_array(n + 1, sizeof *env);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(inherited); k++)
			if (strncmp(environ[i], inherited[k], strlen(inherited[k])) == 0) {
				env[kept++] = environ[i];
				break;
			}
	return env;
}

/* In the child: nothing but descriptors 0 to 4, and 0 reads nothing. */
static bool
arrange_fds(const struct spawn *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* Out of the way first: either may have the number that the other is to get. */
	int channel = fcntl(s->channel, F_DUPFD_CLOEXEC, 16);
	int keep = s->keep >= 0 ? fcntl(s->keep, F_DUPFD_CLOEXEC, 16) : -1;

	if (channel < 0 || (s->keep >= 0 && keep < 0) || (null >= 0 && dup2(null, 0) < 0))
		return false;
	if (dup2(channel, SPAWN_CHANNEL_FD) < 0 || (keep >= 0 && dup2(keep, SPAWN_KEEP_FD) < 0))
		return false;
	return close_range(keep >= 0 ? SPAWN_KEEP_FD + 1 : SPAWN_KEEP_FD, ~0u, 0) == 0;
}

static _Noreturn void
become(const struct spawn *s, char **argv, char **env)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (arrange_fds(s))
		execve(s->program != NULL ? s->program : "/proc/self/exe", argv, env);
	_exit(127);
}

pid_t
spawn_role(const struct spawn *s)
{
	struct buf index = BUF(16);
	char       postern[] = "postern", option[] = "--role";
	char      *name = str_dup(str_of(role_name(s->role)));
	char     **env = clean_environment();
	pid_t      pid;

	buf_addn(&index, s->index);
	(void)buf_z(&index);
	pid = fork();
	if (pid == 0)
		become(s, (char *[]){postern, option, name, index.p, NULL}, env);
	buf_free(&index);
	free(name);
	free(env);
	return pid;
}
