/* SPDX-License-Identifier: ISC */
/*
 * config_render - the struct as text: for roles to read again, for people to look at.
 *
 * A line "@ FILE LINE COLUMN TEXT" before a directive says where it came from.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

enum { VALUE_MAX = 256 * 1024 };

static const struct full *
full_of(const struct config *c)
{
	return (const struct full *)(const void *)((const char *)c - offsetof(struct full, c));
}

static bool
sees(const struct row *row, enum role_id role)
{
	return role == ROLE_SUPERVISOR || (row->roles & 1U << role) != 0;
}

static void
put_origin(struct buf *out, const struct origin *o)
{
	if (o->file == NULL)
		return;
	buf_addz(out, "@");
	conf_put_word(out, str_of(o->file));
	buf_addf(out, " %u %u", o->line, o->column);
	conf_put_word(out, str_of(o->text));
	buf_addc(out, '\n');
}

static void
render(struct view v, struct buf *out)
{
	for (const struct row *r = conf_rows; r->name != NULL; r++) {
		for (size_t i = 0; sees(r, v.role); i++) {
			struct buf line = SECRET(WIRE_CONFIG_MAX);
			bool       more;

			v.out = &line;
			v.origin = v.full->origins[r - conf_rows];
			buf_addz(&line, r->name);
			more = r->kind->format(&v, r, &v.full->c, i);
			buf_addc(&line, '\n');
			if (more) {
				put_origin(out, &v.origin);
				buf_add(out, buf_str(&line));
			}
			buf_free(&line);
			if (!more)
				break;
		}
	}
}

void
config_render(const struct config *c, enum role_id role, struct buf *out)
{
	struct view v = {.full = full_of(c), .role = role};

	render(v, out);
}

void
config_render_keyd(const struct config *c, struct buf *out, key_file_fn *told, void *arg)
{
	struct view v = {.full = full_of(c), .role = ROLE_KEYD, .told = told, .told_arg = arg};

	render(v, out);
}

/* Every directive gets the origin of the "@" line before it. */
static void
set_origins(struct maker *m)
{
	struct origin next = {0};

	for (size_t i = 0; i < m->tree->n_nodes; i++) {
		struct node *n = &m->tree->nodes[i];
		uint64_t     line, column;

		if (n->row != NULL) {
			n->origin = next;
			next = (struct origin){0};
		} else if (n->n != 4 || !str_number(n->words[1].text, UINT32_MAX, &line) ||
		           !str_number(n->words[2].text, UINT32_MAX, &column)) {
			conf_problem(m, CONF_ERROR, n->key.at, "damaged origin");
		} else {
			next = (struct origin){n->words[0].text.p, (unsigned)line, (unsigned)column,
			                       n->words[3].text.p};
		}
	}
}

struct config *
config_read(struct str rendered, unsigned generation)
{
	struct maker m = {.carried = true};
	bool         ok;

	m.tree = mem_zero(sizeof *m.tree);
	m.tree->users = 1;
	m.full = mem_zero(sizeof *m.full);
	m.full->origins = arena_zero(&m.full->arena, conf_n_rows * sizeof *m.full->origins);
	m.c = &m.full->c;
	m.c->users = 1;
	m.c->generation = generation;
	conf_parse(&m, conf_source(m.tree, "the supervisor", rendered), LEX_CARRIED, 0);
	set_origins(&m);
	conf_apply(&m);
	ok = m.errors == 0;
	conf_tree_unref(m.tree); /* nothing points there: every value was copied */
	hash_free(&m.seen);
	arena_free(&m.scratch);
	if (ok)
		return m.c;
	config_unref(m.c);
	return NULL;
}

static void
put_place(struct buf *out, const struct origin *o)
{
	buf_clear(out);
	buf_addz(out, o->file == NULL ? "default" : o->file);
	if (o->file != NULL && o->line > 0)
		buf_addf(out, ":%u", o->line);
}

void
config_show(const struct config *c,
            void (*row)(void *arg, const char *name, struct str value, struct str origin),
            void *arg)
{
	struct view v = {.full = full_of(c), .role = ROLE_SUPERVISOR, .show = true};
	struct buf  value = BUF(VALUE_MAX), origin = BUF(8192);

	v.out = &value;
	for (const struct row *r = conf_rows; r->name != NULL; r++) {
		for (size_t i = 0;; i++) {
			buf_clear(&value);
			v.origin = v.full->origins[r - conf_rows];
			if (!r->kind->format(&v, r, c, i)) {
				if (i == 0)
					row(arg, r->name, STR_NONE, STR("default"));
				break;
			}
			put_place(&origin, &v.origin);
			row(arg, r->name, str_trim(buf_str(&value)), buf_str(&origin));
		}
	}
	buf_free(&value);
	buf_free(&origin);
}
