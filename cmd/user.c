/* SPDX-License-Identifier: ISC */
/*
 * postern user add|list|rm: who may log in.
 *
 * The users file holds a verifier for each name and never a password. A running daemon
 * notices the new file by itself. What a user may send as is configuration, so
 * --from writes a `user` block behind the configuration file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/scram.h"
#include "auth/users.h"
#include "cmd/cmd.h"
#include "cmd/file.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

enum { FILE_LIMIT = 16 * 1024 * 1024, PASSWORD_LETTERS = 24 };

struct job {
	struct cmd    *c;
	struct config *config;
	const char    *name;
	struct buf     from; /* patterns, blanks between */
	char          *path; /* the users file */
	bool           new_path; /* the configuration does not name it yet */
	struct buf     text; /* its octets */
};

static bool
is_name(struct str name)
{
	if (name.n == 0 || name.n > USER_NAME_MAX || name.p[0] == '#')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((uint8_t)name.p[i] <= ' ' || name.p[i] == ':' || name.p[i] == 0x7f)
			return false;
	return true;
}

/* The name of a line of the users file, or none for comments and empty lines. */
static struct str
name_of(struct str line)
{
	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#' || str_find(line, ':') < 0)
		return STR_NONE;
	return str_sub(line, 0, (size_t)str_find(line, ':'));
}

/* `users` beside the configuration file if none is configured. */
static void
find_path(struct job *j)
{
	struct buf path = BUF(4096);
	struct str file = str_of(j->c->config_file != NULL ? j->c->config_file : "/etc/postern/postern.conf");
	ptrdiff_t slash = str_rfind(file, '/');

	if (j->config->users_path.n > 0) {
		j->path = str_dup(j->config->users_path);
		return;
	}
	j->new_path = true;
	buf_add(&path, slash >= 0 ? str_sub(file, 0, (size_t)slash + 1) : STR_NONE);
	buf_addz(&path, "users");
	j->path = str_dup(buf_str(&path));
	buf_free(&path);
}

static bool
read_users(struct job *j)
{
	struct buf why = BUF(512);
	bool ok;

	buf_init(&j->text, FILE_LIMIT);
	ok = file_read(j->path, &j->text, &why) || errno == ENOENT;
	if (!ok)
		cmd_error(j->path, buf_z(&why), NULL);
	buf_free(&why);
	return ok;
}

/* The file without `name`; `had` says that it was there. */
static void
copy_without(struct str text, struct str name, struct buf *out, bool *had)
{
	struct str line;

	*had = false;
	while (str_cut(&text, '\n', &line)) {
		if (str_eq(name_of(line), name)) {
			*had = true;
		} else if (line.n > 0 || text.n > 0) {
			buf_add(out, line);
			buf_addc(out, '\n');
		}
	}
}

static bool
write_users(struct job *j, struct str text)
{
	struct buf why = BUF(512);
	bool ok = file_replace(j->path, text, 0600, &why);

	if (!ok)
		cmd_error(j->path, buf_z(&why), NULL);
	buf_free(&why);
	return ok;
}

/* 24 letters of 32, 120 bits; no letters that look alike. */
static void
make_password(struct buf *out)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";

	for (int i = 0; i < PASSWORD_LETTERS; i++) {
		if (i > 0 && i % 6 == 0)
			buf_addc(out, '-');
		buf_addc(out, letters[random_below(sizeof letters - 1)]);
	}
}

/* The first line of the file, or of standard input for "-". */
static bool
read_password(const char *path, struct buf *out)
{
	struct buf text = BUF(4096), why = BUF(512);
	bool ok = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &text, &why);
	struct str rest = buf_str(&text), line = STR_NONE;

	if (!ok)
		cmd_error(path, buf_z(&why), NULL);
	else if (!str_cut(&rest, '\n', &line) || str_trim(line).n == 0)
		cmd_error(path, "holds no password in its first line", NULL);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	buf_add(out, line);
	mem_wipe(text.p, text.n);
	buf_free(&text);
	buf_free(&why);
	return ok && out->n > 0;
}

static bool
append_user(struct job *j, struct buf *text, struct str password)
{
	uint8_t salt[SCRAM_SALT];
	struct scram s;

	random_bytes(salt, sizeof salt);
	if (!scram_derive(&s, password, (struct str){(const char *)salt, sizeof salt}, SCRAM_ITERATIONS)) {
		cmd_error(j->name, "the password cannot be used: it is longer than 1024 octets", NULL);
		return false;
	}
	if (str_find_str(buf_str(text), STR("#unknown ")) < 0) {
		buf_addz(text, "#unknown ");
		users_new_key(text);
		buf_addc(text, '\n');
	}
	buf_addz(text, j->name);
	buf_addc(text, ':');
	scram_format(text, &s);
	buf_addc(text, '\n');
	return true;
}

/* What the configuration must say for this user: `users FILE` and `user NAME { from ... }`. */
static void
extend_config(struct job *j)
{
	const char *file = j->c->config_file != NULL ? j->c->config_file : "/etc/postern/postern.conf";
	struct buf lines = BUF(8192), why = BUF(512);

	if (j->new_path)
		buf_addf(&lines, "users %s\n", j->path);
	if (j->from.n > 0)
		buf_addf(&lines, "user %s { from %s }\n", j->name, buf_z(&j->from));
	if (lines.n == 0)
		goto out;
	if (file_append(file, buf_str(&lines), &why)) {
		fprintf(stderr, "added to %s:\n%.*s`postern reload` puts it in force.\n", file, (int)lines.n, lines.p);
		goto out;
	}
	fprintf(stderr, "%s: %s\nAdd to the configuration:\n%.*s", file, buf_z(&why), (int)lines.n, lines.p);
out:
	buf_free(&lines);
	buf_free(&why);
}

static void
report_added(struct job *j, struct str password, bool generated)
{
	struct buf out = BUF(8192);
	struct json json = {.out = &out};

	if (j->c->json) {
		json_open(&json, NULL, '{');
		json_str(&json, "user", str_of(j->name));
		json_str(&json, "file", str_of(j->path));
		if (generated)
			json_str(&json, "password", password);
		json_close(&json, '}');
		puts(buf_z(&out));
	} else if (generated) {
		printf("user %s, password %.*s\nIt is shown this once; the file keeps only a verifier.\n", j->name,
		    (int)password.n, password.p);
	} else {
		printf("user %s is in %s\n", j->name, j->path);
	}
	buf_free(&out);
}

static bool
has_block(const struct config *c, struct str name)
{
	for (size_t i = 0; i < c->n_user; i++)
		if (str_eq(c->user[i].name, name))
			return true;
	return false;
}

static void
take_patterns(struct job *j)
{
	const char *pattern;

	buf_init(&j->from, 4096);
	while ((pattern = cmd_option(j->c, "from")) != NULL) {
		if (j->from.n > 0)
			buf_addc(&j->from, ' ');
		buf_addz(&j->from, pattern);
	}
}

static int
add(struct job *j)
{
	const char *password_file = cmd_option(j->c, "password-file");
	struct buf text = BUF(FILE_LIMIT), password = BUF(2048);
	bool had;
	int code = CMD_FAILED;

	take_patterns(j);
	j->name = cmd_word(j->c);
	if (j->name == NULL || !is_name(str_of(j->name)))
		return cmd_usage(j->c, "a user name has no blanks, no colon and no # in front");
	if (!cmd_end(j->c))
		return CMD_USAGE;
	if (j->from.n > 0 && has_block(j->config, str_of(j->name))) {
		cmd_error(j->name, "has a `user` block in the configuration already", "change its `from` there");
		return CMD_FAILED;
	}
	if (password_file == NULL)
		make_password(&password);
	else if (!read_password(password_file, &password))
		goto out;
	copy_without(buf_str(&j->text), str_of(j->name), &text, &had);
	if (!append_user(j, &text, buf_str(&password)) || !write_users(j, buf_str(&text)))
		goto out;
	report_added(j, buf_str(&password), password_file == NULL);
	extend_config(j);
	code = CMD_OK;
out:
	mem_wipe(password.p, password.n);
	buf_free(&password);
	buf_free(&text);
	return code;
}

static struct str
patterns_of(const struct config *c, struct str name, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < c->n_user; i++) {
		if (!str_eq(c->user[i].name, name))
			continue;
		for (size_t k = 0; k < c->user[i].from.n; k++) {
			if (out->n > 0)
				buf_addc(out, ' ');
			buf_add(out, c->user[i].from.v[k]);
		}
	}
	return buf_str(out);
}

static int
list(struct job *j)
{
	struct buf from = BUF(65536), line_out = BUF(65536);
	struct str rest = buf_str(&j->text), line;
	struct json json = {.out = &line_out};

	if (!cmd_end(j->c))
		return CMD_USAGE;
	while (str_cut(&rest, '\n', &line)) {
		struct str name = name_of(line);

		if (name.n == 0)
			continue;
		patterns_of(j->config, name, &from);
		buf_clear(&line_out);
		json.comma = false;
		if (j->c->json) {
			json_open(&json, NULL, '{');
			json_str(&json, "user", name);
			json_str(&json, "from", buf_str(&from));
			json_close(&json, '}');
		} else {
			buf_addf(&line_out, "%-24.*s  %s", (int)name.n, name.p, from.n > 0 ? buf_z(&from) : "(all of `domains`)");
		}
		puts(buf_z(&line_out));
	}
	buf_free(&from);
	buf_free(&line_out);
	return CMD_OK;
}

static int
rm(struct job *j)
{
	struct buf text = BUF(FILE_LIMIT);
	bool had;
	int code;

	j->name = cmd_word(j->c);
	if (j->name == NULL)
		return cmd_usage(j->c, "which user?");
	if (!cmd_end(j->c))
		return CMD_USAGE;
	copy_without(buf_str(&j->text), str_of(j->name), &text, &had);
	if (!had) {
		cmd_error(j->name, "is not in the users file", NULL);
		code = CMD_NOTHING;
	} else {
		code = write_users(j, buf_str(&text)) ? CMD_OK : CMD_FAILED;
	}
	buf_free(&text);
	return code;
}

int
cmd_user(struct cmd *c)
{
	static const struct {
		const char *verb;
		int (*run)(struct job *j);
	} verbs[] = {{"add", add}, {"list", list}, {"rm", rm}};
	const char *verb = cmd_word(c);
	struct job j = {.c = c};
	int code = CMD_USAGE;

	if (verb == NULL)
		return cmd_usage(c, "add, list or rm?");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].verb, verb) != 0)
			continue;
		if ((j.config = cmd_load(c)) == NULL)
			return CMD_CONFIG;
		find_path(&j);
		code = read_users(&j) ? verbs[i].run(&j) : CMD_FAILED;
		buf_free(&j.text);
		buf_free(&j.from);
		free(j.path);
		config_unref(j.config);
		return code;
	}
	return cmd_usage(c, "add, list or rm?");
}
