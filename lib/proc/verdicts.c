/* SPDX-License-Identifier: ISC */
#include "lib/proc/verdicts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	TEXT_MAX = 512,
	CELL_MAX = 64 * 1024,
	COUNTS_MAX = 128, /* checks */
	LINES_MAX = 4096, /* gates */
	LINE_MAX = 600,
};

static const char *const statuses[] = {"pass", "note", "warn", "fail", "skip"};

enum { N_STATUS = ARRAY_LEN(statuses) };

struct count {
	char     id[32];
	uint64_t n[N_STATUS];
};

/* A line of gates without its last word, and that word. */
struct gate {
	struct link link;
	char       *key;
	char        value[8];
};

struct key {
	struct link link;
	char       *name, *key, *why;
};

struct verdicts {
	struct list  findings, gates, keys;
	struct count counts[COUNTS_MAX];
	size_t       n_counts;
};

struct verdicts *
verdicts_create(void)
{
	struct verdicts *v = mem_zero(sizeof *v);

	list_init(&v->findings);
	list_init(&v->gates);
	list_init(&v->keys);
	return v;
}

static void
finding_free(struct verdict *f)
{
	free((void *)(uintptr_t)f->id);
	free((void *)(uintptr_t)f->subject);
	free((void *)(uintptr_t)f->status);
	free((void *)(uintptr_t)f->why);
	free(f);
}

static void
free_findings(struct list *l)
{
	struct link *k;

	while ((k = list_pop(l)) != NULL)
		finding_free(CONTAINER(k, struct verdict, link));
}

static void
free_gates(struct list *l)
{
	struct link *k;

	while ((k = list_pop(l)) != NULL) {
		struct gate *g = CONTAINER(k, struct gate, link);

		free(g->key);
		free(g);
	}
}

static void
key_free(struct verdicts *v, struct key *k)
{
	list_remove(&v->keys, &k->link);
	free(k->name);
	free(k->key);
	free(k->why);
	free(k);
}

void
verdicts_destroy(struct verdicts *v)
{
	struct key *k;

	if (v == NULL)
		return;
	free_findings(&v->findings);
	free_gates(&v->gates);
	LIST_EACH(&v->keys, k, struct key, link)
		key_free(v, k);
	free(v);
}

static bool
has_beginning(struct str list, struct str id)
{
	struct str word;

	while ((word = str_word(&list)).n > 0)
		if (str_starts(id, word))
			return true;
	return false;
}

bool
checks_include(struct str only, struct str except, struct str id)
{
	return (str_trim(only).n == 0 || has_beginning(only, id)) && !has_beginning(except, id);
}

/* ---- findings ---- */

static char *
copy(struct str s)
{
	return str_dup(str_sub(s, 0, TEXT_MAX));
}

static bool
cell(struct str row, const char *key, struct buf *value)
{
	struct str name;
	bool       number;

	while (control_next_cell(&row, &name, value, &number))
		if (str_eq(name, str_of(key)))
			return true;
	buf_clear(value);
	return false;
}

/* Only the words that a status may have: others come from a doctor that is none. */
static const char *
status_word(struct str s)
{
	for (size_t i = 0; i < N_STATUS; i++)
		if (str_eq(s, str_of(statuses[i])))
			return statuses[i];
	return NULL;
}

static struct verdict *
read_finding(struct str row)
{
	struct buf id = BUF(CELL_MAX), subject = BUF(CELL_MAX), status = BUF(CELL_MAX),
		   why = BUF(CELL_MAX);
	struct verdict *f = NULL;

	if (cell(row, "id", &id) && cell(row, "status", &status) &&
	    status_word(buf_str(&status)) != NULL) {
		(void)cell(row, "subject", &subject);
		(void)cell(row, "why", &why);
		f = mem_zero(sizeof *f);
		f->id = copy(buf_str(&id));
		f->subject = copy(buf_str(&subject));
		f->status = copy(buf_str(&status));
		f->why = copy(buf_str(&why));
		f->since_ms = time_wall_ms();
	}
	buf_free(&id);
	buf_free(&subject);
	buf_free(&status);
	buf_free(&why);
	return f;
}

static void
read_count(struct verdicts *v, struct str row)
{
	struct buf    text = BUF(CELL_MAX);
	struct count *c;
	uint64_t      n;

	if (v->n_counts < COUNTS_MAX && cell(row, "id", &text) && text.n < sizeof c->id) {
		c = &v->counts[v->n_counts++];
		*c = (struct count){{0}, {0}};
		memcpy(c->id, buf_z(&text), text.n);
		for (size_t i = 0; i < N_STATUS; i++)
			if (cell(row, statuses[i], &text) &&
			    str_number(buf_str(&text), UINT32_MAX, &n))
				c->n[i] = n;
	}
	buf_free(&text);
}

static void
drop_counts(struct verdicts *v, const struct wire_examine *asked)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n_counts; i++)
		if (!checks_include(asked->only, asked->except, str_of(v->counts[i].id)))
			v->counts[n++] = v->counts[i];
	v->n_counts = n;
}

static struct verdict *
find(const struct list *l, const struct verdict *as)
{
	struct verdict *f;

	LIST_EACH(l, f, struct verdict, link)
		if (strcmp(f->id, as->id) == 0 && strcmp(f->subject, as->subject) == 0)
			return f;
	return NULL;
}

static bool
is(const struct verdict *f, const char *status)
{
	return strcmp(f->status, status) == 0;
}

static void
keep(struct list *kept, struct list *from, struct verdict *f)
{
	list_remove(from, &f->link);
	if (kept->n < VERDICTS_MAX)
		list_push(kept, &f->link);
	else
		finding_free(f);
}

static void
take_one(struct verdicts *v, struct list *fresh, struct list *kept, struct verdict *f,
         void (*changed)(const struct verdict *now, const char *was))
{
	struct verdict *old = find(&v->findings, f);

	if (is(f, "skip")) {
		if (old != NULL)
			keep(kept, &v->findings, old);
		return;
	}
	if (is(f, "pass"))
		return;
	if (old == NULL || !is(old, f->status))
		changed(f, old != NULL ? old->status : "");
	else
		f->since_ms = old->since_ms;
	if (old != NULL) {
		list_remove(&v->findings, &old->link);
		finding_free(old);
	}
	keep(kept, fresh, f);
}

/* What is left of the old findings is of other checks, or has passed. */
static void
take_rest(struct verdicts *v, const struct wire_examine *asked, struct list *kept,
          void (*changed)(const struct verdict *now, const char *was))
{
	struct verdict *old;

	LIST_EACH(&v->findings, old, struct verdict, link) {
		if (checks_include(asked->only, asked->except, str_of(old->id))) {
			struct verdict gone = {.id = old->id,
			                       .subject = old->subject,
			                       .status = "pass",
			                       .why = ""};

			changed(&gone, old->status);
		} else {
			keep(kept, &v->findings, old);
		}
	}
}

static void
move_all(struct list *from, struct list *to)
{
	struct link *k;

	while ((k = list_pop(from)) != NULL)
		list_push(to, k);
}

static void
take_findings(struct verdicts *v, const struct wire_examine *asked, struct str rows,
              void (*changed)(const struct verdict *now, const char *was))
{
	struct list     fresh, kept;
	struct buf      kind = BUF(CELL_MAX);
	struct str      row;
	struct verdict *f;

	list_init(&fresh);
	list_init(&kept);
	drop_counts(v, asked);
	while (str_cut(&rows, '\n', &row)) {
		if (!cell(row, "kind", &kind))
			continue;
		if (str_eq(buf_str(&kind), STR("count")))
			read_count(v, row);
		else if (fresh.n < VERDICTS_MAX && (f = read_finding(row)) != NULL)
			list_push(&fresh, &f->link);
	}
	LIST_EACH(&fresh, f, struct verdict, link)
		take_one(v, &fresh, &kept, f, changed);
	take_rest(v, asked, &kept, changed);
	free_findings(&fresh);
	free_findings(&v->findings);
	move_all(&kept, &v->findings);
	buf_free(&kind);
}

/* ---- gates ---- */

/* Octets from `least` on, so that no word ends a line or a string of ours. */
static bool
is_plain(struct str s, unsigned char least)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < least || s.p[i] == 127)
			return false;
	return true;
}

static struct gate *
find_gate(const struct list *l, struct str key)
{
	struct gate *g;

	LIST_EACH(l, g, struct gate, link)
		if (str_eq(key, str_of(g->key)))
			return g;
	return NULL;
}

/* "spf 4 shop.example" and "fail". */
static bool
split_gate(struct str line, struct str *key, struct str *value)
{
	size_t n = line.n;

	while (n > 0 && line.p[n - 1] != ' ')
		n--;
	if (n < 2 || line.n > LINE_MAX || !is_plain(line, ' '))
		return false;
	*key = str_sub(line, 0, n - 1);
	*value = str_skip(line, n);
	return status_word(*value) != NULL;
}

static void
put_gate(struct list *l, struct str key, struct str value)
{
	struct gate *g;

	if (l->n >= LINES_MAX)
		return;
	g = mem_zero(sizeof *g);
	g->key = str_dup(key);
	memcpy(g->value, value.p, value.n);
	list_push(l, &g->link);
}

/* A whole exam says which gates there are; a partial one changes those that it has looked at. */
static void
take_gates(struct verdicts *v, bool whole, struct str text)
{
	struct list fresh;
	struct str  line, key, value;

	list_init(&fresh);
	while (str_cut(&text, '\n', &line)) {
		struct gate *old;

		if (!split_gate(line, &key, &value))
			continue;
		old = find_gate(&v->gates, key);
		if (old != NULL && str_eq(value, STR("skip")))
			value = str_of(old->value);
		put_gate(&fresh, key, value);
	}
	if (!whole) {
		struct gate *old;

		LIST_EACH(&v->gates, old, struct gate, link)
			if (find_gate(&fresh, str_of(old->key)) == NULL)
				put_gate(&fresh, str_of(old->key), str_of(old->value));
	}
	free_gates(&v->gates);
	move_all(&fresh, &v->gates);
}

void
verdicts_take(struct verdicts *v, const struct wire_examine *asked,
              const struct wire_findings *found,
              void (*changed)(const struct verdict *now, const char *was))
{
	take_findings(v, asked, found->rows, changed);
	take_gates(v, asked->only.n == 0, found->gates);
}

uint64_t
verdicts_count(const struct verdicts *v, const char *status)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->n_counts; i++)
		for (size_t k = 0; k < N_STATUS; k++)
			if (strcmp(statuses[k], status) == 0)
				n += v->counts[i].n[k];
	return n;
}

bool
verdicts_gate_fails(const struct verdicts *v)
{
	struct gate *g;

	LIST_EACH(&v->gates, g, struct gate, link)
		if (strcmp(g->value, "fail") == 0)
			return true;
	return false;
}

/* ---- keys ---- */

bool
verdicts_key(struct verdicts *v, const struct wire_key_state *s)
{
	struct key *k, *old = NULL;

	if (s->name.n == 0 || !is_plain(s->name, '!') || !is_plain(s->key, '!'))
		return false;
	LIST_EACH(&v->keys, k, struct key, link)
		if (str_eq(s->name, str_of(k->name)))
			old = k;
	if (old != NULL && str_eq(s->key, str_of(old->key)) && str_eq(s->why, str_of(old->why)))
		return false;
	if (old != NULL)
		key_free(v, old);
	else if (v->keys.n >= VERDICTS_KEYS_MAX || s->name.n > LINE_MAX || s->key.n > LINE_MAX)
		return false;
	k = mem_zero(sizeof *k);
	k->name = str_dup(s->name);
	k->key = str_dup(s->key);
	k->why = copy(s->why);
	list_push(&v->keys, &k->link);
	return true;
}

static bool
is_configured(const struct config *c, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < c->n_dkim && !found; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys && !found; k++) {
			struct buf full = BUF(LINE_MAX);

			buf_add(&full, c->dkim[i].keys[k].selector);
			buf_addz(&full, "._domainkey.");
			buf_add(&full, c->dkim[i].domain);
			found = str_eq(buf_str(&full), str_of(name));
			buf_free(&full);
		}
	return found;
}

void
verdicts_config(struct verdicts *v, const struct config *c)
{
	struct key *k;

	LIST_EACH(&v->keys, k, struct key, link)
		if (!is_configured(c, k->name))
			key_free(v, k);
}

/* ---- out ---- */

void
verdicts_seen(const struct verdicts *v, const char *before, struct buf *out)
{
	struct key *k;

	LIST_EACH(&v->keys, k, struct key, link)
		if (*k->why == '\0')
			buf_addf(out, "%s%s %s\n", before, k->name, k->key);
}

void
verdicts_gates(const struct verdicts *v, struct buf *out)
{
	struct gate *g;

	LIST_EACH(&v->gates, g, struct gate, link)
		buf_addf(out, "%s %s\n", g->key, g->value);
	verdicts_seen(v, "seen ", out);
}

static void
report_finding(const struct verdict *f, struct buf *out)
{
	control_cell(out, "kind", STR("finding"));
	control_cell(out, "id", str_of(f->id));
	control_cell(out, "status", str_of(f->status));
	control_cell(out, "subject", str_of(f->subject));
	control_cell(out, "why", str_of(f->why));
	control_cell_int(out, "since_ms", f->since_ms);
	control_row_end(out);
}

void
verdicts_report(const struct verdicts *v, struct buf *out)
{
	struct verdict *f;
	struct key     *k;

	LIST_EACH(&v->findings, f, struct verdict, link)
		report_finding(f, out);
	for (size_t i = 0; i < v->n_counts; i++) {
		control_cell(out, "kind", STR("check_count"));
		control_cell(out, "id", str_of(v->counts[i].id));
		for (size_t s = 0; s < N_STATUS; s++)
			control_cell_int(out, statuses[s], (int64_t)v->counts[i].n[s]);
		control_row_end(out);
	}
	LIST_EACH(&v->keys, k, struct key, link) {
		control_cell(out, "kind", STR("key"));
		control_cell(out, "name", str_of(k->name));
		control_cell_int(out, "published", *k->why == '\0');
		control_cell(out, "why", str_of(k->why));
		control_row_end(out);
	}
}
