/* SPDX-License-Identifier: ISC */
/*
 * postern config show: the values in force and where each came from.
 *
 * Without --all only what differs from the defaults; with it every directive and
 * what it is for. As JSON: one object a line.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"

enum { OUT_MAX = 4 * 1024 * 1024, NAME_WIDTH = 18, VALUE_WIDTH = 40 };

struct show {
	struct buf  out;
	const char *last; /* directive of the row before: the help is printed once */
	bool        all, json;
};

static void
row_json(struct show *s, const char *name, struct str value, struct str origin)
{
	struct json j = {.out = &s->out};

	json_open(&j, NULL, '{');
	json_str(&j, "name", str_of(name));
	json_str(&j, "value", value);
	json_str(&j, "origin", origin);
	if (s->all)
		json_str(&j, "help", str_of(config_help(name)));
	json_close(&j, '}');
	buf_addc(&s->out, '\n');
}

static void
row_text(struct show *s, const char *name, struct str value, struct str origin)
{
	if (s->all && (s->last == NULL || strcmp(s->last, name) != 0))
		buf_addf(&s->out, "%s# %s%s\n", s->last == NULL ? "" : "\n", config_help(name),
		         config_needs_restart(name) ? " (needs a restart)" : "");
	if (value.n == 0)
		buf_addf(&s->out, "# %-*s(not set)\n", NAME_WIDTH - 2, name);
	else
		buf_addf(&s->out, "%-*s%-*.*s  # %.*s\n", NAME_WIDTH, name, VALUE_WIDTH,
		         (int)value.n, value.p, (int)origin.n, origin.p);
	s->last = name;
}

static void
row(void *arg, const char *name, struct str value, struct str origin)
{
	struct show *s = arg;

	if (!s->all && str_eq(origin, STR("default")))
		return;
	if (s->json)
		row_json(s, name, value, origin);
	else
		row_text(s, name, value, origin);
}

static int
show(struct cmd *c)
{
	struct show    s = {.out = BUF(OUT_MAX), .all = cmd_flag(c, "--all"), .json = c->json};
	struct config *conf;

	if (!cmd_end(c))
		return CMD_USAGE;
	if ((conf = cmd_load(c)) == NULL)
		return CMD_CONFIG;
	config_show(conf, row, &s);
	if (s.out.n == 0 && !s.json)
		buf_addz(&s.out, "# everything is at its default: `postern config show --all`\n");
	fwrite(s.out.p, 1, s.out.n, stdout);
	buf_free(&s.out);
	config_unref(conf);
	return CMD_OK;
}

int
cmd_config(struct cmd *c)
{
	const char *verb = cmd_word(c);

	if (verb == NULL || strcmp(verb, "show") != 0)
		return cmd_usage(c, verb == NULL ? "what to do with it?" : "it can only be shown");
	return show(c);
}
