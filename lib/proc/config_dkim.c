/* SPDX-License-Identifier: ISC */
/* config_dkim - which keys sign for which domain: named in the file, or found in the state folder. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"

enum { WEAK_BITS = 2048, KEYS_PER_DOMAIN_MAX = 8, FOUND_MAX = 4096, HALF_MAX = 8192 };

static const char *const type_names[] = {"unknown", "rsa", "ed25519"};

static struct dkim_conf *
find(struct config *c, struct str domain)
{
	for (size_t i = 0; i < c->n_dkim; i++)
		if (str_eq(c->dkim[i].domain, domain))
			return &c->dkim[i];
	return NULL;
}

static struct dkim_conf *
add(struct maker *m, struct str domain, struct origin origin)
{
	struct config    *c = m->c;
	struct dkim_conf *d;

	c->dkim = arena_more(&m->full->arena, c->dkim, c->n_dkim, sizeof *c->dkim);
	d = &c->dkim[c->n_dkim++];
	d->domain = conf_copy(m, domain);
	d->origin = origin;
	return d;
}

/* Read and judge the key file w->text; its contents stay only if it can sign. */
static bool
load(struct maker *m, const struct word *w, struct dkim_key_conf *k)
{
	struct file f;
	struct buf  why = BUF(1024);
	unsigned    bits;
	bool        ok;

	if (!conf_file(m, FILE_KEY, w, &f))
		return false;
	ok = conf_key_check(f.text, &k->type, &bits, &why);
	if (!ok) {
		conf_problem(m, CONF_ERROR, w->at, "%.*s %s", S(w->text), buf_z(&why));
		conf_hint(m, "`postern dkim new DOMAIN` makes keys that fit");
	} else if (k->type == KEY_RSA && bits < WEAK_BITS) {
		conf_problem(m, CONF_WARNING, w->at,
		             "%.*s has %u bits; receivers trust RSA keys of %d bits", S(w->text),
		             bits, WEAK_BITS);
	}
	k->pem = f.text;
	k->made_ms = f.made_ms;
	if (ok) {
		struct buf half = BUF(HALF_MAX);

		conf_key_half(k->pem, &half);
		k->half = conf_copy(m, buf_str(&half));
		buf_free(&half);
	}
	buf_free(&why);
	return ok;
}

static struct dkim_key_conf *
add_key(struct maker *m, struct dkim_conf *d, struct str selector, struct str path)
{
	struct dkim_key_conf *k;

	d->keys = arena_more(&m->full->arena, d->keys, d->n_keys, sizeof *d->keys);
	k = &d->keys[d->n_keys++];
	k->selector = conf_copy(m, selector);
	k->path = conf_copy(m, path);
	return k;
}

/* key SELECTOR FILE; carried: key SELECTOR FILE TYPE HALF|- [data:PEM] */
static void
parse_key(struct maker *m, const struct row *row UNUSED, void *base, struct word *words, size_t n)
{
	struct dkim_conf     *d = base;
	struct dkim_key_conf *k;
	struct buf            selector = BUF(256);
	struct word           path = words[1];
	size_t                i = 4;
	uint64_t              made;

	path.text = conf_path(m, &words[1]);
	if (!conf_domain(&selector, words[0].text))
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no selector",
		             S(words[0].text));
	for (size_t q = 0; q < d->n_keys; q++)
		if (str_eq(d->keys[q].selector, buf_str(&selector)))
			conf_problem(m, CONF_ERROR, words[0].at, "selector %.*s stands here twice",
			             S(words[0].text));
	if (d->n_keys == KEYS_PER_DOMAIN_MAX)
		conf_problem(m, CONF_ERROR, words[0].at, "more than %d keys of one domain",
		             KEYS_PER_DOMAIN_MAX);
	k = add_key(m, d, buf_str(&selector), path.text);
	buf_free(&selector);
	if (!m->carried) {
		if (n > 2)
			conf_problem(m, CONF_ERROR, words[2].at,
			             "\"key\" takes a selector and a file");
		(void)load(m, &path, k);
		return;
	}
	for (size_t t = 0; n > 2 && t < ARRAY_LEN(type_names); t++)
		if (str_eq(words[2].text, str_of(type_names[t])))
			k->type = (enum key_type)t;
	if (n > 3 && !str_eq(words[3].text, STR("-")))
		k->half = conf_copy(m, words[3].text);
	if (n > i && str_number(words[i].text, INT64_MAX, &made))
		k->made_ms = (int64_t)made;
	else
		(void)conf_get_data(m, words, n, &i, &k->pem);
}

static bool
sees_half(enum role_id role)
{
	return role == ROLE_DELIVERY || role == ROLE_DOCTOR || role == ROLE_SUPERVISOR;
}

/* Another file may be there by now. What is no key any more must not end keyd. */
static void
put_again(const struct view *v, struct str path)
{
	struct buf    pem = {0}, why = BUF(1024);
	enum key_type type;
	unsigned      bits;
	bool          ok = conf_key_again(path, &pem, &why) &&
	          conf_key_check(buf_str(&pem), &type, &bits, &why);

	conf_put_data(v->out, ok ? buf_str(&pem) : STR_NONE);
	if (v->told != NULL)
		v->told(v->told_arg, path, ok ? NULL : buf_z(&why));
	buf_free(&pem);
	buf_free(&why);
}

static bool
format_key(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct dkim_conf     *d = base;
	const struct dkim_key_conf *k = &d->keys[i];

	if (i >= d->n_keys)
		return false;
	conf_put_word(v->out, k->selector);
	conf_put_word(v->out, k->path);
	if (v->show)
		return true;
	buf_addf(v->out, " %s", type_names[k->type]);
	if (sees_half(v->role) && k->half.n > 0)
		conf_put_word(v->out, k->half);
	else
		buf_addz(v->out, " -");
	if (v->role == ROLE_KEYD && v->full->forgotten)
		put_again(v, k->path);
	else if (v->role == ROLE_KEYD || v->role == ROLE_SUPERVISOR)
		conf_put_data(v->out, k->pem);
	else if (v->role == ROLE_DOCTOR)
		buf_addf(v->out, " %lld", (long long)k->made_ms);
	return true;
}

/* canonicalization relaxed/simple: header first, as c= of a signature has it */
static void
parse_canon(struct maker *m, const struct row *row UNUSED, void *base, struct word *words,
            size_t n UNUSED)
{
	struct dkim_conf *d = base;
	struct str        header = words[0].text, body = STR("simple");
	ptrdiff_t         slash = str_find(header, '/');

	if (slash >= 0) {
		body = str_skip(header, (size_t)slash + 1);
		header.n = (size_t)slash;
	}
	d->simple_header = str_eq(header, STR("simple"));
	d->simple_body = str_eq(body, STR("simple"));
	if ((!d->simple_header && !str_eq(header, STR("relaxed"))) ||
	    (!d->simple_body && !str_eq(body, STR("relaxed")))) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no canonicalization",
		             S(words[0].text));
		conf_hint(m,
		          "write relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple");
	}
}

static bool
format_canon(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct dkim_conf *d = base;

	if (i > 0 || (!d->simple_header && !d->simple_body))
		return false;
	buf_addf(v->out, " %s/%s", d->simple_header ? "simple" : "relaxed",
	         d->simple_body ? "simple" : "relaxed");
	return true;
}

/* unpublished hold | unsigned */
static void
parse_unpublished(struct maker *m, const struct row *row UNUSED, void *base, struct word *words,
                  size_t n UNUSED)
{
	struct dkim_conf *d = base;

	d->go_unsigned = str_eq(words[0].text, STR("unsigned"));
	if (!d->go_unsigned && !str_eq(words[0].text, STR("hold"))) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is neither hold nor unsigned",
		             S(words[0].text));
		conf_hint(m, "hold: mail waits until a key is published; unsigned: it goes without");
	}
}

static bool
format_unpublished(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct dkim_conf *d = base;

	if (i > 0 || !d->go_unsigned)
		return false;
	buf_addz(v->out, " unsigned");
	return true;
}

static void
parse_dkim(struct maker *m, const struct row *row, void *base UNUSED, struct word *words,
           size_t n UNUSED)
{
	struct buf              b = BUF(1024);
	const struct dkim_conf *before;
	struct dkim_conf       *d;

	if (!conf_domain(&b, words[0].text)) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no domain", S(words[0].text));
	} else if ((before = find(m->c, buf_str(&b))) != NULL) {
		conf_problem(m, CONF_ERROR, words[0].at,
		             "%.*s has a \"dkim\" block already (line %u)", S(words[0].text),
		             before->origin.line);
		conf_hint(
			m,
			"put all keys of a domain into one block: { key S1 FILE1; key S2 FILE2 }");
	} else {
		d = add(m, buf_str(&b), conf_origin(m, &words[0]));
		conf_statements(m, row->block, d, 1);
		if (d->n_keys == 0 && !d->go_unsigned && !m->carried)
			conf_problem(m, CONF_ERROR, words[0].at, "no key signs for %.*s",
			             S(words[0].text));
	}
	buf_free(&b);
}

static bool
format_dkim(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct config *c = base;

	if (i >= c->n_dkim)
		return false;
	v->origin = c->dkim[i].origin;
	conf_put_word(v->out, c->dkim[i].domain);
	conf_put_block(v, row->block, &c->dkim[i]);
	return true;
}

/* ---- the state folder ---- */

static int
order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A folder that could not be read is not one without keys: mail would go unsigned. */
static void
judge_folder(struct maker *m, const char *dir, int error)
{
	if (error == 0 || error == ENOENT || error == ENOTDIR || m->c->domains.n == 0 ||
	    !m->c->dkim_sign)
		return;
	conf_problem(m, conf_unreadable(m, error), (struct place){0},
	             "the folder of the DKIM keys %s: %s", dir, strerror(error));
	conf_watch_failed(m, dir, error);
}

/* Names in a folder that end with `suffix`, sorted, in scratch memory. */
static char **
names(struct maker *m, const char *dir, const char *suffix, size_t *n)
{
	char         **list = NULL;
	DIR           *d = opendir(dir);
	struct dirent *e;

	*n = 0;
	if (d == NULL) {
		judge_folder(m, dir, errno);
		return NULL;
	}
	while ((errno = 0, e = readdir(d)) != NULL && *n < FOUND_MAX) {
		if (e->d_name[0] == '.' || !str_ends(str_of(e->d_name), str_of(suffix)))
			continue;
		list = arena_more(&m->scratch, list, *n, sizeof *list);
		list[(*n)++] = (char *)(uintptr_t)arena_z(&m->scratch, str_of(e->d_name));
	}
	if (e == NULL)
		judge_folder(m, dir, errno);
	closedir(d);
	if (*n > 1)
		qsort(list, *n, sizeof *list, order);
	return list;
}

/* A domain with keys in a block of its own uses those and no others. */
static void
found_domain(struct maker *m, const char *root, const char *name)
{
	struct buf        dir = BUF(4096), path = BUF(4096), domain = BUF(1024), text = BUF(4200);
	struct dkim_conf *d = NULL;
	size_t            n;
	char            **keys;

	buf_addf(&dir, "%s/%s", root, name);
	buf_addf(&text, "keys found in %s", buf_z(&dir));
	if (!conf_domain(&domain, str_of(name)))
		goto out;
	d = find(m->c, buf_str(&domain));
	if (d != NULL && d->n_keys > 0)
		goto out;
	conf_watch_add(m, buf_z(&dir));
	keys = names(m, buf_z(&dir), ".pem", &n);
	for (size_t i = 0; i < n && (d == NULL || d->n_keys < KEYS_PER_DOMAIN_MAX); i++) {
		struct word w = {0};

		buf_clear(&path);
		buf_addf(&path, "%s/%s", buf_z(&dir), keys[i]);
		w.text = conf_copy(m, (struct str){buf_z(&path), path.n});
		if (d == NULL)
			d = add(m, buf_str(&domain),
			        (struct origin){.file = conf_copy(m, buf_str(&dir)).p,
			                        .text = conf_copy(m, buf_str(&text)).p});
		(void)load(m, &w,
		           add_key(m, d, str_sub(str_of(keys[i]), 0, strlen(keys[i]) - 4), w.text));
	}
out:
	buf_free(&dir);
	buf_free(&path);
	buf_free(&domain);
	buf_free(&text);
}

void
conf_dkim_found(struct maker *m)
{
	struct buf root = BUF(4096);
	size_t     n;
	char     **list;

	buf_addf(&root, "%.*s/dkim", (int)m->c->state.n, m->c->state.p);
	conf_watch_add(m, buf_z(&root));
	list = names(m, buf_z(&root), "", &n);
	for (size_t i = 0; list != NULL && i < n; i++)
		found_domain(m, buf_z(&root), list[i]);
	buf_free(&root);
}

const struct kind kind_dkim_key = {parse_key, format_key};
const struct kind kind_dkim_canon = {parse_canon, format_canon};
const struct kind kind_dkim_unpublished = {parse_unpublished, format_unpublished};
const struct kind kind_dkim = {parse_dkim, format_dkim};
