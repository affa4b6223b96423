/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "lib/proc/memory.h"
#include "lib/proc/traced.h"
#include "lib/util/mem.h"
#include "lib/util/str.h"

enum { BLOCK = 4096, BLOCKS = 4096 };

/* Data that the dynamic linker has written to, and that is read-only since. */
static const char *const relocated[] = {"one", "two", "three"};

static uint64_t
pss_kib(void)
{
	int      fd = memory_open();
	uint64_t kib = 0;

	if (fd < 0 || !memory_pss_kib(fd, &kib))
		skip(); /* the system keeps no such account */
	close(fd);
	return kib;
}

/* KiB of pages that are as they are in a file. */
static uint64_t
clean_kib(void)
{
	FILE    *f = fopen("/proc/self/status", "r");
	char     line[256];
	uint64_t kib = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "RssFile:", 8) == 0)
			kib = strtoull(line + 8, NULL, 10);
	fclose(f);
	return kib;
}

static void
free_pages_go_back(void **state)
{
	static char *blocks[BLOCKS];
	const char  *preload = getenv("LD_PRELOAD");
	uint64_t     before;

	(void)state;
	if (TRACED || (preload != NULL && strstr(preload, "vgpreload") != NULL))
		skip(); /* another malloc() */
	for (size_t i = 0; i < BLOCKS; i++) {
		blocks[i] = mem_zero(BLOCK);
		blocks[i][0] = 'x';
	}
	for (size_t i = 0; i < BLOCKS - 1;
	     i++) /* the last one keeps the end of the heap where it is */
		free(blocks[i]);
	before = pss_kib();
	memory_settle();
	assert_true(pss_kib() + BLOCKS * BLOCK / 1024 / 2 < before);
	assert_int_equal(blocks[BLOCKS - 1][0], 'x');
	free(blocks[BLOCKS - 1]);
}

static void
digest(unsigned char out[EVP_MAX_MD_SIZE])
{
	assert_int_equal(EVP_Digest("abc", 3, out, NULL, EVP_sha256(), NULL), 1);
}

static void
programs_go_on_without_the_pages_of_their_files(void **state)
{
	unsigned char   before[EVP_MAX_MD_SIZE] = {0}, after[EVP_MAX_MD_SIZE] = {0};
	uint64_t        had;
	volatile size_t at = 2;

	(void)state;
	digest(before);
	had = clean_kib();
	memory_settle();
	assert_true(clean_kib() < had * 3 / 4);
	digest(after);
	assert_memory_equal(before, after, sizeof after);
	assert_string_equal(relocated[at], "three");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(free_pages_go_back),
		cmocka_unit_test(programs_go_on_without_the_pages_of_their_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
