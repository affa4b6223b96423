/* SPDX-License-Identifier: ISC */
/* config_env - POSTERN_X for each directive x, POSTERN_X_FILE for a file with its value. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/proc/config_private.h"

#define PREFIX "POSTERN_"

enum { VARIABLE_MAX = 64 };

/* "max-size" as a variable's name. */
static void
put_variable(struct buf *out, const char *name)
{
	buf_addz(out, PREFIX);
	for (; *name != '\0'; name++)
		buf_addc(out, *name == '-'
		                      ? '_'
		                      : (char)(*name - (*name >= 'a' && *name <= 'z' ? 32 : 0)));
}

static bool
is_variable(struct str variable, const char *name)
{
	struct buf b = BUF(VARIABLE_MAX);
	bool       yes;

	put_variable(&b, name);
	yes = str_eq(variable, buf_str(&b));
	buf_free(&b);
	return yes;
}

static const struct row *
find(struct str variable)
{
	for (const struct row *r = conf_rows; r->name != NULL; r++)
		if (is_variable(variable, r->name))
			return r;
	return NULL;
}

/* The text of the variable `name`, which is either its value or in the file that it names. */
static struct source *
source_of(struct maker *m, struct str name, const char *value, bool in_file)
{
	struct buf     b = BUF(2 * VARIABLE_MAX);
	struct source *s;
	struct file    f;
	struct word    path = {.text = str_of(value)};

	buf_addz(&b, "env ");
	buf_add(&b, name);
	s = conf_source(m->tree, buf_z(&b), path.text);
	buf_free(&b);
	s->variable = arena_z(&m->tree->arena, name);
	conf_source_dir(m->tree, s, NULL);
	if (!in_file)
		return s;
	path.at = (struct place){s, 1, 1, (unsigned)path.text.n};
	if (path.text.n == 0 || path.text.p[0] != '/') {
		conf_problem(m, CONF_ERROR, path.at, "%s needs the full path of a file",
		             s->variable);
		return NULL;
	}
	if (!conf_file(m, FILE_CONFIG, &path, &f))
		return NULL;
	s = conf_source(m->tree, value, f.text);
	s->open_to_others = (f.mode & (S_IRGRP | S_IROTH)) != 0;
	conf_source_dir(m->tree, s, NULL);
	return s;
}

static const char *
variable_name(const void *arena, size_t i)
{
	struct arena *a = (struct arena *)(uintptr_t)arena;
	struct buf    b = BUF(VARIABLE_MAX);
	const char   *z;

	if (i >= conf_n_rows)
		return NULL;
	put_variable(&b, conf_rows[i].name);
	z = arena_z(a, buf_str(&b));
	buf_free(&b);
	return z;
}

/* The value is not shown: it may be a secret under a mistyped name. */
static void
unknown(struct maker *m, struct str name)
{
	struct source *s = source_of(m, name, "", false);
	struct place   at = {s, 1, 1, 1};
	const char    *near, *ours;
	struct str     tail = str_skip(name, strlen(PREFIX));
	const char    *twin = "";

	if (str_ends(tail, STR("_FILE"))) {
		twin = "_FILE";
		tail.n -= 5;
	}
	conf_problem(m, CONF_ERROR, at, "unknown variable %.*s", S(name));
	ours = conf_foreign(tail, 0);
	near = conf_nearest(str_sub(name, 0, strlen(PREFIX) + tail.n), variable_name, &m->scratch);
	if (ours != NULL && strchr(ours, ' ') == NULL) {
		struct buf b = BUF(VARIABLE_MAX);

		put_variable(&b, ours);
		conf_hint(m, "here this is %s%s", buf_z(&b), twin);
		buf_free(&b);
	} else if (near != NULL) {
		conf_hint(m, "did you mean %s%s?", near, twin);
	}
}

static bool
has_twin(char *const *env, struct str name)
{
	for (; *env != NULL; env++) {
		struct str e = str_of(*env);

		if (str_starts(e, name) && str_starts(str_skip(e, name.n), STR("_FILE=")) &&
		    !str_ends(e, STR("=")))
			return true;
	}
	return false;
}

static void
whole_file(struct maker *m, struct str name, const char *value, bool file_given)
{
	bool           in_file = str_ends(name, STR("_FILE"));
	struct source *s = source_of(m, name, value, in_file);

	if (s == NULL)
		return;
	s->variable = NULL; /* it has lines and columns like a file */
	if (in_file)
		conf_source_dir(m->tree, s, value);
	if (file_given) {
		conf_problem(m, CONF_WARNING, (struct place){s, 1, 1, 1},
		             "%.*s is not used, because a file was named with -c", S(name));
		return;
	}
	conf_parse(m, s, LEX_FILE, 0);
}

static void
one(struct maker *m, char *const *env, const char *entry, bool file_given)
{
	const char       *value = strchr(entry, '=');
	struct str        name, base;
	bool              in_file = false;
	const struct row *r;
	struct source    *s;

	if (value == NULL || strncmp(entry, PREFIX, strlen(PREFIX)) != 0)
		return;
	name = base = (struct str){entry, (size_t)(value++ - entry)};
	if (str_eq(name, STR("POSTERN_CONFIG")) || str_eq(name, STR("POSTERN_CONFIG_FILE"))) {
		if (*value != '\0')
			whole_file(m, name, value, file_given);
		return;
	}
	if ((r = find(name)) == NULL && str_ends(name, STR("_FILE"))) {
		base.n -= 5;
		in_file = true;
		r = find(base);
	}
	if (r == NULL) {
		unknown(m, name);
		return;
	}
	if (*value == '\0') /* not set: compose files and unit files leave such behind */
		return;
	if ((s = source_of(m, name, value, in_file)) == NULL)
		return;
	if (!in_file && has_twin(env, name))
		conf_problem(m, CONF_ERROR, (struct place){s, 1, 1, 1},
		             "both %.*s and %.*s_FILE are set", S(name), S(name));
	conf_parse_value(m, s, r);
}

void
conf_env(struct maker *m, char *const *env, bool file_given)
{
	for (char *const *e = env; *e != NULL; e++)
		one(m, env, *e, file_given);
}
