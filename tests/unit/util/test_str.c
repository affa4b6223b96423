/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "lib/util/str.h"
#include "tests/unit/check.h"

static const struct {
	const char *a, *b;
	bool        eq, ieq, starts, istarts, ends, iends;
} pairs[] = {
	{"", "", true, true, true, true, true, true},
	{"a", "", false, false, true, true, true, true},
	{"", "a", false, false, false, false, false, false},
	{"Ab", "Ab", true, true, true, true, true, true},
	{"Ab", "aB", false, true, false, true, false, true},
	{"MAIL FROM", "mail", false, false, false, true, false, false},
	{"MAIL FROM", "MAIL", false, false, true, true, false, false},
	{"MAIL FROM", "from", false, false, false, false, false, true},
	{"MAIL FROM", "FROM", false, false, false, false, true, true},
	{"@", "`", false, false, false, false, false, false},
	{"[", "{", false, false, false, false, false, false},
	{"\xc4", "\xe4", false, false, false, false, false, false},
};

static void
comparisons_fold_ascii_only(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct str a = str_of(pairs[i].a), b = str_of(pairs[i].b);

		check_int(pairs[i].a, str_eq(a, b), pairs[i].eq);
		check_int(pairs[i].a, str_ieq(a, b), pairs[i].ieq);
		check_int(pairs[i].a, str_starts(a, b), pairs[i].starts);
		check_int(pairs[i].a, str_istarts(a, b), pairs[i].istarts);
		check_int(pairs[i].a, str_ends(a, b), pairs[i].ends);
		check_int(pairs[i].a, str_iends(a, b), pairs[i].iends);
	}
}

static const struct {
	const char *text, *what;
	ptrdiff_t   first, last, whole;
} places[] = {
	/* clang-format off */
	{"",       "x",    -1, -1, -1},
	{"abc",    "x",    -1, -1, -1},
	{"abcabc", "a",     0,  3,  0},
	{"abcabc", "ca",    2,  5,  2},
	{"abcabc", "cab",   2,  5,  2},
	{"abc",    "abcd",  0,  0, -1},
	/* clang-format on */
};

static void
finding(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct str text = str_of(places[i].text);

		check_int(places[i].what, str_find(text, places[i].what[0]), places[i].first);
		check_int(places[i].what, str_rfind(text, places[i].what[0]), places[i].last);
		check_int(places[i].what, str_find_str(text, str_of(places[i].what)),
		          places[i].whole);
	}
	assert_int_equal(str_find(STR_NONE, 'a'), -1);
	assert_int_equal(str_find_str(STR_NONE, STR("")), 0);
}

static void
parts_are_clipped(void **state UNUSED)
{
	check_text("inside", str_sub(STR("hello"), 1, 3), "ell");
	check_text("long", str_sub(STR("hello"), 3, 100), "lo");
	check_text("past", str_sub(STR("hello"), 9, 1), "");
	check_text("none", str_sub(STR_NONE, 1, 1), "");
	check_text("skip", str_skip(STR("hello"), 4), "o");
	check_text("skip all", str_skip(STR("hello"), SIZE_MAX), "");
	check_text("trim", str_trim(STR(" \t a b\t ")), "a b");
	check_text("trim all", str_trim(STR(" \t ")), "");
	check_text("line ends stay", str_trim(STR(" a\r\n")), "a\r\n");
}

static const struct {
	const char *text;
	size_t      n;
	const char *pieces[4];
} cuts[] = {
	{"", 0, {NULL}},        {"a", 1, {"a"}},
	{"a,b", 2, {"a", "b"}}, {"a,,b", 3, {"a", "", "b"}},
	{"a,", 2, {"a", ""}},   {",", 2, {"", ""}},
	{",a", 2, {"", "a"}},   {",,", 3, {"", "", ""}},
};

static void
cutting_gives_each_piece_once(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct str rest = str_of(cuts[i].text), piece;
		size_t     n = 0;

		for (; str_cut(&rest, ',', &piece); n++) {
			assert_true(n < cuts[i].n);
			check_text(cuts[i].text, piece, cuts[i].pieces[n]);
		}
		check_int(cuts[i].text, n, cuts[i].n);
		assert_false(str_cut(&rest, ',', &piece));
	}
}

static void
words_are_between_blanks_and_line_ends(void **state UNUSED)
{
	struct str rest = STR("  RCPT\tTO:<a@b>  SIZE=1\r\n");

	check_text("first", str_word(&rest), "RCPT");
	check_text("second", str_word(&rest), "TO:<a@b>");
	check_text("third", str_word(&rest), "SIZE=1");
	check_text("end", str_word(&rest), "");
	check_text("end again", str_word(&rest), "");
}

static const struct {
	const char *text;
	uint64_t    max;
	bool        ok;
	uint64_t    number;
} numbers[] = {
	{"0", 0, true, 0},
	{"1", 0, false, 0},
	{"", 9, false, 0},
	{"007", 7, true, 7},
	{"65535", 65535, true, 65535},
	{"65536", 65535, false, 0},
	{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
	{"18446744073709551616", UINT64_MAX, false, 0},
	{"99999999999999999999", UINT64_MAX, false, 0},
	{"-1", 9, false, 0},
	{"+1", 9, false, 0},
	{" 1", 9, false, 0},
	{"1a", 99, false, 0},
	{"1:", 99, false, 0},
	{"1/", 99, false, 0},
	{"9", 5, false, 0},
};

static void
numbers_are_digits_within_a_maximum(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint64_t number = 0;

		check_int(numbers[i].text,
		          str_number(str_of(numbers[i].text), numbers[i].max, &number),
		          numbers[i].ok);
		if (numbers[i].ok)
			check_int(numbers[i].text, number, numbers[i].number);
	}
}

static void
copies_end_in_nul(void **state UNUSED)
{
	char *z = str_dup(str_sub(STR("hello"), 0, 4));
	char *none = str_dup(STR_NONE);

	assert_string_equal(z, "hell");
	assert_string_equal(none, "");
	free(z);
	free(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comparisons_fold_ascii_only),
		cmocka_unit_test(finding),
		cmocka_unit_test(parts_are_clipped),
		cmocka_unit_test(cutting_gives_each_piece_once),
		cmocka_unit_test(words_are_between_blanks_and_line_ends),
		cmocka_unit_test(numbers_are_digits_within_a_maximum),
		cmocka_unit_test(copies_end_in_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
