/* SPDX-License-Identifier: ISC */
/* config_tls - certificates: our own for clients, and whom we trust at the other end. */
#include "lib/net/tls.h"
#include "lib/proc/config_private.h"
#include "lib/util/time.h"

enum { WARN_DAYS = 14, NAMES_MAX = 64 * 1024 };

#define DAY_MS INT64_C(86400000)

/* An expired certificate is told and used: local clients may not check it, and no TLS is no better. */
static void
pair_check(struct maker *m, const struct tls_conf *t, const struct word *w)
{
	struct tls_pair pair = {.cert_pem = t->cert_pem, .key_pem = t->key_pem};
	struct buf      names = BUF(8192), why = BUF(1024);
	int64_t         not_after_ms = INT64_MAX, left_ms;

	if (!tls_pair_check(&pair, &not_after_ms, &names, &why)) {
		conf_problem(m, CONF_ERROR, w->at, "this certificate cannot be used: %s",
		             buf_z(&why));
	} else if ((left_ms = not_after_ms - time_wall_ms()) <= 0) {
		conf_problem(m, CONF_WARNING, w->at, "this certificate has expired");
		conf_hint(m, "clients that check it will not send; renew it");
	} else if (left_ms < WARN_DAYS * DAY_MS) {
		conf_problem(m, CONF_WARNING, w->at, "this certificate expires in %d days",
		             (int)(left_ms / DAY_MS));
	}
	buf_free(&names);
	buf_free(&why);
}

static struct str
inside(struct maker *m, struct str dir, const char *name)
{
	struct buf b = BUF(4096);
	struct str path;

	buf_add(&b, dir);
	buf_addc(&b, '/');
	buf_addz(&b, name);
	path = conf_copy(m, buf_str(&b));
	buf_free(&b);
	return path;
}

static void
parse_tls(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
          size_t n)
{
	struct config  *c = m->c;
	struct tls_conf t = {.origin = conf_origin(m, &words[0])};
	struct word     cert = words[0], key = words[n - 1];
	struct file     f;
	size_t          i = 1;

	t.cert_path = conf_path(m, &words[0]);
	if (m->carried) {
		(void)conf_get_data(m, words, n, &i, &t.cert_pem);
		if (i < n)
			t.key_path = conf_path(m, &words[i++]);
		else
			conf_problem(m, CONF_ERROR, words[0].at, "damaged content");
		(void)conf_get_data(m, words, n, &i, &t.key_pem);
	} else {
		if (n == 1) {
			t.key_path = inside(m, t.cert_path, "privkey.pem");
			t.cert_path = inside(m, t.cert_path, "fullchain.pem");
		} else {
			t.key_path = conf_path(m, &words[1]);
		}
		cert.text = t.cert_path;
		key.text = t.key_path;
		if (conf_file(m, FILE_CERT, &cert, &f))
			t.cert_pem = f.text;
		if (conf_file(m, FILE_KEY, &key, &f))
			t.key_pem = f.text;
		if (t.cert_pem.n > 0 && t.key_pem.n > 0)
			pair_check(m, &t, &words[0]);
	}
	c->tls = arena_more(&m->full->arena, c->tls, c->n_tls, sizeof *c->tls);
	c->tls[c->n_tls++] = t;
}

/* Another file may be there by now: with a new certificate, which will be noticed soon, or no key at all. */
static void
put_again(const struct view *v, const struct tls_conf *t)
{
	struct buf      pem = {0}, names = BUF(NAMES_MAX), why = BUF(1024);
	struct tls_pair pair = {.cert_pem = t->cert_pem};
	int64_t         not_after_ms;
	bool            ok = conf_key_again(t->key_path, &pem, &why);

	pair.key_pem = buf_str(&pem);
	ok = ok && tls_pair_check(&pair, &not_after_ms, &names, &why);
	conf_put_data(v->out, ok ? buf_str(&pem) : STR_NONE);
	if (v->told != NULL)
		v->told(v->told_arg, t->key_path, ok ? NULL : buf_z(&why));
	buf_free(&pem);
	buf_free(&names);
	buf_free(&why);
}

static bool
format_tls(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config   *c = base;
	const struct tls_conf *t = i < c->n_tls ? &c->tls[i] : NULL;

	if (t == NULL)
		return false;
	v->origin = t->origin;
	conf_put_word(v->out, t->cert_path);
	if (!v->show && v->role != ROLE_KEYD)
		conf_put_data(v->out, t->cert_pem);
	conf_put_word(v->out, t->key_path);
	if (!v->show && v->role == ROLE_KEYD && v->full->forgotten)
		put_again(v, t);
	else if (!v->show && (v->role == ROLE_KEYD || v->role == ROLE_SUPERVISOR))
		conf_put_data(v->out, t->key_pem);
	return true;
}

/* ca FILE, in the outbound block: trust anchors instead of the system's */
static void
parse_ca(struct maker *m, const struct row *row UNUSED, void *base, struct word *words, size_t n)
{
	struct outbound_conf *o = base;
	struct word           path = words[0];
	struct file           f;
	size_t                i = 1;

	path.text = o->ca_path = conf_path(m, &words[0]);
	if (conf_get_data(m, words, n, &i, &o->ca_pem) || m->carried)
		return;
	if (n > 1) {
		conf_problem(m, CONF_ERROR, words[1].at, "\"ca\" takes one file");
	} else if (conf_file(m, FILE_CERT, &path, &f)) {
		o->ca_pem = f.text;
		if (str_find_str(f.text, STR("-----BEGIN CERTIFICATE")) < 0)
			conf_problem(m, CONF_ERROR, words[0].at,
			             "%.*s holds no certificate in PEM form", S(path.text));
	}
}

static bool
format_ca(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct outbound_conf *o = base;

	if (i > 0 || o->ca_path.n == 0)
		return false;
	conf_put_word(v->out, o->ca_path);
	if (!v->show && (v->role == ROLE_DELIVERY || v->role == ROLE_SUPERVISOR))
		conf_put_data(v->out, o->ca_pem);
	return true;
}

const struct kind kind_tls = {parse_tls, format_tls};
const struct kind kind_ca = {parse_ca, format_ca};
