/* SPDX-License-Identifier: ISC */
#include "lib/proc/sandbox.h"

#include <errno.h>
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

#include "lib/proc/landlock.h"
#include "lib/proc/resources.h"
#include "lib/proc/syscalls.h"
#include "lib/proc/traced.h"
#include "lib/util/log.h"

struct rights {
	bool root; /* sees the system's root directory; otherwise an empty one, where we may do that */
	bool groups; /* keeps the account's further groups (saslauthd's socket has one); needs `root` */
	bool               folder;   /* changes files in the directory that it is given */
	bool               connect;  /* opens TCP connections */
	const char *const *readable; /* files, where `root`; landlock hides all others */
	struct resources   limits;
};

enum { FEW = 1024, MANY = 1024 * 1024 };

#define GIB (1ull << 30)

/*
 * The resolver's files after a reload; at the first handshake OpenSSL's configuration and
 * the system's trust anchors, where lib/net/tls_client.c looks for them.
 */
static const char *const delivery_reads[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/usr/share/dns",
	"/run/systemd/resolve",
	"/usr/lib/ssl/openssl.cnf",
	"/etc/ssl/openssl.cnf",
	"/etc/pki/tls/openssl.cnf",
	"/etc/ssl/certs",
	"/etc/pki/tls/certs",
	"/etc/pki/ca-trust/extracted",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
	"/usr/share/ca-certificates",
	"/var/lib/ca-certificates",
	NULL,
};

/* libsasl2 seeds its nonces from here when the first one is wanted. */
static const char *const auth_reads[] = {"/dev/urandom", "/dev/random", NULL};

/* clang-format off */
static const struct rights rights[ROLE_COUNT] = {
	/*                 root   groups folder connect readable        descriptors space    threads */
	[ROLE_SMTPD] =    {false, false, false, false,  NULL,           {MANY,      0,       false}},
	[ROLE_AUTH] =     {true,  true,  false, false,  auth_reads,     {FEW,       2 * GIB, false}},
	[ROLE_QUEUE] =    {false, false, true,  false,  NULL,           {MANY,      0,       true}},
	[ROLE_DELIVERY] = {true,  false, false, true,   delivery_reads, {MANY,      0,       false}},
	[ROLE_KEYD] =     {false, false, false, false,  NULL,           {FEW,       GIB,     false}},
	[ROLE_DOCTOR] =   {false, false, false, true,   NULL,           {FEW,       2 * GIB, false}},
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

/*
 * A directory that is removed while it is our root: nothing is in it, and
 * nothing can ever be made in it.
 */
static bool
enter_empty_root(void)
{
	static const char *const places[] = {"/run", "/tmp", "/var/tmp", "/dev/shm"};

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

/* A list of words with commas. */
static void
add_word(struct buf *list, const char *word, int version)
{
	if (list->n > 0)
		buf_addc(list, ',');
	buf_addz(list, word);
	if (version > 0)
		buf_addn(list, (uint64_t)version);
}

struct entry {
	struct sandbox      *sandbox;
	const struct rights *rights;
	struct buf           missing;
	int                  error; /* of what is missing last */
};

static void
note(struct entry *e, const char *means, int version, int error)
{
	if (error == 0) {
		add_word(&e->sandbox->in_force, means, version);
		return;
	}
	add_word(&e->missing, means, 0);
	e->error = error;
}

static bool
give_up_root(struct entry *e, const struct account *a, struct buf *why)
{
	char *name = str_dup(e->sandbox->account);
	bool  ok;

	if (!e->rights->root && !TRACED)
		note(e, "chroot", 0, enter_empty_root() ? 0 : errno);
	ok = change_account(a, name, e->rights->groups, why);
	free(name);
	if (ok)
		note(e, "uid", 0, 0);
	return ok;
}

/* What the kernel may lack. */
static void
give_up_calls(struct entry *e)
{
	struct landlock_wish wish = {
		.readable = e->rights->readable,
		.folder = e->rights->folder ? e->sandbox->folder : -1,
		.connect = e->rights->connect,
	};
	int version, error;

	if (TRACED)
		return;
	version = landlock_enter(&wish);
	note(e, "landlock", version, version > 0 ? 0 : errno);
	error = syscalls_enter(e->sandbox->role);
	note(e, "seccomp", 0, error);
}

/* Neither a core file nor another process of this account gets to see our memory. */
static bool
hide_memory(struct buf *why)
{
	if (TRACED)
		return true;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 || fail(why, "cannot forbid tracing");
}

bool
sandbox_hide(struct buf *why)
{
	if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0)
		return fail(why, "cannot forbid core files");
	return hide_memory(why);
}

static bool
enter(struct entry *e, struct buf *why)
{
	struct account a;

	tzset(); /* while its files can be seen */
	if (!account_find(e->sandbox->account, &a, why))
		return false;
	if (!resources_enter(&e->rights->limits, a.change))
		return fail(why, "cannot set limits");
	if (a.change && !give_up_root(e, &a, why))
		return false;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(why, "cannot give up new privileges");
	if (!hide_memory(why))
		return false;
	give_up_calls(e);
	errno = e->error;
	/* What is missing for a moment is not what the kernel lacks. */
	return e->error != ENOMEM || fail(why, "cannot confine this process");
}

bool
sandbox_enter(struct sandbox *s, struct buf *why)
{
	struct entry e = {.sandbox = s, .rights = &rights[s->role], .missing = BUF(64)};
	bool         ok = enter(&e, why);

	if (ok && e.missing.n > 0)
		log_warn(ev("sandbox"), kv("missing", buf_str(&e.missing)),
		         kv("why", strerror(e.error)));
	buf_free(&e.missing);
	return ok;
}
