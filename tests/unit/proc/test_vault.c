/* SPDX-License-Identifier: ISC */
/* The allocator is for all of a process and for good, so each test has a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/proc/traced.h"
#include "lib/proc/vault.h"
#include "lib/util/str.h"

#define MIB (1024 * 1024)

/* A failed check ends the child, and its exit code is the line. */
#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			_exit(__LINE__ % 256); \
	} while (0)

static void
in_child(void (*fn)(void))
{
	pid_t pid;
	int   status;

	if (TRACED)
		skip();
	pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("status %d, exit code (line modulo 256) %d", status, WEXITSTATUS(status));
}

/* As a container without capabilities: what the limit says holds. */
static void
become_ordinary(rlim_t limit)
{
	CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){limit, limit}) == 0);
	if (geteuid() != 0)
		return;
	CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0); /* /proc/self/smaps is ours again */
}

/* Whether the kernel has all these flags on the mapping that holds `p`. */
static bool
has_flags(const void *p, const char *const flags[])
{
	FILE         *f = fopen("/proc/self/smaps", "re");
	char          line[1024];
	unsigned long from, to;
	bool          here = false, all = false;

	CHECK(f != NULL);
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, "VmFlags:", 8) == 0 && here) {
			all = true;
			for (size_t i = 0; flags[i] != NULL; i++)
				all = all && strstr(line, flags[i]) != NULL;
			break;
		}
		if (strchr(line, '-') != NULL && strchr(line, ':') > strchr(line, '-')) {
			from = strtoul(line, NULL, 16);
			to = strtoul(strchr(line, '-') + 1, NULL, 16);
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		}
	}
	fclose(f);
	return all;
}

static void
eight_mib(void)
{
	static const char *const flags[] = {" lo", " dd", " wf", NULL};
	const char *why;
	const void *base;
	void       *p;

	become_ordinary(8 * MIB);
	vault_open();
	CHECK(vault_is_locked(&why));
	CHECK(vault_place(&base) == 4 * MIB);
	p = OPENSSL_malloc(1000);
	CHECK((uintptr_t)p - (uintptr_t)base < 4 * MIB);
	CHECK(has_flags(p, flags));
	/* A child gets zeros, were there ever one. */
	memset(p, 'k', 1000);
	if (fork() == 0)
		_exit(((char *)p)[0] == 'k');
	else {
		int status;

		CHECK(wait(&status) > 0 && status == 0);
	}
}

static void
nothing_may_be_locked(void)
{
	const char *why;
	char       *p;

	become_ordinary(0);
	vault_open();
	CHECK(!vault_is_locked(&why));
	CHECK(strlen(why) > 0);
	p = OPENSSL_malloc(1000);
	CHECK(p != NULL);
	memset(p, 'k', 1000);
	OPENSSL_free(p);
	CHECK(p[0] == 0 || p[100] == 0);
	CHECK(has_flags(p, (const char *const[]){" dd", " wf", NULL}));
}

/* Sizes of all kinds come and go, more than fit: nothing overlaps, all is wiped, all is aligned. */
static void
churn(void)
{
	static struct {
		unsigned char *p;
		size_t         n;
	} held[2000];
	const char *why;

	become_ordinary(8 * MIB);
	vault_open();
	srandom(1);
	for (int round = 0; round < 200000; round++) {
		size_t i = (size_t)random() % 2000;
		size_t n = (size_t)1 << (random() % (round % 1000 == 0 ? 20 : 14));

		n += (size_t)random() % n;
		for (size_t k = 0; k < held[i].n; k += 97)
			CHECK(held[i].p[k] == (unsigned char)i);
		if (held[i].p == NULL) {
			held[i].p = OPENSSL_malloc(n);
			held[i].n = n;
		} else if (random() % 2) {
			size_t had = held[i].n < n ? held[i].n : n;

			held[i].p = OPENSSL_realloc(held[i].p, n);
			held[i].n = n;
			for (size_t k = 0; k < had; k += 97)
				CHECK(held[i].p[k] == (unsigned char)i);
		} else {
			OPENSSL_free(held[i].p);
			held[i].p = NULL;
			held[i].n = 0;
			continue;
		}
		CHECK(held[i].p != NULL && (uintptr_t)held[i].p % 16 == 0);
		memset(held[i].p, (int)i, n);
	}
	CHECK(!vault_is_locked(&why));
	CHECK(strstr(why, "more keys") != NULL);
}

static void
what_is_freed_is_wiped(void)
{
	unsigned char *p;

	become_ordinary(8 * MIB);
	vault_open();
	for (size_t n = 1; n < MIB; n = n * 3 / 2 + 1) {
		p = OPENSSL_malloc(n);
		memset(p, 'k', n);
		OPENSSL_free(p);
		for (size_t i = 0; i < n; i++)
			CHECK(p[i] == 0);
	}
	p = OPENSSL_malloc(0);
	CHECK(p == NULL);
	p = OPENSSL_malloc(100);
	memset(p, 'k', 100);
	CHECK(OPENSSL_realloc(p, 0) == NULL && p[0] == 0);
	OPENSSL_free(NULL);
}

static void
eight_mib_are_enough(void **state UNUSED)
{
	in_child(eight_mib);
}

static void
without_a_right_to_lock_it_says_so_and_goes_on(void **state UNUSED)
{
	in_child(nothing_may_be_locked);
}

static void
sizes_come_and_go(void **state UNUSED)
{
	in_child(churn);
}

static void
freed_memory_is_wiped(void **state UNUSED)
{
	in_child(what_is_freed_is_wiped);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eight_mib_are_enough),
		cmocka_unit_test(without_a_right_to_lock_it_says_so_and_goes_on),
		cmocka_unit_test(sizes_come_and_go),
		cmocka_unit_test(freed_memory_is_wiped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
