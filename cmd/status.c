/* SPDX-License-Identifier: ISC */
/* status - status, readyz, reload, pause and resume: they ask the running daemon. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/rows.h"
#include "cmd/status_doctor.h"
#include "lib/proc/control.h"
#include "lib/util/json.h"

enum { ROWS_MAX = 4 * 1024 * 1024, VALUE_MAX = 64 * 1024 };

static void
keep_row(void *arg, struct str row)
{
	buf_add(arg, row);
	buf_addc(arg, '\n');
}

static const struct daemon_hooks keep_rows = {.row = keep_row};

static void
add_stats(struct json *j, struct str rows)
{
	struct buf name = BUF(VALUE_MAX), value = BUF(VALUE_MAX);
	struct str row;

	while (rows_next(&rows, "stat", &row))
		if (daemon_cell(row, "name", &name) && daemon_cell(row, "value", &value) &&
		    str_find(buf_str(&name), '{') < 0)
			json_int(j, buf_z(&name), strtoll(buf_z(&value), NULL, 10));
	buf_free(&name);
	buf_free(&value);
}

/* ---- what the messages of each sender were found to be ---- */

/* Cut out of lint_date_missing_total{user="app1"}. */
struct finding_row {
	struct buf name, value, rule;
	struct str kind, who; /* "user" or "client" */
};

static bool
next_finding(struct str *rows, struct finding_row *f)
{
	struct str row, rest, rule;

	while (rows_next(rows, "stat", &row)) {
		if (!daemon_cell(row, "name", &f->name) || !daemon_cell(row, "value", &f->value))
			continue;
		rest = buf_str(&f->name);
		if (!str_starts(rest, STR("lint_")) || !str_ends(rest, STR("\"}")))
			continue;
		rest = str_sub(rest, 0, rest.n - 2);
		(void)str_cut(&rest, '{', &rule);
		(void)str_cut(&rest, '=', &f->kind);
		f->who = str_skip(rest, 1);
		buf_clear(&f->rule);
		for (size_t i = 5; i + 6 < rule.n; i++)
			buf_addc(&f->rule, rule.p[i] == '_' ? '-' : rule.p[i]);
		return true;
	}
	return false;
}

static void
init_finding(struct finding_row *f)
{
	buf_init(&f->name, VALUE_MAX);
	buf_init(&f->value, VALUE_MAX);
	buf_init(&f->rule, VALUE_MAX);
}

static void
free_finding(struct finding_row *f)
{
	buf_free(&f->name);
	buf_free(&f->value);
	buf_free(&f->rule);
}

static void
add_findings(struct json *j, struct str rows)
{
	struct finding_row f;

	init_finding(&f);
	json_open(j, "lint", '[');
	while (next_finding(&rows, &f)) {
		json_open(j, NULL, '{');
		json_str(j, str_eq(f.kind, STR("user")) ? "user" : "client", f.who);
		json_str(j, "rule", buf_str(&f.rule));
		json_int(j, "count", strtoll(buf_z(&f.value), NULL, 10));
		json_close(j, '}');
	}
	json_close(j, ']');
	free_finding(&f);
}

static void
print_findings(struct str rows)
{
	static const struct column columns[] = {
		{"who", "SENDER", SHOW_TEXT, true},
		{"rule", "FOUND BY LINT", SHOW_TEXT, true},
		{"count", "MESSAGES", SHOW_NUMBER, true},
	};
	struct table      *t = table_create(columns, ARRAY_LEN(columns));
	struct finding_row f;

	init_finding(&f);
	while (next_finding(&rows, &f))
		table_add(t, (struct str[]){f.who, buf_str(&f.rule), buf_str(&f.value)});
	if (table_rows(t) > 0)
		putchar('\n');
	table_finish(t);
	free_finding(&f);
}

static void
print_json(struct str rows)
{
	struct buf  out = BUF(ROWS_MAX);
	struct json j = {.out = &out};
	struct str  rest = rows, row;

	json_open(&j, NULL, '{');
	if (rows_next(&rest, "daemon", &row))
		rows_cells(&j, row);
	add_stats(&j, rows);
	rows_array(&j, "listeners", rows, "listener");
	rows_array(&j, "roles", rows, "role");
	rows_array(&j, "trouble", rows, "trouble");
	add_findings(&j, rows);
	status_doctor_json(&j, rows);
	json_close(&j, '}');
	puts(buf_z(&out));
	buf_free(&out);
}

static void
print_table(struct str rows, const char *kind, const struct column *columns, size_t n)
{
	struct table *t = table_create(columns, n);
	struct buf    values[8];
	struct str    cells[8], row;

	for (size_t i = 0; i < n; i++)
		buf_init(&values[i], VALUE_MAX);
	while (rows_next(&rows, kind, &row)) {
		for (size_t i = 0; i < n; i++) {
			(void)daemon_cell(row, columns[i].key, &values[i]);
			cells[i] = buf_str(&values[i]);
		}
		table_add(t, cells);
	}
	if (table_rows(t) > 0)
		putchar('\n');
	table_finish(t);
	for (size_t i = 0; i < n; i++)
		buf_free(&values[i]);
}

static void
print_daemon(struct str row)
{
	static const char *const keys[] = {"version", "mode",      "hostname",
	                                   "pid",     "uptime_ms", "config"};
	struct buf               v[ARRAY_LEN(keys)], span = BUF(64);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		buf_init(&v[i], VALUE_MAX);
		(void)daemon_cell(row, keys[i], &v[i]);
	}
	show_value(&span, SHOW_SPAN_MS, buf_str(&v[4]));
	printf("postern %s on %s, up %s, process %s\n", buf_z(&v[0]), buf_z(&v[2]), buf_z(&span),
	       buf_z(&v[3]));
	if (str_eq(buf_str(&v[1]), STR("capture")))
		puts("mode: capture. Mail is accepted and held, nothing leaves: no `domains` are configured.");
	else
		puts("mode: live");
	if (v[5].n > 0)
		printf("config: %s\n", buf_z(&v[5]));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		buf_free(&v[i]);
	buf_free(&span);
}

/* The value of a counter, or "?" while the role that counts is not there. */
static void
add_counter(struct buf *out, struct str rows, const char *want)
{
	struct buf name = BUF(VALUE_MAX), value = BUF(VALUE_MAX);
	struct str row;
	bool       found = false;

	while (!found && rows_next(&rows, "stat", &row))
		found = daemon_cell(row, "name", &name) && str_eq(buf_str(&name), str_of(want)) &&
		        daemon_cell(row, "value", &value);
	buf_addz(out, found ? buf_z(&value) : "?");
	buf_free(&name);
	buf_free(&value);
}

static void
print_queue(struct str rows)
{
	static const struct {
		const char *before, *counter;
	} parts[] = {
		{"queue: ", "queue_messages"}, {" (", "queue_ready"},
		{" ready, ", "queue_active"},  {" being sent, ", "queue_deferred"},
		{" deferred, ", "queue_held"},
	};
	struct buf line = BUF(1024);

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_addz(&line, parts[i].before);
		add_counter(&line, rows, parts[i].counter);
	}
	printf("%s held)\n", buf_z(&line));
	buf_free(&line);
}

static void
print_people(struct str rows, bool all)
{
	static const struct column listeners[] = {
		{"address", "LISTENER", SHOW_TEXT, true},
		{"tls", "TLS", SHOW_TEXT, true},
		{"auth", "AUTH", SHOW_FLAG, true},
	};
	static const struct column roles[] = {
		{"role", "ROLE", SHOW_TEXT, true},           {"index", "#", SHOW_NUMBER, true},
		{"state", "STATE", SHOW_TEXT, true},         {"pid", "PROCESS", SHOW_NUMBER, true},
		{"restarts", "RESTARTS", SHOW_NUMBER, true}, {"pss_kib", "MEMORY", SHOW_KIB, true},
		{"sandbox", "SANDBOX", SHOW_TEXT, true},
	};
	static const struct column stats[] = {
		{"name", "COUNTER", SHOW_TEXT, true},
		{"value", "VALUE", SHOW_NUMBER, true},
	};
	static const struct column trouble[] = {
		{"role", "TROUBLE", SHOW_TEXT, true},
		{"what", "", SHOW_TEXT, false},
	};
	struct str rest = rows, row;

	if (rows_next(&rest, "daemon", &row))
		print_daemon(row);
	print_queue(rows);
	status_doctor_print(rows);
	print_table(rows, "trouble", trouble, ARRAY_LEN(trouble));
	print_table(rows, "listener", listeners, ARRAY_LEN(listeners));
	print_table(rows, "role", roles, ARRAY_LEN(roles));
	print_findings(rows);
	if (all)
		print_table(rows, "stat", stats, ARRAY_LEN(stats));
}

int
cmd_status(struct cmd *c)
{
	struct buf rows = BUF(ROWS_MAX);
	bool       all = cmd_flag(c, "--all");
	int        code;

	if (!cmd_end(c))
		return CMD_USAGE;
	code = daemon_ask(c, STR("status"), &keep_rows, &rows, NULL);
	if (code == CMD_OK && c->json)
		print_json(buf_str(&rows));
	else if (code == CMD_OK)
		print_people(buf_str(&rows), all);
	buf_free(&rows);
	return code;
}

int
cmd_readyz(struct cmd *c)
{
	struct buf rows = BUF(ROWS_MAX), out = BUF(ROWS_MAX), said = BUF(VALUE_MAX);
	int        code;

	if (!cmd_end(c))
		return CMD_USAGE;
	code = daemon_ask(c, STR("readyz"), &keep_rows, &rows, &said);
	if (c->json && code != CMD_NO_DAEMON) {
		struct json j = {.out = &out};

		json_open(&j, NULL, '{');
		json_bool(&j, "ready", code == CMD_OK);
		json_str(&j, "why", buf_str(&said));
		rows_array(&j, "checks", buf_str(&rows), "check");
		json_close(&j, '}');
		puts(buf_z(&out));
	} else if (code == CMD_OK) {
		puts("ready");
	} else if (said.n > 0) {
		cmd_error("not ready", buf_z(&said), NULL);
	}
	buf_free(&rows);
	buf_free(&out);
	buf_free(&said);
	return code;
}

int
cmd_reload(struct cmd *c)
{
	return cmd_end(c) ? daemon_say(c, STR("reload")) : CMD_USAGE;
}

/* pause and resume: everything, or the lane of one domain. */
static int
say_about_domain(struct cmd *c)
{
	struct buf  request = BUF(CONTROL_REQUEST_MAX);
	const char *domain = cmd_word(c);
	int         code = CMD_USAGE;

	control_add_word(&request, str_of(c->verb->name));
	if (domain != NULL)
		control_add_word(&request, str_of(domain));
	if (cmd_end(c))
		code = daemon_say(c, buf_str(&request));
	buf_free(&request);
	return code;
}

int
cmd_pause(struct cmd *c)
{
	return say_about_domain(c);
}

int
cmd_resume(struct cmd *c)
{
	return say_about_domain(c);
}
