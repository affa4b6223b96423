/* SPDX-License-Identifier: ISC */
#include "lib/net/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { LIMITS = 0 }; /* its shadow is larger than any limit */
#else
enum { LIMITS = 1 };
#endif

/* Not an octet more from here on. */
static void
use_up_memory(void)
{
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_AS, &none) != 0)
		_exit(1);
	for (size_t n = (size_t)1 << 20; n >= 16; n /= 2)
		while (malloc(n) != NULL)
			continue;
}

static void
the_first_digest_without_memory_ends_the_process_in_order(void **state)
{
	pid_t child;
	int   status;

	(void)state;
	if (!LIMITS)
		skip();
	if ((child = fork()) == 0) {
		use_up_memory();
		digest_prepare();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EX_OSERR);
}

static void
with_memory_nothing_is_seen_of_it(void **state)
{
	(void)state;
	digest_prepare();
	digest_prepare();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_digest_without_memory_ends_the_process_in_order),
		cmocka_unit_test(with_memory_nothing_is_seen_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
