/* SPDX-License-Identifier: ISC */
/* args - the words of a command line, taken one by one. Functions of cmd.h. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

static void
take(struct cmd *c, int at, int n)
{
	memmove(c->argv + at, c->argv + at + n, (size_t)(c->argc - at - n + 1) * sizeof *c->argv);
	c->argc -= n;
}

/* What follows the name in a word "--name..."; NULL if it is another word. */
static const char *
behind(const char *word, const char *name)
{
	size_t n;

	if (strncmp(name, "--", 2) == 0)
		name += 2;
	n = strlen(name);
	return strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, n) == 0 ? word + 2 + n : NULL;
}

const char *
cmd_option(struct cmd *c, const char *name)
{
	for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++) {
		const char *w = behind(c->argv[i], name);

		if (w == NULL)
			continue;
		if (*w == '=') {
			take(c, i, 1);
			return w + 1;
		}
		if (*w == '\0') {
			const char *value = i + 1 < c->argc ? c->argv[i + 1] : "";

			take(c, i, i + 1 < c->argc ? 2 : 1);
			return value;
		}
	}
	return NULL;
}

bool
cmd_flag(struct cmd *c, const char *name)
{
	for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++) {
		const char *w = behind(c->argv[i], name);

		if (w != NULL && *w == '\0') {
			take(c, i, 1);
			return true;
		}
	}
	return false;
}

const char *
cmd_word(struct cmd *c)
{
	const char *w;

	if (c->argc > 0 && strcmp(c->argv[0], "--") == 0)
		take(c, 0, 1);
	if (c->argc == 0)
		return NULL;
	w = c->argv[0];
	take(c, 0, 1);
	return w;
}

bool
cmd_end(struct cmd *c)
{
	struct buf why = BUF(4096);

	if (c->argc == 0)
		return true;
	buf_addf(&why, "\"%s\" is not understood here", c->argv[0]);
	(void)cmd_usage(c, buf_z(&why));
	buf_free(&why);
	return false;
}

void
cmd_error(const char *what, const char *why, const char *hint)
{
	fprintf(stderr, "postern: %s: %s\n", what, why);
	if (hint != NULL)
		fprintf(stderr, "hint: %s\n", hint);
}

int
cmd_usage(struct cmd *c, const char *why)
{
	cmd_error(c->verb->name, why, NULL);
	fprintf(stderr, "usage: postern %s%s%s\n", c->verb->name, *c->verb->args != '\0' ? " " : "",
	        c->verb->args);
	return CMD_USAGE;
}
