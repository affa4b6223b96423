/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dkim/canon.h"
#include "tests/unit/dkim/verify.h"

#include "vectors.inc"

static void
corpus_has_the_known_headers(void **state)
{
	struct buf b = BUF(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct str head, body;

		print_message("%s\n", vectors[i].file);
		header_split(vectors[i].message, &head, &body);
		buf_clear(&b);
		verify_headers(&b, head, str_of(vectors[i].h), CANON_SIMPLE);
		assert_true(str_eq(buf_str(&b), vectors[i].headers_simple));
		buf_clear(&b);
		verify_headers(&b, head, str_of(vectors[i].h), CANON_RELAXED);
		assert_true(str_eq(buf_str(&b), vectors[i].headers_relaxed));
	}
	buf_free(&b);
}

static void
fields_are_relaxed(void **state)
{
	static const struct {
		const char *raw, *relaxed;
	} rows[] = {
		{"A: X\r\n", "a:X\r\n"},               /* RFC 6376 section 3.4.5 */
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"}, /* the same */
		{"SUBJect:\r\n \r\n a\r\n", "subject:a\r\n"},
		{"A:\r\n", "a:\r\n"},
		{"A: \t \r\n", "a:\r\n"},
		{"A: a\r\n \r\n", "a:a\r\n"},
		{"A:  a  b\tc \t d\r\n", "a:a b c d\r\n"},
		{"A: a\v b\f\r\n", "a:a\v b\f\r\n"},
		{"A: \xc2\xa0x\r\n", "a:\xc2\xa0x\r\n"},
		{"A: a\r b\r\n", "a:a\r b\r\n"},
		{"A: a", "a:a\r\n"},
	};
	struct buf b = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str   rest = str_of(rows[i].raw);
		struct field f;

		assert_true(header_next(&rest, &f, NULL));
		buf_clear(&b);
		canon_field(&b, &f, CANON_RELAXED);
		assert_string_equal(buf_z(&b), rows[i].relaxed);
		buf_clear(&b);
		canon_field(&b, &f, CANON_SIMPLE);
		assert_true(str_starts(buf_str(&b), str_of(rows[i].raw)));
		assert_true(str_ends(buf_str(&b), STR("\r\n")));
	}
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_has_the_known_headers),
		cmocka_unit_test(fields_are_relaxed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
