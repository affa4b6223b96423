/* SPDX-License-Identifier: ISC */
#include "lib/proc/config.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

#define DEFAULT_FILE "/etc/postern/postern.conf"

static struct full *
full_of(const struct config *c)
{
	return (struct full *)((uintptr_t)c - offsetof(struct full, c));
}

void
conf_tree_unref(struct tree *t)
{
	if (t == NULL || --t->users > 0)
		return;
	conf_watch_clear(t);
	arena_free(&t->arena);
	free(t);
}

static void
begin(struct maker *m, struct tree *tree)
{
	*m = (struct maker){.tree = tree};
	m->full = mem_zero(sizeof *m->full);
	m->full->tree = tree;
	m->full->origins = arena_zero(&m->full->arena, conf_n_rows * sizeof *m->full->origins);
	m->c = &m->full->c;
	m->c->users = 1;
	m->c->generation = 1;
	tree->users++;
}

/* Directives are known: values, files, checks, report. NULL after an error. */
static struct config *
finish(struct maker *m, struct buf *report)
{
	struct config *c = m->c;

	conf_apply(m);
	conf_check(m);
	if (report != NULL)
		conf_report(m, report);
	hash_free(&m->seen);
	arena_free(&m->scratch);
	if (m->errors == 0)
		return c;
	config_unref(c);
	return NULL;
}

static bool
is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value != NULL && *value != '\0';
}

/* All there is to read, and what came of it. `m` has its tree. */
static struct config *
load(struct maker *m, const char *file, struct buf *report)
{
	struct word path = {.text = str_of(file)};

	if (file == NULL && !is_set("POSTERN_CONFIG") && !is_set("POSTERN_CONFIG_FILE") &&
	    access(DEFAULT_FILE, F_OK) == 0)
		path.text = STR(DEFAULT_FILE);
	if (path.text.n > 0)
		conf_parse_file(m, &path, 0);
	conf_env(m, environ, file != NULL);
	return finish(m, report);
}

struct config *
config_load(const char *file, struct buf *report, unsigned *n_errors, unsigned *n_warnings)
{
	struct tree   *tree = mem_zero(sizeof *tree);
	struct maker   m;
	struct config *c;

	tree->users = 1;
	begin(&m, tree);
	c = load(&m, file, report);
	if (n_errors != NULL)
		*n_errors = m.errors;
	if (n_warnings != NULL)
		*n_warnings = m.warnings;
	conf_tree_unref(tree);
	return c;
}

struct config *
config_look(const char *file, struct buf *report)
{
	struct tree   *tree = mem_zero(sizeof *tree);
	struct maker   m;
	struct config *c;

	tree->users = 1;
	begin(&m, tree);
	m.looks = true;
	c = load(&m, file, report);
	conf_tree_unref(tree);
	return c;
}

struct config *
config_refresh(const struct config *c, struct buf *report)
{
	struct tree   *tree = full_of(c)->tree;
	struct maker   m;
	struct config *next;

	if (tree == NULL || !conf_watch_changed(tree))
		return NULL;
	begin(&m, tree);
	m.c->hostname = conf_copy(&m, c->hostname_origin.file == NULL ? c->hostname : STR_NONE);
	/* The signatures are renewed even if the files are of no use, so that each change is reported once. */
	conf_watch_clear(tree);
	next = finish(&m, report);
	if (next != NULL)
		next->generation = c->generation + 1;
	return next;
}

/* The text lies in the arena, which is ours, and nobody else's until the first reference is given. */
static void
forget(struct str *text)
{
	if (text->n > 0)
		mem_wipe((void *)(uintptr_t)text->p, text->n);
	*text = STR_NONE;
}

void
config_forget_keys(struct config *c)
{
	full_of(c)->forgotten = true;
	for (size_t i = 0; i < c->n_tls; i++)
		forget(&c->tls[i].key_pem);
	for (size_t i = 0; i < c->n_dkim; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys; k++)
			forget(&c->dkim[i].keys[k].pem);
}

struct config *
config_ref(struct config *c)
{
	c->users++;
	return c;
}

void
config_unref(struct config *c)
{
	struct full *f;

	if (c == NULL || --c->users > 0)
		return;
	f = full_of(c);
	conf_tree_unref(f->tree);
	arena_free(&f->arena);
	free(f);
}

bool
config_is_capture(const struct config *c)
{
	return c->domains.n == 0;
}

/* The domain without its first label; empty if there was but one, or if it is a literal. */
static struct str
parent(struct str domain)
{
	ptrdiff_t dot = str_starts(domain, STR("[")) ? -1 : str_find(domain, '.');

	return dot < 0 ? STR_NONE : str_skip(domain, (size_t)dot + 1);
}

const struct dkim_conf *
config_find_dkim(const struct config *c, struct str domain)
{
	for (; c->dkim_sign && domain.n > 0; domain = parent(domain))
		for (size_t i = 0; i < c->n_dkim; i++)
			if (c->dkim[i].n_keys > 0 && str_eq(c->dkim[i].domain, domain))
				return &c->dkim[i];
	return NULL;
}

const char *
config_directive(size_t i)
{
	return conf_row_name(conf_rows, i);
}

const char *
config_help(const char *name)
{
	const struct row *row = conf_row_find(conf_rows, str_of(name));

	return row == NULL ? NULL : row->help;
}

bool
config_needs_restart(const char *name)
{
	const struct row *row = conf_row_find(conf_rows, str_of(name));

	return row != NULL && (row->flags & ROW_RESTART) != 0;
}
