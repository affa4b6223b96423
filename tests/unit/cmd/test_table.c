/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "cmd/table.h"

static const struct {
	enum show   show;
	const char *value, *shown;
} values[] = {
	{SHOW_TEXT, "plain", "plain"},
	{SHOW_TEXT, "", ""},
	{SHOW_TEXT, "a\033[31mb\r\n\t", "a?[31mb???"},
	{SHOW_TEXT, "caf\xc3\xa9", "caf\xc3\xa9"},
	{SHOW_TEXT, "c1 \xc2\x9b!", "c1 ?!"},
	{SHOW_TEXT, "del\177", "del?"},
	{SHOW_NUMBER, "12", "12"},
	{SHOW_NUMBER, "x", "x"},
	{SHOW_FLAG, "0", "-"},
	{SHOW_FLAG, "1", "yes"},
	{SHOW_SIZE, "0", "0"},
	{SHOW_SIZE, "1023", "1023"},
	{SHOW_SIZE, "1024", "1.0K"},
	{SHOW_SIZE, "14332", "14K"},
	{SHOW_SIZE, "1048576", "1.0M"},
	{SHOW_SIZE, "9223372036854775807", "8192P"},
	{SHOW_KIB, "2048", "2.0M"},
	{SHOW_SPAN_MS, "0", "-"},
	{SHOW_SPAN_MS, "120000", "2m"},
	{SHOW_TIME_MS, "0", "-"},
	{SHOW_TIME_MS, "1000", "1970-01-01 00:00:01"},
};

static void
values_are_shown_as_people_read_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct buf b = BUF(1000);

		show_value(&b, values[i].show, str_of(values[i].value));
		assert_string_equal(buf_z(&b), values[i].shown);
		buf_free(&b);
	}
}

static void
add(struct table *t, const char *a, const char *b, const char *c)
{
	table_add(t, (struct str[]){str_of(a), str_of(b), str_of(c)});
}

/* What is printed while standard output is a file. */
static char *
print(unsigned rows)
{
	static const struct column columns[] = {
		{"id", "ID", SHOW_TEXT, true},
		{"n", "COUNT", SHOW_NUMBER, false},
		{"why", "WHY", SHOW_TEXT, false},
	};
	static char   text[64 * 1024];
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	char          path[] = "/tmp/test_table-XXXXXX";
	int           file = mkstemp(path), out = dup(STDOUT_FILENO);
	ssize_t       n;

	fflush(stdout);
	assert_true(file >= 0 && out >= 0 && dup2(file, STDOUT_FILENO) >= 0);
	for (unsigned i = 0; i < rows; i++)
		add(t, i % 2 == 0 ? "caf\xc3\xa9" : "longer", i % 2 == 0 ? "7" : "1000",
		    i == 300 ? "a very long reason that nobody expected" : "w");
	assert_int_equal(table_rows(t), rows);
	table_finish(t);
	fflush(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	n = pread(file, text, sizeof text - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	unlink(path);
	close(file);
	close(out);
	return text;
}

static void
columns_are_as_wide_as_their_cells(void **state)
{
	(void)state;
	assert_string_equal(print(0), "");
	assert_string_equal(print(2), "ID      COUNT  WHY\n"
	                              "caf\xc3\xa9        7  w\n"
	                              "longer   1000  w\n");
}

static void
a_long_list_is_printed_whole(void **state)
{
	const char *text = print(500);
	unsigned    lines = 0;

	(void)state;
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 501);
	assert_non_null(strstr(text, "a very long reason that nobody expected\n"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_shown_as_people_read_them),
		cmocka_unit_test(columns_are_as_wide_as_their_cells),
		cmocka_unit_test(a_long_list_is_printed_whole),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
