/* SPDX-License-Identifier: ISC */
/*
 * fail - makes one system call of one role fail: LD_PRELOAD=fail.so FAULT_STATE=FILE
 *
 * FILE is a struct state that the test and all roles share, and that the test writes while the
 * daemon runs: calls are counted while `armed`, the `nth` of kind `call` in role
 * `role` fails once. A role that starts anew goes on counting. With `lie` every
 * sync succeeds without being done, for the test that wants to see mail being lost.
 * With `early` each write of the log's is put off for a while, so that what it holds is
 * answered for without being anywhere but in memory. With `trace` the stack of the call that
 * fails goes to FILE.trace. A file (no folder) whose sync failed is remembered: another one is counted
 * in `resynced`, for the kernel may call its pages clean though they are not on the disk.
 * A write of a hint is a kind of its own, for what is lost in it is only a short cut.
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
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call {
	CALL_NONE,
	CALL_WRITE,
	CALL_PWRITEV,
	CALL_FDATASYNC,
	CALL_FSYNC,
	CALL_FALLOCATE,
	CALL_OPEN,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_MALLOC,
	CALL_FORK,
	CALL_THREAD,
	CALL_SENDMSG,
	CALL_RECVMSG,
	CALL_SOCKET,
	CALL_SOCKETPAIR,
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_SEND,
	CALL_RECV,
	CALL_EPOLL,
	CALL_MMAP,
	CALL_READ,
	CALL_PREAD,
	CALL_HINT,
	CALLS,
};

/* Read and written by tests/crash/failing.py. */
struct state {
	_Atomic uint32_t armed, call, nth, error, fired, lie, early, trace, resynced;
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
	void       *stack;

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
	(void)backtrace(&stack, 1); /* loads a library, which a role in its sandbox cannot */
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

enum { LATE_MS = 200 };

struct late {
	struct late *next;
	int64_t      due_ms;
	int          fd;
	off_t        at;
	size_t       n;
	char         data[];
};

static struct late *late_first, **late_end = &late_first;

static int64_t
mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
write_due(int64_t now)
{
	struct late *l;

	while ((l = late_first) != NULL && l->due_ms <= now) {
		if (pwrite(l->fd, l->data, l->n, l->at) != (ssize_t)l->n)
			abort();
		close(l->fd);
		if ((late_first = l->next) == NULL)
			late_end = &late_first;
		free(l);
	}
}

/* Does what was put off long enough, and puts off this write. Only the commit thread writes so. */
static ssize_t
pwritev_late(int fd, const struct iovec *iov, int n, off_t at)
{
	int64_t      now = mono_ms();
	size_t       size = 0;
	struct late *l;

	write_due(now);
	for (int i = 0; i < n; i++)
		size += iov[i].iov_len;
	if ((l = malloc(sizeof *l + size)) == NULL)
		return -1;
	*l = (struct late){.due_ms = now + LATE_MS, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .at = at};
	for (int i = 0; i < n; l->n += iov[i].iov_len, i++)
		memcpy(l->data + l->n, iov[i].iov_base, iov[i].iov_len);
	*late_end = l;
	late_end = &l->next;
	return (ssize_t)size;
}

/* The hint that was opened last for writing. */
static _Atomic int hint_fd = -1;

static void
note_hint(const char *path, int flags, int fd)
{
	size_t n = strlen(path);

	if ((flags & O_CREAT) != 0 && n > 5 && strcmp(path + n - 5, ".hint") == 0)
		hint_fd = fd;
	else if (fd == hint_fd)
		hint_fd = -1;
}

/* Half of it is on the disk before the rest fails: the worst that a write may do. */
ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	REAL(pwritev);
	if (state != NULL && state->early)
		return pwritev_late(fd, iov, n, at);
	if (!fails(fd == hint_fd ? CALL_HINT : CALL_PWRITEV))
		return real(fd, iov, n, at);
	(void)!real(fd, iov, n / 2, at);
	errno = (int)state->error;
	return -1;
}

/*
 * Stays open, so that its inode's number is given to no other. Two threads sync files: so the next one takes its place
 * in one step, or what the other thread opens meanwhile would get its number and be taken for it.
 */
static int unsynced = -1;

static int
sync_fails(enum call call, int fd)
{
	struct stat a, b;

	if (state != NULL && unsynced >= 0 && fstat(fd, &a) == 0 && fstat(unsynced, &b) == 0 && a.st_ino == b.st_ino &&
	    S_ISREG(a.st_mode))
		state->resynced++;
	if (!fails(call))
		return 0;
	if (unsynced >= 0)
		(void)dup3(fd, unsynced, O_CLOEXEC);
	else
		unsynced = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	errno = (int)state->error;
	return 1;
}

int
fdatasync(int fd)
{
	REAL(fdatasync);
	if (state != NULL && state->lie)
		return 0;
	return sync_fails(CALL_FDATASYNC, fd) ? -1 : real(fd);
}

int
fsync(int fd)
{
	REAL(fsync);
	if (state != NULL && state->lie)
		return 0;
	return sync_fails(CALL_FSYNC, fd) ? -1 : real(fd);
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
	int     fd;

	REAL(openat);
	va_start(ap, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (fails(CALL_OPEN))
		return -1;
	fd = real(dirfd, path, flags, mode);
	note_hint(path, flags, fd);
	return fd;
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t  mode;

	REAL(open);
	va_start(ap, flags);
	mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails(CALL_OPEN) ? -1 : real(path, flags, mode);
}

/* What the C library's headers make of a call without a mode. */
extern int __openat64_2(int dirfd, const char *path, int flags);
extern int __open64_2(const char *path, int flags);

int
__openat64_2(int dirfd, const char *path, int flags)
{
	return openat(dirfd, path, flags);
}

int
__open64_2(const char *path, int flags)
{
	return open(path, flags);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	REAL(renameat);
	return fails(CALL_RENAME) ? -1 : real(from_fd, from, to_fd, to);
}

int
rename(const char *from, const char *to)
{
	REAL(rename);
	return fails(CALL_RENAME) ? -1 : real(from, to);
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	REAL(unlinkat);
	return fails(CALL_UNLINK) ? -1 : real(dirfd, path, flags);
}

int
unlink(const char *path)
{
	REAL(unlink);
	return fails(CALL_UNLINK) ? -1 : real(path);
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

int
socketpair(int domain, int type, int protocol, int fds[2])
{
	REAL(socketpair);
	return fails(CALL_SOCKETPAIR) ? -1 : real(domain, type, protocol, fds);
}

int
connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t n)
{
	REAL(connect);
	return fails(CALL_CONNECT) ? -1 : real(fd, to, n);
}

int
accept4(int fd, __SOCKADDR_ARG from, socklen_t *n, int flags)
{
	REAL(accept4);
	return fails(CALL_ACCEPT) ? -1 : real(fd, from, n, flags);
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	REAL(send);
	return fails(CALL_SEND) ? -1 : real(fd, p, n, flags);
}

ssize_t
sendto(int fd, const void *p, size_t n, int flags, __CONST_SOCKADDR_ARG to, socklen_t size)
{
	REAL(sendto);
	return fails(CALL_SEND) ? -1 : real(fd, p, n, flags, to, size);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	REAL(recv);
	return fails(CALL_RECV) ? -1 : real(fd, p, n, flags);
}

extern ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags);

ssize_t
__recv_chk(int fd, void *p, size_t n, size_t room, int flags)
{
	return n > room ? -1 : recv(fd, p, n, flags);
}

int
epoll_ctl(int fd, int what, int on, struct epoll_event *e)
{
	REAL(epoll_ctl);
	return fails(CALL_EPOLL) ? -1 : real(fd, what, on, e);
}

void *
mmap(void *at, size_t n, int prot, int flags, int fd, off_t off)
{
	REAL(mmap);
	return fails(CALL_MMAP) ? MAP_FAILED : real(at, n, prot, flags, fd, off);
}

ssize_t
read(int fd, void *p, size_t n)
{
	REAL(read);
	return fails(CALL_READ) ? -1 : real(fd, p, n);
}

ssize_t
pread(int fd, void *p, size_t n, off_t at)
{
	REAL(pread);
	return fails(CALL_PREAD) ? -1 : real(fd, p, n, at);
}
