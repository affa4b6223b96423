/* SPDX-License-Identifier: ISC */
#include "cmd/rows.h"

#include <stdlib.h>

#include "cmd/daemon.h"
#include "lib/proc/control.h"

enum { VALUE_MAX = 64 * 1024 };

bool
rows_next(struct str *rows, const char *kind, struct str *row)
{
	struct buf value = BUF(VALUE_MAX);
	bool       found = false;

	while (!found && str_cut(rows, '\n', row))
		found = daemon_cell(*row, "kind", &value) && str_eq(buf_str(&value), str_of(kind));
	buf_free(&value);
	return found;
}

static bool
is_flag(struct str key)
{
	static const char *const flags[] = {"auth", "stopping", "ok", "published"};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (str_eq(key, str_of(flags[i])))
			return true;
	return false;
}

void
rows_cells(struct json *j, struct str row)
{
	struct buf value = BUF(VALUE_MAX);
	struct str key;
	bool       number;

	while (control_next_cell(&row, &key, &value, &number)) {
		char   *name = str_dup(key);
		int64_t n = strtoll(buf_z(&value), NULL, 10);

		if (str_eq(key, STR("kind")))
			;
		else if (number && is_flag(key))
			json_bool(j, name, n != 0);
		else if (number)
			json_int(j, name, n);
		else
			json_str(j, name, buf_str(&value));
		free(name);
	}
	buf_free(&value);
}

void
rows_array(struct json *j, const char *key, struct str rows, const char *kind)
{
	struct str row;

	json_open(j, key, '[');
	while (rows_next(&rows, kind, &row)) {
		json_open(j, NULL, '{');
		rows_cells(j, row);
		json_close(j, '}');
	}
	json_close(j, ']');
}
