/* SPDX-License-Identifier: ISC */
/*
 * queue - looking at queued mail and acting on it.
 *
 * The words go to the daemon as they are: it knows the filters. Without a
 * daemon list, show and cat read the spool themselves; a child process answers
 * in the daemon's place, so that there is one way to print.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/export.h"
#include "cmd/offline.h"
#include "lib/proc/control.h"

static const struct column list_columns[] = {
	{"id", "ID", SHOW_TEXT, true},
	{"age_ms", "AGE", SHOW_SPAN_MS, false},
	{"size", "SIZE", SHOW_SIZE, false},
	{"from", "FROM", SHOW_TEXT, false},
	{"to", "TO", SHOW_TEXT, false},
	{"state", "STATE", SHOW_TEXT, false},
	{"next_ms", "NEXT", SHOW_SPAN_MS, false},
	{"why", "WHY", SHOW_TEXT, false},
};

static const struct column rcpt_columns[] = {
	{"to", "TO", SHOW_TEXT, true},
	{"state", "STATE", SHOW_TEXT, false},
	{"tries", "TRIES", SHOW_NUMBER, false},
	{"next_ms", "NEXT", SHOW_SPAN_MS, false},
	{"reply", "LAST REPLY", SHOW_TEXT, false},
};

static const struct column facts[] = {
	{"id", "Id", SHOW_TEXT, true},
	{"from", "From", SHOW_TEXT, true},
	{"accepted_ms", "Accepted", SHOW_TIME_MS, true},
	{"size", "Size", SHOW_SIZE, true},
	{"message_id", "Message-ID", SHOW_TEXT, true},
	{"header_from", "Author's domain", SHOW_TEXT, true},
	{"client", "Client", SHOW_TEXT, true},
	{"helo", "Client's name", SHOW_TEXT, true},
	{"login", "Login", SHOW_TEXT, true},
	{"proto", "Protocol", SHOW_TEXT, true},
	{"envid", "Envelope id", SHOW_TEXT, true},
	{"parent", "Report about", SHOW_TEXT, true},
};

enum { VALUE_MAX = 64 * 1024, RCPT_CELLS = ARRAY_LEN(rcpt_columns) };

/* ---- show ---- */

struct showing {
	struct cmd   *c;
	struct table *table;
};

static void
print_facts(struct str row)
{
	struct buf value = BUF(VALUE_MAX), shown = BUF(VALUE_MAX);

	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		if (!daemon_cell(row, facts[i].key, &value) || value.n == 0)
			continue;
		buf_clear(&shown);
		show_value(&shown, facts[i].show, buf_str(&value));
		printf("%-16s %s\n", facts[i].head, buf_z(&shown));
	}
	putchar('\n');
	buf_free(&value);
	buf_free(&shown);
}

static void
show_row(void *arg, struct str row)
{
	struct showing *s = arg;
	struct buf      values[RCPT_CELLS], kind = BUF(32);
	struct str      cells[RCPT_CELLS];
	bool message = daemon_cell(row, "kind", &kind) && str_eq(buf_str(&kind), STR("message"));

	buf_free(&kind);
	if (s->c->json) {
		daemon_json(row);
		return;
	}
	if (message) {
		print_facts(row);
		return;
	}
	for (size_t i = 0; i < RCPT_CELLS; i++) {
		buf_init(&values[i], VALUE_MAX);
		(void)daemon_cell(row, rcpt_columns[i].key, &values[i]);
		cells[i] = buf_str(&values[i]);
	}
	table_add(s->table, cells);
	for (size_t i = 0; i < RCPT_CELLS; i++)
		buf_free(&values[i]);
}

static int
ask_show(struct cmd *c, struct str request)
{
	static const struct daemon_hooks hooks = {.row = show_row};
	struct showing s = {.c = c, .table = table_create(rcpt_columns, RCPT_CELLS)};
	int            code = daemon_ask(c, request, &hooks, &s, NULL);

	table_finish(s.table);
	return code;
}

/* ---- the verb ---- */

static bool
reads_only(struct str verb)
{
	return str_eq(verb, STR("list")) || str_eq(verb, STR("show")) || str_eq(verb, STR("cat"));
}

static int
ask(struct cmd *c, struct str verb, struct str request)
{
	static const struct daemon_hooks raw = {0};

	if (str_eq(verb, STR("list")))
		return daemon_print(c, request, list_columns, ARRAY_LEN(list_columns));
	if (str_eq(verb, STR("show")))
		return ask_show(c, request);
	if (str_eq(verb, STR("cat")))
		return daemon_ask(c, request, &raw, NULL, NULL);
	return daemon_say(c, request);
}

int
cmd_queue(struct cmd *c)
{
	struct buf  request = BUF(CONTROL_REQUEST_MAX);
	const char *word = cmd_word(c);
	struct str  verb = word == NULL || word[0] == '-' ? STR("list") : str_of(word);
	pid_t       child = 0;
	int         code = CMD_FAILED;

	if (str_eq(verb, STR("export")))
		return queue_export(c);
	if (str_eq(verb, STR("import")))
		return queue_import(c);
	if (str_eq(verb, STR("fsck")))
		return queue_check(c);
	buf_addz(&request, "queue");
	control_add_word(&request, verb);
	for (; word != NULL; word = cmd_word(c))
		if (!str_eq(str_of(word), verb))
			control_add_word(&request, str_of(word));
	if (request.over)
		return cmd_usage(c, "that is too long; use a filter");
	c->connection = daemon_connect(c);
	if (c->connection < 0 && errno != EACCES && reads_only(verb)) {
		c->connection = offline_start(c, &request, &child, &code);
		if (c->connection < 0)
			goto out;
	}
	code = ask(c, verb, buf_str(&request));
	if (child > 0)
		(void)waitpid(child, NULL, 0);
out:
	buf_free(&request);
	return code;
}
