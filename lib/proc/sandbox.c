/* SPDX-License-Identifier: ISC */
#include "lib/proc/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/util/log.h"

/* The leak checker of sanitizers traces its process and reads /proc: such builds keep both. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TRACED true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(TRACED)
#define TRACED true
#endif
#ifndef TRACED
#define TRACED false
#endif

struct rights {
	bool files; /* sees the file system; otherwise its root is empty, where we may do that */
	bool groups; /* keeps the account's further groups (saslauthd's socket has one); needs `files` */
	rlim_t descriptors; /* wanted; what the system allows is enough */
};

enum { FEW = 1024, MANY = 1024 * 1024 };

/* clang-format off */
static const struct rights rights[ROLE_COUNT] = {
	/*                 files  groups descriptors */
	[ROLE_SMTPD] =    {false, false, MANY},
	[ROLE_AUTH] =     {true,  true,  FEW},  /* plugins and saslauthd */
	[ROLE_QUEUE] =    {false, false, MANY}, /* has its directory as a descriptor */
	[ROLE_DELIVERY] = {true,  false, MANY}, /* resolv.conf, trust anchors */
	[ROLE_KEYD] =     {false, false, FEW},
};
/* clang-format on */

/* Being root is not enough: containers take the capabilities away. */
static bool
may_change(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct   data[_LINUX_CAPABILITY_U32S_3] = {0};
	unsigned                        need = 1u << CAP_SETUID | 1u << CAP_SETGID;

	return geteuid() == 0 && syscall(SYS_capget, &head, data) == 0 &&
	       (data[0].effective & need) == need;
}

bool
account_find(struct str name, struct account *a, struct buf *why)
{
	char                *z;
	const struct passwd *p;

	*a = (struct account){false, geteuid(), getegid()};
	if (!may_change())
		return true;
	z = str_dup(name);
	p = getpwnam(z);
	free(z);
	if (p == NULL) {
		buf_addz(why, "user-account: there is no account \"");
		buf_add(why, name);
		buf_addz(why, "\" on this system; `useradd --system ");
		buf_add(why, name);
		buf_addz(why, "` makes it");
		return false;
	}
	*a = (struct account){p->pw_uid != 0, p->pw_uid, p->pw_gid};
	return true;
}

static bool
fail(struct buf *why, const char *what)
{
	buf_addf(why, "%s: %s", what, strerror(errno));
	return false;
}

static bool
set_limit(int resource, rlim_t want, bool root)
{
	struct rlimit now;

	if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
		return false;
	if (root && want > now.rlim_max &&
	    setrlimit((__rlimit_resource_t)resource, &(struct rlimit){want, want}) == 0)
		return true;
	if (want > now.rlim_max)
		want = now.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &(struct rlimit){want, want}) == 0;
}

/*
 * A directory that is removed while it is our root: nothing is in it, and
 * nothing can ever be made in it.
 */
static bool
enter_empty_root(void)
{
	static const char *const places[] = {"/run", "/tmp", "/var/tmp", "/dev/shm"};

	tzset(); /* while its files can be seen */
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct buf path = BUF(64);
		bool       ok;

		buf_addf(&path, "%s/postern-%d-XXXXXX", places[i], (int)getpid());
		(void)buf_z(&path);
		ok = mkdtemp(path.p) != NULL;
		if (ok) {
			/* Readable: a library that looks for a file hears that there is none. */
			ok = chmod(path.p, 0555) == 0 && chdir(path.p) == 0;
			ok = rmdir(path.p) == 0 && ok && chroot(".") == 0 && chdir("/") == 0;
		}
		buf_free(&path);
		if (ok)
			return true;
	}
	return false;
}

static bool
change_account(const struct account *a, const char *name, bool groups, struct buf *why)
{
	if ((groups ? initgroups(name, a->gid) : setgroups(0, NULL)) != 0)
		return fail(why, "cannot set groups");
	if (setresgid(a->gid, a->gid, a->gid) != 0 || setresuid(a->uid, a->uid, a->uid) != 0)
		return fail(why, "cannot change the account");
	if (setuid(0) == 0 || setgid(0) == 0) {
		buf_addz(why, "the way back to root is open");
		return false;
	}
	return true;
}

static bool
give_up_root(enum role_id role, struct str account, const struct account *a, struct buf *why)
{
	char *name = str_dup(account);
	bool  ok;

	if (!rights[role].files && !TRACED && !enter_empty_root())
		log_warn(ev("sandbox"), kv("role", role_name(role)), kv("missing", "chroot"),
		         kv("why", strerror(errno)));
	ok = change_account(a, name, rights[role].groups, why);
	free(name);
	return ok;
}

bool
sandbox_enter(enum role_id role, struct str account, struct buf *why)
{
	struct account a;

	if (!account_find(account, &a, why))
		return false;
	if (!set_limit(RLIMIT_NOFILE, rights[role].descriptors, a.change) ||
	    !set_limit(RLIMIT_CORE, 0, false))
		return fail(why, "cannot set limits");
	if (a.change && !give_up_root(role, account, &a, why))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(why, "cannot give up new privileges");
	if (!TRACED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(why, "cannot forbid tracing");
	return true;
}
