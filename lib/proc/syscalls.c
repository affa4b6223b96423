/* SPDX-License-Identifier: ISC */
/*
 * syscalls - the filter is built here, in memory of the stack, and not by libseccomp: where
 * memory was missing that turned for ever, touched what was not there, or loaded a filter that lacked rules.
 */
#include "lib/proc/syscalls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/proc/syscall_numbers.h"

/* Little-endian ones of 64 bits, where each call below has a number of its own. */
#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCH AUDIT_ARCH_PPC64LE
#endif

#ifdef ARCH

enum {
	S = 1u << ROLE_SMTPD,
	A = 1u << ROLE_AUTH,
	Q = 1u << ROLE_QUEUE,
	D = 1u << ROLE_DELIVERY,
	K = 1u << ROLE_KEYD,
	X = 1u << ROLE_DOCTOR,
	ALL = S | A | Q | D | K | X,
	FILTER_MAX = 512,
	X32_BIT = 0x40000000, /* x86-64 has its calls a second time, with this in the number */
};

struct call {
	int      number; /* -1: not here */
	unsigned roles;
};

/*
 * The groups say what for; what libevent, OpenSSL, libunbound and libsasl2 ask for was seen in traces
 * of the tests. What is called most stands first: older kernels walk through the list at each call.
 */
static const struct call allowed[] = {
	/* waiting */
	{SYS_epoll_wait, ALL},
	{SYS_epoll_pwait, ALL},
	{SYS_epoll_ctl, ALL},
	{SYS_poll, ALL},
	{SYS_ppoll, ALL},
	{SYS_restart_syscall, ALL},
	/* channels, their descriptors, log lines */
	{SYS_recvmsg, ALL},
	{SYS_sendmsg, ALL},
	{SYS_read, ALL},
	{SYS_readv, ALL},
	{SYS_write, ALL},
	{SYS_writev, ALL},
	{SYS_close, ALL},
	{SYS_fcntl, ALL},
	/* memory in use, for `postern status` */
	{SYS_pread64, ALL},
	/* memory */
	{SYS_brk, ALL},
	{SYS_munmap, ALL},
	{SYS_mremap, ALL},
	{SYS_madvise, ALL},
	/* time, chance, threads waiting for each other */
	{SYS_clock_gettime, ALL},
	{SYS_gettimeofday, ALL},
	{SYS_time, ALL},
	{SYS_nanosleep, ALL},
	{SYS_clock_nanosleep, ALL},
	{SYS_getrandom, ALL},
	{SYS_futex, ALL},
	{SYS_sched_yield, ALL},
	/* who we are, and our end */
	{SYS_getpid, ALL},
	{SYS_gettid, ALL},
	{SYS_getuid, ALL},
	{SYS_geteuid, ALL},
	{SYS_rt_sigaction, ALL},
	{SYS_rt_sigprocmask, ALL},
	{SYS_rt_sigreturn, ALL},
	{SYS_exit, ALL},
	{SYS_exit_group, ALL},
	/* what a library asks about a descriptor */
	{SYS_fstat, ALL},
	{SYS_sysinfo, ALL}, /* qsort() */
	{SYS_lseek, ALL},
	/* sockets of clients and servers */
	{SYS_accept4, S},
	{SYS_recvfrom, S | A | Q | D | X},
	{SYS_sendto, S | A | Q | D | X},
	{SYS_getsockopt, S | A | Q | D | X},
	{SYS_setsockopt, S | A | D | X},
	{SYS_shutdown, S | A | Q | D | X},
	{SYS_getsockname, S | D | X},
	{SYS_getpeername, S | D | X},
	{SYS_connect, A | D | X},
	{SYS_bind, D | X},
	/* large messages are read and written through descriptors of the queue */
	{SYS_pwrite64, S | Q},
	{SYS_preadv, S | Q | D},
	{SYS_pwritev, S | Q},
	{SYS_ftruncate, S | Q},
	/* files that landlock allows */
	{SYS_openat, A | Q | D},
	{SYS_open, A | Q | D},
	{SYS_newfstatat, A | Q | D},
	{SYS_stat, A | Q | D},
	{SYS_getdents64, Q},
	{SYS_getgid, A},
	{SYS_getegid, A},
	/* the store */
	{SYS_preadv2, Q},
	{SYS_pwritev2, Q},
	{SYS_fsync, Q},
	{SYS_fdatasync, Q},
	{SYS_sync_file_range, Q},
	{SYS_sync_file_range2, Q},
	{SYS_fallocate, Q},
	{SYS_fadvise64, Q},
	{SYS_renameat, Q},
	{SYS_renameat2, Q},
	{SYS_unlinkat, Q},
	{SYS_mkdirat, Q},
	{SYS_fstatfs, Q},
	{SYS_eventfd2, Q | D | X},
	/* its thread */
	{SYS_set_robust_list, Q},
	{SYS_rseq, Q},
	{SYS_sched_getaffinity, Q},
	/* how well the clock is kept */
	{SYS_adjtimex, X},
	{SYS_clock_adjtime, X},
	/* libunbound */
	{SYS_pipe2, D | X},
	{SYS_socketpair, D | X},
};

/* Nothing of ours asks for these, in any state: whoever does has taken the process over. */
static const int deadly[] = {
	SYS_execve,
	SYS_execveat,
	SYS_fork,
	SYS_vfork,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_pidfd_open,
	SYS_pidfd_getfd,
	SYS_kcmp,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_memfd_create,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_mount,
	SYS_umount2,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_pivot_root,
	SYS_chroot,
	SYS_unshare,
	SYS_setns,
	SYS_open_by_handle_at,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_personality,
	SYS_setuid,
	SYS_setgid,
	SYS_setreuid,
	SYS_setregid,
	SYS_setresuid,
	SYS_setresgid,
	SYS_setgroups,
	SYS_capset,
	SYS_mknod,
	SYS_mknodat,
};

/* Families a role opens sockets of. For the other roles socket() is deadly. */
static const struct {
	unsigned roles;
	uint32_t family;
} families[] = {
	{A, AF_UNIX}, /* saslauthd */
	{D | X, AF_INET},
	{D | X, AF_INET6},
	{D, AF_NETLINK}, /* our own addresses */
};

/* ---- the program ---- */

struct filter {
	struct sock_filter code[FILTER_MAX];
	unsigned short     n;
	bool               over;
};

static void
op(struct filter *f, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	if (f->n == FILTER_MAX) {
		f->over = true;
		return;
	}
	f->code[f->n++] = (struct sock_filter){(uint16_t)code, (uint8_t)yes, (uint8_t)no, k};
}

static void
load(struct filter *f, size_t at)
{
	op(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void
end(struct filter *f, uint32_t action)
{
	op(f, BPF_RET | BPF_K, action, 0, 0);
}

/* A call, whatever its arguments. The number is in the accumulator, and stays there for the next rule. */
static void
rule(struct filter *f, int number, uint32_t action)
{
	if (number < 0)
		return;
	op(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1);
	end(f, action);
}

enum { IS = BPF_JEQ, HAS = BPF_JSET, LACKS };

/* Half an argument: the kernel gives 64 bits, and the machine compares 32. */
struct test {
	unsigned arg;
	bool     upper;
	int      what; /* IS.. */
	uint32_t value;
};

/* A call that is allowed if all tests hold; if not, it fails. */
static void
rule_if(struct filter *f, int number, const struct test *tests, unsigned n)
{
	unsigned left = 2 * n + 2; /* instructions of this rule behind the running one */

	op(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, left);
	for (unsigned i = 0; i < n; i++) {
		const struct test *t = &tests[i];
		unsigned           code = t->what == LACKS ? HAS : (unsigned)t->what;

		left -= 2;
		load(f, offsetof(struct seccomp_data, args) + 8 * t->arg + (t->upper ? 4u : 0u));
		op(f, BPF_JMP | BPF_K | code, t->value, t->what == LACKS ? left - 1 : 0,
		   t->what == LACKS ? 0 : left - 1);
	}
	end(f, SECCOMP_RET_ALLOW);
	end(f, SECCOMP_RET_ERRNO | EPERM);
}

/* Calls of another architecture have other numbers: whoever makes one wants to get round the rules. */
static void
check_arch(struct filter *f)
{
	load(f, offsetof(struct seccomp_data, arch));
	op(f, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	end(f, SECCOMP_RET_KILL_PROCESS);
	load(f, offsetof(struct seccomp_data, nr));
	if (ARCH == AUDIT_ARCH_X86_64) {
		op(f, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
		end(f, SECCOMP_RET_KILL_PROCESS);
	}
}

static void
add_conditions(struct filter *f, unsigned role)
{
	/* No new code: what may be executed is what was mapped before. */
	const struct test no_code = {2, false, LACKS, PROT_EXEC};
	/* An address of this process, which abort() sends its signal to. */
	const struct test us = {0, false, IS, (uint32_t)getpid()};
	/* getrlimit(), and never setrlimit(). */
	const struct test get_only[] = {{0, false, IS, 0}, {2, false, IS, 0}, {2, true, IS, 0}};
	const struct test thread = {0, false, HAS, CLONE_THREAD};

	rule_if(f, SYS_mmap, &no_code, 1);
	rule_if(f, SYS_mprotect, &no_code, 1);
	rule_if(f, SYS_tgkill, &us, 1);
	rule_if(f, SYS_prlimit64, get_only, ARRAY_LEN(get_only));
	/*
	 * Threads, where there are some. The filter cannot see clone3()'s flags; hearing
	 * that it does not exist, the C library takes clone().
	 */
	if ((role & Q) != 0)
		rule_if(f, SYS_clone, &thread, 1);
	else
		rule(f, SYS_clone, SECCOMP_RET_KILL_PROCESS);
	rule(f, SYS_clone3,
	     (role & Q) != 0 ? SECCOMP_RET_ERRNO | ENOSYS : SECCOMP_RET_KILL_PROCESS);
}

static void
add_sockets(struct filter *f, unsigned role)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		n += (families[i].roles & role) != 0;
	if (n == 0) {
		rule(f, SYS_socket, SECCOMP_RET_KILL_PROCESS);
		return;
	}
	op(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 2 * n + 2);
	load(f, offsetof(struct seccomp_data, args));
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if ((families[i].roles & role) == 0)
			continue;
		op(f, BPF_JMP | BPF_JEQ | BPF_K, families[i].family, 0, 1);
		end(f, SECCOMP_RET_ALLOW);
	}
	end(f, SECCOMP_RET_ERRNO | EPERM);
}

/*
 * Lines in the kernel's log, and no detours round speculation, which older kernels make for every
 * filtered process and which no code of strangers runs here for. Kernels that know neither get none.
 */
static int
enter(struct filter *f)
{
	struct sock_fprog program = {f->n, f->code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	            SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0)
		return 0;
	if (errno != EINVAL)
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

int
syscalls_enter(enum role_id id)
{
	unsigned      role = 1u << id;
	struct filter f;

	f.n = 0;
	f.over = false;
	check_arch(&f);
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if ((allowed[i].roles & role) != 0)
			rule(&f, allowed[i].number, SECCOMP_RET_ALLOW);
	add_conditions(&f, role);
	add_sockets(&f, role);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		rule(&f, deadly[i], SECCOMP_RET_KILL_PROCESS);
	end(&f, SECCOMP_RET_ERRNO | EPERM);
	return f.over ? E2BIG : enter(&f);
}

#else

int
syscalls_enter(enum role_id id UNUSED)
{
	return ENOSYS;
}

#endif
