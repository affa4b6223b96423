/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "lib/util/str.h"
#include "tests/unit/check.h"

static void
memory_is_zero_and_never_null(void **state UNUSED)
{
	unsigned char *p = mem_zero(100), *none = mem_zero(0), *rows = mem_array(10, 10);

	for (size_t i = 0; i < 100; i++)
		assert_int_equal(p[i] | rows[i], 0);
	assert_non_null(none);
	free(p);
	free(none);
	free(rows);
}

static void
resizing_keeps_and_copies_copy(void **state UNUSED)
{
	char *p = mem_copy("abc", 4), *none = mem_copy(NULL, 0);

	p = mem_resize(p, 1000, 10);
	assert_string_equal(p, "abc");
	p = mem_resize(p, 0, 10);
	assert_non_null(p);
	assert_non_null(none);
	free(p);
	free(none);
}

static void
wiping_leaves_zeros(void **state UNUSED)
{
	char secret[] = "secret";

	mem_wipe(secret, sizeof secret);
	assert_int_equal(secret[0] | secret[5], 0);
	mem_wipe(NULL, 0);
}

/* Sizes whose product overflows are no different from too little memory. */
static void
too_much_ends_the_process(void **state UNUSED)
{
	volatile size_t huge = SIZE_MAX / 2;
	int             status;
	pid_t           pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(STDERR_FILENO);
		free(mem_resize(NULL, huge, 16));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_and_never_null),
		cmocka_unit_test(resizing_keeps_and_copies_copy),
		cmocka_unit_test(wiping_leaves_zeros),
		cmocka_unit_test(too_much_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
