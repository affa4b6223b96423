/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/proc/control.h"

static const struct {
	const char *line;
	const char *words; /* each in <> */
} lines[] = {
	{"queue list", "<queue><list>"},
	{"  queue\tlist  ", "<queue><list>"},
	{"", ""},
	{"   ", ""},
	{"queue show \"a b\"", "<queue><show><a b>"},
	{"\"\" x", "<><x>"},
	{"\"say \\\"hi\\\" \\\\ \\n\"", "<say \"hi\" \\ \n>"},
	{"\"no end", "<no end>"},
	{"\"odd \\x\"", "<odd \\x>"},
	{"\"ends in \\", "<ends in \\>"},
	{"a\"b c", "<a\"b><c>"},
	{"line\r\n", "<line>"},
};

static void
a_line_is_cut_into_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct str rest = str_of(lines[i].line), word;
		struct buf scratch = BUF(100), all = BUF(1000);

		while (control_word(&rest, &scratch, &word)) {
			buf_addc(&all, '<');
			buf_add(&all, word);
			buf_addc(&all, '>');
		}
		assert_string_equal(buf_z(&all), lines[i].words);
		buf_free(&scratch);
		buf_free(&all);
	}
}

static const struct str words[] = {
	{"plain", 5}, {"", 0},     {"a b", 3},         {"\"", 1},  {"\\n", 2}, {"new\nline", 8},
	{"tab\t", 4}, {"cr\r", 3}, {"caf\xc3\xa9", 5}, {"a\\", 2}, {"=", 1},   {"-x", 2},
};

static void
words_come_back_as_they_were(void **state)
{
	struct buf request = BUF(1000), scratch = BUF(100);
	struct str rest, word;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		control_add_word(&request, words[i]);
	rest = buf_str(&request);
	assert_int_equal(str_find(rest, '\n'), -1);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		assert_true(control_word(&rest, &scratch, &word));
		assert_true(str_eq(word, words[i]));
	}
	assert_false(control_word(&rest, &scratch, &word));
	buf_free(&request);
	buf_free(&scratch);
}

static void
rows_come_back_as_they_were(void **state)
{
	struct buf out = BUF(10000), value = BUF(1000);
	struct str rest, row, key;
	bool       number;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		control_cell(&out, "text", words[i]);
		control_cell_int(&out, "number", -(int64_t)i);
		control_row_end(&out);
	}
	control_end(&out, 3, STR("nothing\nfound"));
	rest = buf_str(&out);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		assert_true(str_cut(&rest, '\n', &row));
		assert_true(control_next_cell(&row, &key, &value, &number));
		assert_true(str_eq(key, STR("text")));
		assert_false(number);
		assert_true(str_eq(buf_str(&value), words[i]));
		assert_true(control_next_cell(&row, &key, &value, &number));
		assert_true(str_eq(key, STR("number")));
		assert_true(number);
		assert_int_equal(buf_z(&value)[0], i == 0 ? '0' : '-');
		assert_false(control_next_cell(&row, &key, &value, &number));
	}
	assert_true(str_eq(rest, STR("end 3 nothing\\nfound\n")));
	buf_free(&out);
	buf_free(&value);
}

static void
what_is_no_cell_is_refused(void **state)
{
	static const char *const bad[] = {"", "=x", "novalue", ":=1", "\t"};
	struct buf               value = BUF(100);
	struct str               key;
	bool                     number;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct str row = str_of(bad[i]);

		assert_false(control_next_cell(&row, &key, &value, &number));
	}
	buf_free(&value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_cut_into_words),
		cmocka_unit_test(words_come_back_as_they_were),
		cmocka_unit_test(rows_come_back_as_they_were),
		cmocka_unit_test(what_is_no_cell_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
