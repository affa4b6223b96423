/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/cmd.h"

enum { WORDS_MAX = 8 };

static const struct {
	const char *words[WORDS_MAX];
	const char *name;
	const char *value; /* NULL: not there */
	const char *left;  /* what remains, with blanks */
} options[] = {
	{{"a", "--to", "b", "c"}, "--to", "b", "a c"},
	{{"a", "--to", "b", "c"}, "to", "b", "a c"},
	{{"--to=b", "a"}, "to", "b", "a"},
	{{"--to=", "a"}, "to", "", "a"},
	{{"a", "--to"}, "to", "", "a"},
	{{"--too", "b"}, "to", NULL, "--too b"},
	{{"-to", "b"}, "to", NULL, "-to b"},
	{{"--", "--to", "b"}, "to", NULL, "-- --to b"},
	{{"--to", "x", "--to", "y"}, "to", "x", "--to y"},
	{{NULL}, "to", NULL, ""},
};

static void
fill(struct cmd *c, char **argv, const char *const *words)
{
	c->argc = 0;
	c->argv = argv;
	for (int i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
		memcpy(&argv[i], &words[i], sizeof argv[i]);
		c->argc = i + 1;
	}
	argv[c->argc] = NULL;
}

static void
check_left(const struct cmd *c, const char *left)
{
	struct buf all = BUF(1000);

	for (int i = 0; i < c->argc; i++)
		buf_addf(&all, "%s%s", i > 0 ? " " : "", c->argv[i]);
	assert_null(c->argv[c->argc]);
	assert_string_equal(buf_z(&all), left);
	buf_free(&all);
}

static void
options_are_taken_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		char       *argv[WORDS_MAX + 1];
		struct cmd  c = {0};
		const char *value;

		fill(&c, argv, options[i].words);
		value = cmd_option(&c, options[i].name);
		if (options[i].value == NULL) {
			assert_null(value);
		} else {
			assert_non_null(value);
			assert_string_equal(value, options[i].value);
		}
		check_left(&c, options[i].left);
	}
}

static void
flags_and_words_are_taken_out(void **state)
{
	static const char *const words[WORDS_MAX] = {"a", "--all", "--", "--b"};
	char                    *argv[WORDS_MAX + 1];
	struct cmd               c = {0};

	(void)state;
	fill(&c, argv, words);
	assert_false(cmd_flag(&c, "b")); /* behind "--" it is a word */
	assert_true(cmd_flag(&c, "all"));
	assert_false(cmd_flag(&c, "all"));
	assert_string_equal(cmd_word(&c), "a");
	assert_string_equal(cmd_word(&c), "--b");
	assert_null(cmd_word(&c));
	assert_true(cmd_end(&c));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_taken_out),
		cmocka_unit_test(flags_and_words_are_taken_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
