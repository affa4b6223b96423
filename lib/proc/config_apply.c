/* SPDX-License-Identifier: ISC */
/* config_apply - nodes put into the struct by the table: environment over file over default. */
#include <netdb.h>
#include <string.h>
#include <sys/utsname.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

/* ---- places and origins ---- */

struct origin
conf_origin(struct maker *m, const struct word *w)
{
	struct origin o = m->node->origin;

	if (o.file == NULL)
		return o;
	o.file = conf_copy(m, str_of(o.file)).p;
	o.text = conf_copy(m, str_of(o.text)).p;
	if (m->carried || w == NULL)
		return o;
	if (o.line > 0)
		o.line = w->at.line;
	o.column = w->at.column;
	return o;
}

struct place
conf_place(const struct maker *m, const struct origin *o)
{
	struct place p = {0};
	struct str   text, line = STR_NONE;

	for (size_t i = 0; o->file != NULL && i < m->tree->n_sources && p.source == NULL; i++)
		if (strcmp(m->tree->sources[i]->name, o->file) == 0)
			p.source = m->tree->sources[i];
	if (p.source == NULL)
		return p;
	p.line = o->line == 0 ? 1 : o->line;
	p.column = o->column == 0 ? 1 : o->column;
	text = p.source->text;
	for (unsigned i = 0; i < p.line; i++)
		if (!str_cut(&text, '\n', &line))
			line = STR_NONE;
	for (size_t i = p.column - 1; i < line.n && strchr(" \t\r;{}", line.p[i]) == NULL; i++)
		p.length++;
	return p;
}

/* ---- blocks ---- */

size_t
conf_head(const struct node *n, const struct row *rows, size_t least)
{
	size_t i = 0;

	while (i < n->block &&
	       (i < least || n->words[i].quoted || conf_row_find(rows, n->words[i].text) == NULL))
		i++;
	return i;
}

/* Index behind the values of the keyword at `i`. */
static size_t
values_end(const struct node *n, const struct row *rows, const struct row *row, size_t i)
{
	size_t end = i + 1;

	while (end < n->n && !n->words[end].fresh) {
		size_t have = end - i - 1;
		bool   keyword = !n->words[end].quoted &&
		               conf_row_find(rows, n->words[end].text) != NULL;

		if ((keyword && have >= row->least) || (row->most > 0 && have == row->most) ||
		    (row->flags & ROW_ALONE) != 0)
			break;
		end++;
	}
	return end;
}

/* Told once, then on to the next thing that can be understood, so that the rest is judged too. */
static size_t
unknown_word(struct maker *m, const struct row *rows, size_t i)
{
	const struct node *n = m->node;
	const struct word *w = &n->words[i];
	const char        *near = conf_nearest(w->text, conf_row_name, rows);
	struct buf         all = BUF(1024);

	conf_problem(m, CONF_ERROR, w->at, "unknown word \"%.*s\" in \"%.*s\"", S(w->text),
	             S(n->key.text));
	for (const struct row *r = rows; r->name != NULL; r++)
		buf_addf(&all, "%s%s", r == rows ? "" : ", ", r->name);
	if (near != NULL)
		conf_hint(m, "did you mean \"%s\"?", near);
	else
		conf_hint(m, "known here: %s", buf_z(&all));
	buf_free(&all);
	for (i++; i < n->n && !n->words[i].fresh; i++)
		if (!n->words[i].quoted && conf_row_find(rows, n->words[i].text) != NULL)
			break;
	return i;
}

void
conf_statements(struct maker *m, const struct row *rows, void *base, size_t from)
{
	const struct node *n = m->node;
	uint64_t           seen = 0;
	size_t             i = from, end;

	while (i < n->n) {
		const struct word *key = &n->words[i];
		const struct row  *row = key->quoted ? NULL : conf_row_find(rows, key->text);

		if (row == NULL) {
			i = unknown_word(m, rows, i);
			continue;
		}
		end = values_end(n, rows, row, i);
		if ((seen & UINT64_C(1) << (row - rows)) != 0 && (row->flags & ROW_REPEAT) == 0)
			conf_problem(m, CONF_ERROR, key->at, "\"%s\" stands here twice", row->name);
		else if (end - i - 1 < row->least)
			conf_problem(m, CONF_ERROR, key->at, "\"%s\" needs %s", row->name,
			             row->least == 1 ? "a value" : "more values");
		else
			row->kind->parse(m, row, base, n->words + i + 1, end - i - 1);
		seen |= UINT64_C(1) << (row - rows);
		i = end;
	}
}

/* The values of `text`, as words without a place in any file. */
static struct word *
default_words(struct maker *m, const char *text, size_t *n)
{
	struct str   rest = str_of(text), piece;
	struct word *words = NULL;

	for (*n = 0; (piece = str_word(&rest)).n > 0; (*n)++) {
		words = arena_more(&m->scratch, words, *n, sizeof *words);
		words[*n].text = arena_str(&m->scratch, piece);
	}
	return words;
}

void
conf_block_defaults(struct maker *m, const struct row *rows, void *base)
{
	for (const struct row *r = rows; r->name != NULL; r++) {
		size_t       n;
		struct word *words;

		if (r->def == NULL)
			continue;
		words = default_words(m, r->def, &n);
		r->kind->parse(m, r, base, words, n);
	}
}

void
conf_put_block(struct view *v, const struct row *rows, const void *base)
{
	bool open = false;

	for (const struct row *r = rows; r->name != NULL; r++) {
		for (size_t i = 0;; i++) {
			size_t before = v->out->n;

			if (!open)
				buf_addz(v->out, " {");
			buf_addf(v->out, " %s", r->name);
			if (!r->kind->format(v, r, base, i)) {
				buf_truncate(v->out, before);
				break;
			}
			open = true;
		}
	}
	if (open)
		buf_addz(v->out, " }");
}

/* The one directive that is a block and nothing else: each of its rows has its own default. */
static void
parse_outbound(struct maker *m, const struct row *row, void *base UNUSED, struct word *words UNUSED,
               size_t n UNUSED)
{
	if (!m->carried)
		conf_block_defaults(m, row->block, &m->c->outbound);
	conf_statements(m, row->block, &m->c->outbound, 0);
}

static bool
format_outbound(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0)
		conf_put_block(v, row->block, &((const struct config *)base)->outbound);
	return i == 0;
}

const struct kind kind_outbound = {parse_outbound, format_outbound};

/* ---- directives ---- */

/* Whether the words of `n` are as many as the row wants, and braces only where there is a block. */
static bool
shape(struct maker *m, const struct row *row, const struct node *n)
{
	size_t head = row->block != NULL ? conf_head(n, row->block, row->least) : n->block;

	if (n->n > 0 && str_eq(n->words[0].text, STR("=")) && !n->words[0].quoted) {
		conf_problem(m, CONF_ERROR, n->words[0].at, "no \"=\" between keyword and value");
		conf_hint(m, "write \"%s VALUE\"", row->name);
		return false;
	}
	if (head < row->least) {
		conf_problem(m, CONF_ERROR, n->key.at, "\"%s\" needs a value", row->name);
		if (row->help != NULL)
			conf_hint(m, "%s", row->help);
		return false;
	}
	if (row->block == NULL && n->block < n->n) {
		conf_problem(m, CONF_ERROR, n->words[n->block].at, "\"%s\" takes no block",
		             row->name);
		return false;
	}
	if (row->block == NULL && row->most > 0 && n->n > row->most && !m->carried) {
		conf_problem(m, CONF_ERROR, n->words[row->most].at, "\"%s\" takes %s", row->name,
		             row->most == 1 ? "one value" : "fewer values");
		return false;
	}
	return true;
}

static void
set_twice(struct maker *m, const struct row *row, const struct node *n, const struct origin *before)
{
	if (str_eq(str_of(before->file), str_of(n->origin.file)))
		conf_problem(m, CONF_ERROR, n->key.at, "\"%s\" is set already on line %u",
		             row->name, before->line);
	else
		conf_problem(m, CONF_ERROR, n->key.at, "\"%s\" is set already in %s:%u", row->name,
		             before->file, before->line);
}

static void
apply(struct maker *m, const struct row *row, const struct node *n, bool again)
{
	struct origin *o = &m->full->origins[row - conf_rows];

	m->node = n;
	if (again && (row->flags & ROW_REPEAT) == 0) {
		set_twice(m, row, n, o);
	} else if (shape(m, row, n)) {
		if (o->file == NULL)
			*o = conf_origin(m, n->n > 0 ? &n->words[0] : &n->key);
		row->kind->parse(m, row, m->c, n->words, n->n);
	}
	m->node = NULL;
}

/* Defaults go the way of written values, so that they are limited and shown alike. */
static void
apply_default(struct maker *m, const struct row *row)
{
	struct node n = {.row = row};

	if (row->def == NULL)
		return;
	n.words = default_words(m, row->def, &n.n);
	n.block = n.n;
	m->node = &n;
	row->kind->parse(m, row, m->c, n.words, n.n);
	m->node = NULL;
}

bool
conf_from_env(const struct tree *t, const struct row *row)
{
	for (size_t i = 0; i < t->n_nodes; i++)
		if (t->nodes[i].row == row && t->nodes[i].from_env)
			return true;
	return false;
}

/* The environment replaces what files say about a directive, it does not add to it. */
static void
apply_row(struct maker *m, const struct row *row)
{
	struct tree *t = m->tree;
	bool         env = conf_from_env(t, row), any = false;

	for (size_t i = 0; i < t->n_nodes; i++) {
		if (t->nodes[i].row != row || t->nodes[i].from_env != env)
			continue;
		if (!t->nodes[i].broken)
			apply(m, row, &t->nodes[i], any);
		any = true;
	}
	if (!any && !m->carried)
		apply_default(m, row);
}

/* The system's name, with its domain if the system knows one. */
static void
default_hostname(struct maker *m)
{
	struct utsname   u;
	struct addrinfo *found = NULL,
			want = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
	struct buf  b = BUF(1024);
	const char *name = uname(&u) == 0 ? u.nodename : "";

	/* The resolver is only asked when a short name would not do. */
	if (strchr(name, '.') == NULL && m->c->domains.n > 0 &&
	    getaddrinfo(name, NULL, &want, &found) == 0 && found->ai_canonname != NULL &&
	    strchr(found->ai_canonname, '.') != NULL)
		name = found->ai_canonname;
	if (!conf_domain(&b, str_of(name))) {
		buf_clear(&b);
		buf_addz(&b, "localhost");
	}
	m->c->hostname = conf_copy(m, buf_str(&b));
	if (found != NULL)
		freeaddrinfo(found);
	buf_free(&b);
}

static struct origin
origin_of(const struct maker *m, const char *name)
{
	return m->full->origins[conf_row_find(conf_rows, str_of(name)) - conf_rows];
}

void
conf_apply(struct maker *m)
{
	struct config *c = m->c;

	for (const struct row *r = conf_rows; r->name != NULL; r++)
		apply_row(m, r);
	c->hostname_origin = origin_of(m, "hostname");
	c->domains_origin = origin_of(m, "domains");
	c->trust_origin = origin_of(m, "trust");
	if (m->carried)
		return;
	if (c->memory == 0)
		c->memory = conf_memory_default();
	if (c->hostname.n == 0)
		default_hostname(m);
	conf_dkim_found(m);
}
