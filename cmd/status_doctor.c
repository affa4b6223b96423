/* SPDX-License-Identifier: ISC */
#include "cmd/status_doctor.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmd/daemon.h"
#include "cmd/rows.h"
#include "cmd/table.h"
#include "lib/proc/control.h"

enum { VALUE_MAX = 64 * 1024 };

void
status_doctor_json(struct json *j, struct str rows)
{
	struct str rest = rows, row;

	if (!rows_next(&rest, "doctor", &row))
		return;
	json_open(j, "doctor", '{');
	rows_cells(j, row);
	rows_array(j, "findings", rows, "finding");
	rows_array(j, "checks", rows, "check_count");
	rows_array(j, "keys", rows, "key");
	json_close(j, '}');
}

/* ---- for people ---- */

static void
add_number(struct buf *line, struct str row, const char *key, const char *before)
{
	struct buf value = BUF(VALUE_MAX);

	(void)daemon_cell(row, key, &value);
	buf_addf(line, "%s%s %s", before, buf_z(&value), key);
	buf_free(&value);
}

static void
print_summary(struct str row)
{
	struct buf line = BUF(VALUE_MAX), preflight = BUF(VALUE_MAX), age = BUF(VALUE_MAX);

	(void)daemon_cell(row, "preflight", &preflight);
	if (str_eq(buf_str(&preflight), STR("off"))) {
		puts("checks: none are made (preflight off)");
	} else if (!daemon_cell(row, "age_ms", &age)) {
		puts("checks: not made yet");
	} else {
		add_number(&line, row, "fail", "checks: ");
		add_number(&line, row, "warn", ", ");
		add_number(&line, row, "note", ", ");
		add_number(&line, row, "pass", ", ");
		add_number(&line, row, "skip", ", ");
		buf_addz(&line, "; ");
		show_value(&line, SHOW_SPAN_MS, buf_str(&age));
		printf("%s ago (preflight %s)\n", buf_z(&line), buf_z(&preflight));
	}
	buf_free(&line);
	buf_free(&preflight);
	buf_free(&age);
}

/* A row in the order of `keys`; the table copies. */
static void
add_row(struct table *t, struct str row, const struct column *columns, size_t n)
{
	struct buf values[4];
	struct str cells[4] = {{0}}; /* gcc cannot see that all columns are filled */

	for (size_t i = 0; i < n; i++) {
		buf_init(&values[i], VALUE_MAX);
		(void)daemon_cell(row, columns[i].key, &values[i]);
		cells[i] = buf_str(&values[i]);
	}
	table_add(t, cells);
	for (size_t i = 0; i < n; i++)
		buf_free(&values[i]);
}

static bool
has(struct str row, const char *key, const char *wanted)
{
	struct buf value = BUF(VALUE_MAX);
	bool       is = daemon_cell(row, key, &value) && str_eq(buf_str(&value), str_of(wanted));

	buf_free(&value);
	return is;
}

static void
finish(struct table *t)
{
	if (table_rows(t) > 0)
		putchar('\n');
	table_finish(t);
}

static void
print_failing(struct str rows)
{
	static const struct column columns[] = {
		{"status", "CHECK", SHOW_TEXT, true},
		{"id", "", SHOW_TEXT, true},
		{"subject", "OF", SHOW_TEXT, true},
		{"why", "WHY", SHOW_TEXT, false},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	struct str    row;

	while (rows_next(&rows, "finding", &row))
		if (has(row, "status", "fail") || has(row, "status", "warn"))
			add_row(t, row, columns, ARRAY_LEN(columns));
	finish(t);
}

static void
print_keys(struct str rows)
{
	static const struct column columns[] = {
		{"name", "KEY THAT DOES NOT SIGN", SHOW_TEXT, true},
		{"why", "WHY", SHOW_TEXT, false},
	};
	struct table *t = table_create(columns, ARRAY_LEN(columns));
	struct str    row;

	while (rows_next(&rows, "key", &row))
		if (has(row, "published", "0"))
			add_row(t, row, columns, ARRAY_LEN(columns));
	finish(t);
}

void
status_doctor_print(struct str rows)
{
	struct str rest = rows, row;

	if (!rows_next(&rest, "doctor", &row))
		return;
	print_summary(row);
	print_failing(rows);
	print_keys(rows);
}
