/* SPDX-License-Identifier: ISC */
#include "lib/proc/syscalls.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	S = 1u << ROLE_SMTPD,
	A = 1u << ROLE_AUTH,
	Q = 1u << ROLE_QUEUE,
	D = 1u << ROLE_DELIVERY,
	K = 1u << ROLE_KEYD,
	X = 1u << ROLE_DOCTOR,
	ALL = S | A | Q | D | K | X,
};

struct call {
	const char *name;
	unsigned    roles;
};

/*
 * Names that an architecture does not have are left out there. The groups say what
 * for; what libevent, OpenSSL, libunbound and libsasl2 ask for was seen in traces of the tests.
 */
static const struct call allowed[] = {
	/* waiting */
	{"epoll_wait", ALL},
	{"epoll_pwait", ALL},
	{"epoll_ctl", ALL},
	{"poll", ALL},
	{"ppoll", ALL},
	{"restart_syscall", ALL},
	/* channels, their descriptors, log lines */
	{"recvmsg", ALL},
	{"sendmsg", ALL},
	{"read", ALL},
	{"readv", ALL},
	{"write", ALL},
	{"writev", ALL},
	{"close", ALL},
	{"fcntl", ALL},
	{"fcntl64", ALL},
	/* memory in use, for `postern status` */
	{"pread64", ALL},
	/* memory */
	{"brk", ALL},
	{"munmap", ALL},
	{"mremap", ALL},
	{"madvise", ALL},
	/* time, chance, threads waiting for each other */
	{"clock_gettime", ALL},
	{"clock_gettime64", ALL},
	{"gettimeofday", ALL},
	{"time", ALL},
	{"nanosleep", ALL},
	{"clock_nanosleep", ALL},
	{"getrandom", ALL},
	{"futex", ALL},
	{"sched_yield", ALL},
	/* who we are, and our end */
	{"getpid", ALL},
	{"gettid", ALL},
	{"getuid", ALL},
	{"geteuid", ALL},
	{"rt_sigaction", ALL},
	{"rt_sigprocmask", ALL},
	{"rt_sigreturn", ALL},
	{"exit", ALL},
	{"exit_group", ALL},
	/* what a library asks about a descriptor */
	{"fstat", ALL},
	{"sysinfo", ALL}, /* qsort() */
	{"lseek", ALL},
	/* sockets of clients and servers */
	{"accept4", S},
	{"recvfrom", S | A | Q | D | X},
	{"sendto", S | A | Q | D | X},
	{"getsockopt", S | A | Q | D | X},
	{"setsockopt", S | A | D | X},
	{"shutdown", S | A | Q | D | X},
	{"getsockname", S | D | X},
	{"getpeername", S | D | X},
	{"connect", A | D | X},
	{"bind", D | X},
	/* large messages are read and written through descriptors of the queue */
	{"pwrite64", S | Q},
	{"preadv", S | Q | D},
	{"pwritev", S | Q},
	{"ftruncate", S | Q},
	/* files that landlock allows */
	{"openat", A | Q | D},
	{"open", A | Q | D},
	{"newfstatat", A | Q | D},
	{"fstatat64", A | Q | D},
	{"stat", A | Q | D},
	{"getdents64", Q},
	{"getgid", A},
	{"getegid", A},
	/* the store */
	{"preadv2", Q},
	{"pwritev2", Q},
	{"fsync", Q},
	{"fdatasync", Q},
	{"fallocate", Q},
	{"fadvise64", Q},
	{"renameat", Q},
	{"renameat2", Q},
	{"unlinkat", Q},
	{"mkdirat", Q},
	{"fstatfs", Q},
	{"fadvise64", Q},
	{"eventfd2", Q | D | X},
	/* its thread */
	{"set_robust_list", Q},
	{"rseq", Q},
	{"sched_getaffinity", Q},
	/* how well the clock is kept */
	{"adjtimex", X},
	{"clock_adjtime", X},
	/* libunbound */
	{"pipe2", D | X},
	{"socketpair", D | X},
};

/* Nothing of ours asks for these, in any state: whoever does has taken the process over. */
static const char *const deadly[] = {
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_open",
	"pidfd_getfd",
	"kcmp",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"memfd_create",
	"add_key",
	"request_key",
	"keyctl",
	"mount",
	"umount2",
	"move_mount",
	"open_tree",
	"fsopen",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"open_by_handle_at",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"swapon",
	"swapoff",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"capset",
	"mknod",
	"mknodat",
};

/* Families a role opens sockets of. For the other roles socket() is deadly. */
static const struct {
	unsigned roles;
	int      family;
} families[] = {
	{A, AF_UNIX}, /* saslauthd */
	{D | X, AF_INET},
	{D | X, AF_INET6},
	{D, AF_NETLINK}, /* our own addresses */
};

/* An address of this process, which abort() sends its signal to. */
static int
allow_abort(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
	                        SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

/* No new code: what may be executed is what was mapped before. */
static int
allow_memory(scmp_filter_ctx f)
{
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(mprotect)};
	int              error = 0;

	for (size_t i = 0; i < ARRAY_LEN(calls) && error == 0; i++)
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[i], 1,
		                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return error;
}

/* getrlimit(), and never setrlimit(). */
static int
allow_limits(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
	                        SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
}

/*
 * Threads, where there are some. The filter cannot see clone3()'s flags; hearing
 * that it does not exist, the C library takes clone().
 */
static int
allow_threads(scmp_filter_ctx f, unsigned role)
{
	int error;

	if ((role & Q) == 0) {
		error = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 0);
		return error != 0 ? error
		                  : seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone3), 0);
	}
	error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
	                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	return error != 0 ? error
	                  : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int
allow_sockets(scmp_filter_ctx f, unsigned role)
{
	bool any = false;
	int  error = 0;

	for (size_t i = 0; i < ARRAY_LEN(families) && error == 0; i++) {
		if ((families[i].roles & role) == 0)
			continue;
		any = true;
		error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
		                         SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i].family, 0));
	}
	if (!any)
		error = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 0);
	return error;
}

/* libseccomp gives names that this architecture lacks a negative number; a rule for such a call is none. */
static int
add_named(scmp_filter_ctx f, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	return number < 0 ? 0 : seccomp_rule_add(f, action, number, 0);
}

static int
add_lists(scmp_filter_ctx f, unsigned role)
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(allowed) && error == 0; i++)
		if ((allowed[i].roles & role) != 0)
			error = add_named(f, SCMP_ACT_ALLOW, allowed[i].name);
	for (size_t i = 0; i < ARRAY_LEN(deadly) && error == 0; i++)
		error = add_named(f, SCMP_ACT_KILL_PROCESS, deadly[i]);
	return error;
}

/*
 * A library without one of these loads the filter all the same: a tree of comparisons
 * instead of a list, lines in the kernel's log, and no detours round speculation, which
 * older kernels make for every filtered process and which no code of strangers runs here for.
 */
static void
set_options(scmp_filter_ctx f)
{
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
	(void)seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
}

int
syscalls_enter(enum role_id id)
{
	unsigned        role = 1u << id;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int             error;

	if (f == NULL)
		return ENOMEM;
	set_options(f);
	error = allow_memory(f);
	if (error == 0)
		error = allow_abort(f);
	if (error == 0)
		error = allow_limits(f);
	if (error == 0)
		error = allow_threads(f, role);
	if (error == 0)
		error = allow_sockets(f, role);
	if (error == 0)
		error = add_lists(f, role);
	if (error == 0)
		error = seccomp_load(f);
	seccomp_release(f);
	return -error;
}

#else

int
syscalls_enter(enum role_id id UNUSED)
{
	return ENOSYS;
}

#endif
