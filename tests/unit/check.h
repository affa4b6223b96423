/* SPDX-License-Identifier: ISC */
/* check - cmocka with the headers it wants, and assertions for our own text. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/util/buf.h"

/* Fails with both texts printed; `name` tells the row of a table. */
#define check_text(name, got, want) check_text_at(name, got, want, __FILE__, __LINE__)

static inline void
check_text_at(const char *name, struct str got, const char *want, const char *file, int line)
{
	if (str_eq(got, str_of(want)))
		return;
	print_error("%s: got \"%.*s\", wanted \"%s\"\n", name, (int)got.n, got.n > 0 ? got.p : "",
	            want);
	_fail(file, line);
}

/* As assert_int_equal(), with the name of the row. */
#define check_int(name, got, want) \
	check_int_at(name, (int64_t)(got), (int64_t)(want), __FILE__, __LINE__)

static inline void
check_int_at(const char *name, int64_t got, int64_t want, const char *file, int line)
{
	if (got == want)
		return;
	print_error("%s: got %lld, wanted %lld\n", name, (long long)got, (long long)want);
	_fail(file, line);
}

#endif
