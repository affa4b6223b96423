/* SPDX-License-Identifier: ISC */
#include "cmd/control_path.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/proc/config.h"

#define USUAL_FILE "/etc/postern/postern.conf"
#define USUAL_PATH "/run/postern/control"

enum { REPORT_MAX = 1024 * 1024, LINE_MAX_BYTES = 64 * 1024 };

static bool
from_config(struct cmd *c, struct buf *path)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *conf = config_load(c->config_file, &report, NULL, NULL);

	buf_free(&report);
	if (conf == NULL)
		return false;
	buf_add(path, conf->control);
	config_unref(conf);
	return path->n > 0;
}

static bool
from_line(struct cmd *c, struct buf *path)
{
	FILE   *f = fopen(c->config_file != NULL ? c->config_file : USUAL_FILE, "re");
	char   *line = NULL;
	size_t  cap = 0;
	ssize_t n;

	while (f != NULL && (n = getline(&line, &cap, f)) > 0 && n < LINE_MAX_BYTES) {
		struct str rest = {line, (size_t)n}, value;

		if (!str_eq(str_word(&rest), STR("control")))
			continue;
		value = str_word(&rest);
		if (str_starts(value, STR("\"")) && str_ends(value, STR("\"")) && value.n > 2)
			value = str_sub(value, 1, value.n - 2);
		buf_clear(path);
		buf_add(path, value);
	}
	free(line);
	if (f != NULL)
		fclose(f);
	return path->n > 0;
}

void
control_path(struct cmd *c, struct buf *path)
{
	const char *env = getenv("POSTERN_CONTROL");

	if (from_config(c, path))
		return;
	if (env != NULL && *env != '\0')
		buf_addz(path, env);
	else if (!from_line(c, path))
		buf_addz(path, USUAL_PATH);
}
