/* SPDX-License-Identifier: ISC */
#include "cmd/setup_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/file.h"
#include "lib/proc/config.h"

enum { FILE_LIMIT = 1 << 20, REPORT_MAX = 1 << 20, WHY_MAX = 1024 };

const char *
setup_file_path(struct cmd *c)
{
	const char *path = c->config_file != NULL ? c->config_file : "/etc/postern/postern.conf";
	struct buf  why = BUF(WHY_MAX);
	char       *folder = str_dup(
		      str_sub(str_of(path), 0, (size_t)(str_rfind(str_of(path), '/') + 1)));
	bool ok = access(path, F_OK) == 0;

	if (!ok && folder[0] != '\0')
		(void)mkdir(folder, 0755); /* what is wrong with it, the write tells */
	ok = ok || file_replace(path, STR("# Written by `postern setup`; see postern.conf(5).\n"),
	                        0644, &why);
	if (!ok)
		cmd_error(path, buf_z(&why),
		          "setup must be run by who may write the configuration");
	free(folder);
	buf_free(&why);
	c->config_file = path;
	return ok ? path : NULL;
}

static void
add_line(struct buf *out, const char *directive, struct str value)
{
	buf_addz(out, directive);
	buf_addc(out, ' ');
	buf_add(out, value);
	buf_addc(out, '\n');
}

void
setup_file_edit(struct buf *out, struct str text, const struct setup_lines *lines)
{
	struct str line, rest, word;
	bool       has_name = lines->hostname.n == 0, has_outbound = lines->public_ips.n == 0;

	if (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--; /* a line end ends a line, it begins none */
	while (str_cut(&text, '\n', &line)) {
		rest = line;
		word = str_word(&rest);
		has_outbound = has_outbound || str_starts(word, STR("outbound"));
		if (lines->hostname.n > 0 && str_eq(word, STR("hostname"))) {
			if (!has_name)
				add_line(out, "hostname", lines->hostname);
			has_name = true;
			continue;
		}
		buf_add(out, line);
		buf_addc(out, '\n');
	}
	if (!has_name)
		add_line(out, "hostname", lines->hostname);
	if (lines->domains.n > 0)
		add_line(out, "domains", lines->domains);
	if (has_outbound)
		return;
	buf_addz(out, "outbound { public-ip ");
	buf_add(out, lines->public_ips);
	buf_addz(out, " }\n");
}

/* Read as the daemon would, from a file beside it, so that relative names in it mean the same. */
static bool
is_good(const char *path, struct str text)
{
	struct buf     trial = BUF(4096), why = BUF(WHY_MAX), report = BUF(REPORT_MAX);
	struct config *c = NULL;
	bool           ok;

	buf_addf(&trial, "%s.setup", path);
	ok = file_replace(buf_z(&trial), text, 0600, &why);
	if (!ok)
		cmd_error(buf_z(&trial), buf_z(&why), NULL);
	else if ((c = config_load(buf_z(&trial), &report, NULL, NULL)) == NULL)
		fputs(buf_z(&report), stderr);
	(void)unlink(buf_z(&trial));
	config_unref(c);
	buf_free(&trial);
	buf_free(&why);
	buf_free(&report);
	return c != NULL;
}

bool
setup_file_change(const char *path, const struct setup_lines *lines)
{
	struct buf  old = BUF(FILE_LIMIT), new = BUF(2 * FILE_LIMIT), why = BUF(WHY_MAX);
	struct stat st = {.st_mode = 0644};
	bool        ok = file_read(path, &old, &why);

	if (ok) {
		(void)stat(path, &st);
		setup_file_edit(&new, buf_str(&old), lines);
		ok = is_good(path, buf_str(&new));
		if (ok && !str_eq(buf_str(&old), buf_str(&new)))
			ok = file_replace(path, buf_str(&new), st.st_mode & 0777, &why);
	}
	if (!ok)
		cmd_error(path, why.n > 0 ? buf_z(&why) : "was left as it is", NULL);
	buf_free(&old);
	buf_free(&new);
	buf_free(&why);
	return ok;
}
