/* SPDX-License-Identifier: ISC */
/*
 * fail - makes one system call of one role fail: LD_PRELOAD=fail.so FAULT_STATE=FILE
 *
 * FILE is a struct state that the test and all roles share, and that the test writes while the
 * daemon runs: calls are counted while `armed`, the `nth` of kind `call` in role
 * `role` fails once. A role that starts anew goes on counting. With `lie` every
 * sync succeeds without being done, for the test that wants to see mail being lost.
 * With `trace` the stack of the call that fails goes to FILE.trace.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
	CALL_NONE,
	CALL_WRITE,
	CALL_PWRITEV,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_FALLOCATE,
	CALL_OPENAT,
	CALL_RENAMEAT,
	CALL_UNLINKAT,
	CALL_MALLOC,
	CALL_FORK,
	CALL_THREAD,
	CALL_SENDMSG,
	CALL_RECVMSG,
	CALL_SOCKET,
	CALLS,
};

/* Read and written by tests/crash/failing.py. */
struct state {
	_Atomic uint32_t armed, call, nth, error, fired, lie, trace;
	char             role[16];
	_Atomic uint32_t count[CALLS];
};

static struct state *state;
static int           trace_fd = -1;
static char          role[16] = "supervisor";

/* glibc's own names: dlsym() would allocate before there is anything to allocate with. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAULT_STATE");
	char        line[256] = "";
	int         fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	size_t      at;

	if (fd >= 0) {
		if (read(fd, line, sizeof line - 1) < 0)
			line[0] = '\0';
		close(fd);
	}
	at = strlen(line) + 1;
	if (at < sizeof line && strcmp(line + at, "--role") == 0) {
		at += strlen(line + at) + 1;
		snprintf(role, sizeof role, "%s", line + at);
	}
	fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (state == MAP_FAILED)
		state = NULL;
	snprintf(line, sizeof line, "%s.trace", path);
	trace_fd = open(line, O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT, 0600);
}

static int
fails(enum call call)
{
	if (state == NULL || !state->armed || strcmp(state->role, role) != 0)
		return 0;
	if (++state->count[call] != state->nth || state->call != call)
		return 0;
	state->fired++;
	if (state->trace) {
		void *stack[32];

		state->armed = 0; /* what follows makes calls of its own */
		backtrace_symbols_fd(stack, backtrace(stack, 32), trace_fd);
	}
	errno = (int)state->error;
	return 1;
}

#define REAL(name)                                           \
	static __typeof__(&name) real;                       \
	if (real == NULL)                                    \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

ssize_t
write(int fd, const void *p, size_t n)
{
	REAL(write);
	return fails(CALL_WRITE) ? -1 : real(fd, p, n);
}

/* Half of it is on the disk before the rest fails: the worst that a write may do. */
ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	REAL(pwritev);
	if (!fails(CALL_PWRITEV))
		return real(fd, iov, n, at);
	(void)!real(fd, iov, n / 2, at);
	errno = (int)state->error;
	return -1;
}

int
fdatasync(int fd)
{
	REAL(fdatasync);
	if (state != NULL && state->lie)
		return 0;
	return fails(CALL_FDATASYNC) ? -1 : real(fd);
}

int
fsync(int fd)
{
	REAL(fsync);
	if (state != NULL && state->lie)
		return 0;
	return fails(CALL_FSYNC) ? -1 : real(fd);
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	REAL(fallocate);
	return fails(CALL_FALLOCATE) ? -1 : real(fd, mode, at, n);
}

int
openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t  mode;

	REAL(openat);
	va_start(ap, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails(CALL_OPENAT) ? -1 : real(dirfd, path, flags, mode);
}

extern int __openat_2(int dirfd, const char *path, int flags);

int
__openat_2(int dirfd, const char *path, int flags)
{
	return openat(dirfd, path, flags);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	REAL(renameat);
	return fails(CALL_RENAMEAT) ? -1 : real(from_fd, from, to_fd, to);
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	REAL(unlinkat);
	return fails(CALL_UNLINKAT) ? -1 : real(dirfd, path, flags);
}

void *
malloc(size_t n)
{
	return fails(CALL_MALLOC) ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fails(CALL_MALLOC) ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return fails(CALL_MALLOC) ? NULL : __libc_realloc(p, n);
}

pid_t
fork(void)
{
	REAL(fork);
	return fails(CALL_FORK) ? -1 : real();
}

int
pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	REAL(pthread_create);
	return fails(CALL_THREAD) ? EAGAIN : real(t, a, fn, arg);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(sendmsg);
	return fails(CALL_SENDMSG) ? -1 : real(fd, m, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(recvmsg);
	return fails(CALL_RECVMSG) ? -1 : real(fd, m, flags);
}

int
socket(int domain, int type, int protocol)
{
	REAL(socket);
	return fails(CALL_SOCKET) ? -1 : real(domain, type, protocol);
}
