/* SPDX-License-Identifier: ISC */
/* config_parse - directives of a text, and the files it includes. */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/proc/config_lex.h"
#include "lib/util/mem.h"

enum { QUOTE_MAX = 160 }; /* octets of a directive that replies and logs quote */

struct parser {
	struct maker        *m;
	struct lexer         lex;
	const struct source *source;
	unsigned             depth;
	bool                 in, in_block; /* a directive, a block */
	bool                 fresh;
	struct node          node;
	size_t               start, end; /* of the directive in the text */
	struct place         opened;
};

struct source *
conf_source(struct tree *t, const char *name, struct str text)
{
	struct source *s = arena_zero(&t->arena, sizeof *s);

	s->name = arena_z(&t->arena, str_of(name));
	s->text = arena_str(&t->arena, text);
	t->sources = arena_more(&t->arena, t->sources, t->n_sources, sizeof *t->sources);
	t->sources[t->n_sources++] = s;
	return s;
}

/* Relative paths start at the folder of `path`, or (NULL) where we stand. */
void
conf_source_dir(struct tree *t, struct source *s, const char *path)
{
	char      *whole = path == NULL ? getcwd(NULL, 0) : realpath(path, NULL);
	ptrdiff_t  slash;
	struct str dir = str_of(whole);

	if (path != NULL && (slash = str_rfind(dir, '/')) >= 0)
		dir.n = (size_t)slash;
	s->dir = arena_str(&t->arena, dir);
	free(whole);
}

/* The directive as written, on one line, without comments. */
static const char *
quote(struct parser *p)
{
	struct str  raw = str_sub(p->source->text, p->start, p->end - p->start);
	struct buf  line = BUF(CONF_WORD_MAX), masked = BUF(2 * CONF_WORD_MAX);
	bool        quoted = false, blank = false;
	const char *z;

	if (p->source->variable != NULL)
		buf_addf(&line, "%s=", p->source->variable);
	for (size_t i = 0; i < raw.n && line.n < QUOTE_MAX; i++) {
		char c = raw.p[i];

		if (!quoted && c == '#' && (i == 0 || strchr(" \t\n", raw.p[i - 1]) != NULL)) {
			while (i + 1 < raw.n && raw.p[i + 1] != '\n')
				i++;
			continue;
		}
		if (c == '"' && (i == 0 || raw.p[i - 1] != '\\'))
			quoted = !quoted;
		if (strchr(" \t\r\n", c) != NULL) {
			blank = true;
			continue;
		}
		if (blank && line.n > 0)
			buf_addc(&line, ' ');
		blank = false;
		buf_addc(&line, c);
	}
	conf_mask(&masked, buf_str(&line));
	z = arena_z(&p->m->tree->arena, buf_str(&masked));
	if (line.p != NULL)
		mem_wipe(line.p, line.cap);
	buf_free(&line);
	buf_free(&masked);
	return z;
}

/* Somebody else's syntax or word, or a slip of the finger. */
static void
unknown(struct maker *m, const struct word *key)
{
	ptrdiff_t   equals = str_find(key->text, '=');
	const char *near = conf_nearest(key->text, conf_row_name, conf_rows);
	const char *ours = conf_foreign(key->text, 0);

	if (equals > 0 || str_ends(key->text, STR(":"))) {
		struct str name = equals > 0 ? str_sub(key->text, 0, (size_t)equals)
		                             : str_sub(key->text, 0, key->text.n - 1);

		conf_problem(m, CONF_ERROR, key->at, "\"%.*s\" is no directive", S(name));
		if (conf_row_find(conf_rows, name) != NULL)
			conf_hint(m, "write a blank between keyword and value: \"%.*s VALUE\"",
			          S(name));
		return;
	}
	conf_problem(m, CONF_ERROR, key->at, "unknown directive \"%.*s\"", S(key->text));
	if (ours == NULL && near == NULL)
		ours = conf_foreign(key->text, 2);
	if (ours != NULL)
		conf_hint(m, "here this is \"%s\"", ours);
	else if (near != NULL)
		conf_hint(m, "did you mean \"%s\"?", near);
}

/* A pattern may match nothing, as an empty conf.d does; a plain name must be there (GLOB_NOMAGIC). */
static void
include_match(struct parser *p, const struct word *w, const char *pattern)
{
	glob_t g = {0};
	int    error = glob(pattern, GLOB_NOMAGIC, NULL, &g);

	for (size_t i = 0; error == 0 && i < g.gl_pathc; i++) {
		struct word found = {.text = str_of(g.gl_pathv[i]), .at = w->at};

		conf_parse_file(p->m, &found, p->depth + 1);
	}
	if (error != 0 && error != GLOB_NOMATCH)
		conf_problem(p->m, CONF_ERROR, w->at, "cannot look for %s", pattern);
	globfree(&g);
}

static void
include(struct parser *p)
{
	struct node *n = &p->node;

	if (n->n == 0 || n->block < n->n)
		conf_problem(p->m, CONF_ERROR, n->key.at, "\"include\" needs names of files");
	for (size_t i = 0; i < n->n; i++) {
		p->m->node = n;
		include_match(p, &n->words[i], conf_path(p->m, &n->words[i]).p);
	}
	p->m->node = NULL;
}

/* The directive is complete: keep it, or do it if it is an include. */
static void
finish(struct parser *p)
{
	struct tree *t = p->m->tree;
	struct node *n = &p->node;

	p->in = p->in_block = false;
	if (str_eq(n->key.text, STR("{"))) /* its problem has been told */
		return;
	if (p->opened.source == NULL)
		n->block = n->n;
	if (p->lex.mode != LEX_CARRIED) /* there it comes with "@" */
		n->origin = (struct origin){p->source->name, n->key.at.line, n->key.at.column,
		                            quote(p)};
	if (p->source->variable != NULL)
		n->origin.line = n->origin.column = 0;
	if (p->lex.mode == LEX_FILE && str_eq(n->key.text, STR("include"))) {
		include(p);
		return;
	}
	if (n->row == NULL)
		n->row = conf_row_find(conf_rows, n->key.text);
	if (n->row == NULL && !(p->lex.mode == LEX_CARRIED && str_eq(n->key.text, STR("@")))) {
		unknown(p->m, &n->key);
		return;
	}
	t->nodes = arena_more(&t->arena, t->nodes, t->n_nodes, sizeof *t->nodes);
	t->nodes[t->n_nodes++] = *n;
}

static void
begin(struct parser *p, const struct word *key, size_t start)
{
	p->node = (struct node){.key = *key};
	p->start = start;
	p->end = p->lex.at;
	p->opened = (struct place){0};
	p->in = true;
	p->in_block = p->fresh = false;
}

static void
take_word(struct parser *p, struct word *w)
{
	struct node *n = &p->node;

	w->fresh = p->fresh;
	p->fresh = false;
	n->words = arena_more(&p->m->tree->arena, n->words, n->n, sizeof *n->words);
	n->words[n->n++] = *w;
	p->end = p->lex.at;
}

static void
open_block(struct parser *p, const struct word *w)
{
	if (!p->in) {
		conf_problem(p->m, CONF_ERROR, w->at,
		             "\"{\" without a directive before it on this line");
		begin(p, w, p->lex.start); /* so that what is inside is not taken for directives */
		p->node.key.text = STR("{");
	} else if (p->in_block) {
		conf_problem(p->m, CONF_ERROR, w->at, "blocks do not stand inside blocks");
		return;
	}
	p->in_block = p->fresh = true;
	p->opened = w->at;
	p->node.block = p->node.n;
}

static void
close_block(struct parser *p, const struct word *w)
{
	if (!p->in_block) {
		conf_problem(p->m, CONF_ERROR, w->at, "\"}\" without \"{\"");
		return;
	}
	p->end = p->lex.at;
	finish(p);
}

/* All tokens. `row` is the directive of a variable's value, or NULL. */
static void
run(struct parser *p, const struct row *row)
{
	struct word w, key = {0};

	for (;;) {
		unsigned   errors = p->m->errors;
		enum token t = lexer_next(&p->lex, &w);
		bool       broken = p->m->errors > errors;

		p->node.broken = (p->in && p->node.broken) || broken;
		if (row != NULL && !p->in && (t == TOKEN_WORD || t == TOKEN_OPEN)) {
			key = (struct word){.text = str_of(row->name), .at = w.at};
			begin(p, &key, p->lex.start);
			p->node.row = row;
			p->node.from_env = true;
		}
		if (t == TOKEN_WORD && p->in) {
			take_word(p, &w);
		} else if (t == TOKEN_WORD) {
			begin(p, &w, p->lex.start);
		} else if (t == TOKEN_OPEN) {
			open_block(p, &w);
		} else if (t == TOKEN_CLOSE) {
			close_block(p, &w);
		} else if (p->in_block && t == TOKEN_END) {
			p->fresh = true;
		} else if (p->in &&
		           (t == TOKEN_EOF || row == NULL || (row->flags & ROW_REPEAT) != 0)) {
			if (p->in_block)
				conf_problem(p->m, CONF_ERROR, p->opened,
				             "this block is never closed");
			p->node.broken = p->node.broken || p->in_block;
			finish(p);
		}
		if (t == TOKEN_EOF)
			return;
		p->node.broken = p->node.broken || broken; /* a word that began it */
	}
}

void
conf_parse(struct maker *m, const struct source *s, enum lex_mode mode, unsigned depth)
{
	struct parser p = {.m = m, .source = s, .depth = depth};

	lexer_init(&p.lex, m, s, mode);
	run(&p, NULL);
	lexer_free(&p.lex);
}

void
conf_parse_value(struct maker *m, const struct source *s, const struct row *row)
{
	struct parser p = {.m = m, .source = s};

	lexer_init(&p.lex, m, s, LEX_ENV);
	run(&p, row);
	lexer_free(&p.lex);
}

void
conf_parse_file(struct maker *m, const struct word *path, unsigned depth)
{
	struct file    f;
	struct source *s;

	if (depth > CONF_INCLUDE_DEPTH || m->tree->n_sources >= CONF_SOURCES_MAX) {
		conf_problem(m, CONF_ERROR, path->at, "%.*s: too many files include each other",
		             S(path->text));
		return;
	}
	if (!conf_file(m, FILE_CONFIG, path, &f))
		return;
	s = conf_source(m->tree, path->text.p, f.text);
	conf_source_dir(m->tree, s, path->text.p);
	s->open_to_others = (f.mode & (S_IRGRP | S_IROTH)) != 0;
	conf_parse(m, s, LEX_FILE, depth);
}
