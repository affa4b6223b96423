/* SPDX-License-Identifier: ISC */
/* The structure of an SPF record: all of it, not just the way to the first match. */
#include <stdlib.h>
#include <string.h>

#include "doctor/spf.h"
#include "lib/util/mem.h"

enum {
	DEPTH_MAX = 12, /* one more than receivers would follow */
	TEXT_MAX = 16 * 1024,
	MX_MAX = 10, /* RFC 7208 section 4.6.4 */
	WIDE4 = 16,
	WIDE6 = 32,
	TREE_LOOKUPS_MAX = 60, /* a hostile record need not be told of to its end */
};

struct path {
	const struct path *up;
	struct str         domain;
	unsigned           depth;
};

static bool walk(struct spf_walk *w, struct facts *f, const struct path *path, struct str txt);

static void
list(struct buf *out, struct str s)
{
	buf_addz(out, out->n > 0 ? ", " : "");
	buf_add(out, s);
}

static void
broken(struct spf_walk *w, const char *why, struct str what)
{
	w->broken = true;
	if (w->why.n == 0) {
		buf_addz(&w->why, why);
		buf_add(&w->why, what);
	}
}

static bool
is_above(const struct path *path, struct str domain)
{
	for (; path != NULL; path = path->up)
		if (str_ieq(path->domain, domain))
			return true;
	return false;
}

/* Does the record at `domain` go on? False: a fact is missing. */
static bool
descend(struct spf_walk *w, struct facts *f, const struct path *up, struct str domain)
{
	struct path        path = {up, domain, up->depth + 1};
	const struct fact *txt;
	struct str         record = STR_NONE;

	if (is_above(up, domain)) {
		w->loop = true;
		broken(w, "the record leads back to itself at ", domain);
		return true;
	}
	if (path.depth > DEPTH_MAX || w->lookups > TREE_LOOKUPS_MAX)
		return true;
	txt = facts_get(f, domain, DNS_TXT);
	if (!txt->known)
		return false;
	for (size_t i = 0; i < txt->n; i++)
		if (spf_is_record(txt->records[i].data)) {
			if (record.n > 0)
				broken(w, "more than one SPF record at ", domain);
			record = txt->records[i].data;
		}
	if (record.n > 0)
		return walk(w, f, &path, record);
	if (txt->n == 0 && txt->status != DNS_TEMPFAIL)
		w->voids++;
	if (txt->status == DNS_TEMPFAIL || txt->status == DNS_BOGUS)
		broken(w, "no answer about ", domain);
	else
		broken(w, "there is no SPF record at ", domain);
	if (txt->n == 0)
		list(&w->void_names, domain);
	return true;
}

/* A term is void if the receiver's one question finds nothing: for `a` no address of either family. */
static bool
look_void(struct spf_walk *w, struct facts *f, const struct spf_term *t, struct str name)
{
	const struct fact *a, *b;

	if (t->kind == SPF_MX) {
		a = b = facts_get(f, name, DNS_MX);
		if (a->n > MX_MAX)
			broken(w, "more than 10 MX hosts at ", name);
	} else {
		a = facts_get(f, name, DNS_A);
		b = t->kind == SPF_A ? facts_get(f, name, DNS_AAAA) : a;
	}
	if (!a->known || !b->known)
		return false;
	if (a->n == 0 && b->n == 0 && a->status != DNS_TEMPFAIL && b->status != DNS_TEMPFAIL) {
		w->voids++;
		list(&w->void_names, name);
	}
	return true;
}

static bool
look(struct spf_walk *w, struct facts *f, const struct path *path, const struct spf_term *t)
{
	bool macro = str_find(t->domain, '%') >= 0;

	w->macros = w->macros || macro;
	switch (t->kind) {
	case SPF_INCLUDE:
	case SPF_REDIRECT:
		w->lookups++;
		return macro || descend(w, f, path, t->domain);
	case SPF_A:
	case SPF_MX:
	case SPF_EXISTS:
		w->lookups++;
		return macro || look_void(w, f, t, t->domain.n > 0 ? t->domain : path->domain);
	case SPF_PTR:
		w->lookups++;
		w->ptr = true;
		break;
	case SPF_IP4:
	case SPF_IP6:
		/* A provider's own record is his affair: only what is written at home counts. */
		if (path->up == NULL && t->qualifier == '+' &&
		    (t->kind == SPF_IP4 ? t->bits4 < WIDE4 : t->bits6 < WIDE6)) {
			w->wide = true;
			list(&w->wide_nets, t->text);
		}
		break;
	case SPF_ALL:
	case SPF_EXP:
	case SPF_OTHER:
		break;
	}
	return true;
}

/* The line of this record in the tree: its own lookups. */
static void
tell(struct spf_walk *w, const struct path *path, const struct spf_record *r)
{
	unsigned own = 0;

	for (size_t i = 0; i < r->n; i++)
		own += r->terms[i].kind == SPF_INCLUDE || r->terms[i].kind == SPF_A ||
		       r->terms[i].kind == SPF_MX || r->terms[i].kind == SPF_PTR ||
		       r->terms[i].kind == SPF_EXISTS || r->terms[i].kind == SPF_REDIRECT;
	for (unsigned i = 0; i < path->depth; i++)
		buf_addz(&w->tree, "  ");
	buf_add(&w->tree, path->domain);
	buf_addf(&w->tree, ": %u lookup%s\n", own, own == 1 ? "" : "s");
}

/* Nothing behind "all" is ever looked at, and redirect not if there is an "all". */
static bool
walk(struct spf_walk *w, struct facts *f, const struct path *path, struct str txt)
{
	struct spf_record *r = mem_zero(sizeof *r);
	struct buf         why = BUF(512);
	bool               known = true, all = false;
	char               qualifier = 0;

	if (!spf_parse(r, txt, &why))
		broken(w, path->up == NULL ? "" : "an included record is wrong: ", buf_str(&why));
	for (size_t i = 0; i < r->n && !all; i++)
		if (r->terms[i].kind == SPF_ALL) {
			all = true;
			qualifier = r->terms[i].qualifier;
			r->n = i + 1;
		}
	tell(w, path, r);
	for (size_t i = 0; i < r->n; i++) {
		known = look(w, f, path, &r->terms[i]) && known;
		if (r->terms[i].kind == SPF_REDIRECT && !all)
			qualifier = w->all;
	}
	/* The word of an included record is not ours; that of a redirect is. */
	w->all = qualifier;
	free(r);
	buf_free(&why);
	return known;
}

bool
spf_walk(struct spf_walk *w, struct facts *f, struct str domain, struct str txt)
{
	struct path path = {NULL, domain, 0};

	*w = (struct spf_walk){0};
	buf_init(&w->tree, TEXT_MAX);
	buf_init(&w->void_names, TEXT_MAX);
	buf_init(&w->wide_nets, TEXT_MAX);
	buf_init(&w->why, TEXT_MAX);
	return walk(w, f, &path, txt);
}

void
spf_walk_free(struct spf_walk *w)
{
	buf_free(&w->tree);
	buf_free(&w->void_names);
	buf_free(&w->wide_nets);
	buf_free(&w->why);
}
