/* SPDX-License-Identifier: ISC */
/* config_route - smarthosts and exceptions from them, and the secrets that go with them. */
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"

enum { PORT_SMTP = 25, PORT_SUBMISSION = 587, PORT_SUBMISSION_ALT = 2525, PORT_SUBMISSIONS = 465 };

static const char *const tls_words[] = {"opportunistic", "starttls", "implicit-tls", "tls", NULL};

static const char *
tls_name(const void *arg UNUSED, size_t i)
{
	return tls_words[i];
}

/* "host", "host:port", "192.0.2.1:25", "[2001:db8::1]:25" */
static bool
host_port(struct maker *m, const struct word *w, struct route_conf *r)
{
	struct buf  b = BUF(1024);
	struct str  t = w->text;
	struct addr a;
	ptrdiff_t   colon;
	uint64_t    port = 0;
	bool        ok;

	if (t.n > 0 && t.p[0] != ':' && addr_parse_port(t, 0, &a)) {
		addr_format(&b, a);
		port = a.port;
		ok = true;
	} else {
		if ((colon = str_rfind(t, ':')) >= 0) {
			if (!str_number(str_skip(t, (size_t)colon + 1), 65535, &port) || port == 0)
				t.n = 0;
			else
				t.n = (size_t)colon;
		}
		ok = conf_domain(&b, t);
	}
	if (ok)
		r->host = conf_copy(m, buf_str(&b));
	else
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no host and port", S(w->text));
	if (!ok)
		conf_hint(m, "write smtp.provider.net:587 or [192.0.2.1]:25");
	buf_free(&b);
	r->port = (uint16_t)port;
	return ok;
}

/*
 * `tls` alone always verifies; it is spoken at once, but for the ports where everybody
 * speaks STARTTLS.
 */
static enum route_tls
tls_by_port(unsigned port)
{
	return port == PORT_SMTP || port == PORT_SUBMISSION || port == PORT_SUBMISSION_ALT
	               ? ROUTE_STARTTLS
	               : ROUTE_TLS;
}

static void
parse_via(struct maker *m, const struct row *row UNUSED, void *base, struct word *words, size_t n)
{
	struct route_conf *r = base;

	if (!host_port(m, &words[0], r))
		return;
	if (n > 1) {
		size_t i = 0;

		while (tls_words[i] != NULL && !str_eq(words[1].text, str_of(tls_words[i])))
			i++;
		if (tls_words[i] == NULL) {
			const char *near = conf_nearest(words[1].text, tls_name, NULL);

			conf_problem(m, CONF_ERROR, words[1].at,
			             "\"%.*s\" is not one of tls, starttls, "
			             "implicit-tls or opportunistic",
			             S(words[1].text));
			conf_hint(m, "did you mean \"%s\"?", near != NULL ? near : "tls");
			return;
		}
		r->tls = i <= ROUTE_TLS ? (enum route_tls)i : tls_by_port(r->port);
	}
	if (r->port == 0)
		r->port = r->tls == ROUTE_TLS        ? PORT_SUBMISSIONS
		          : r->tls == ROUTE_STARTTLS ? PORT_SUBMISSION
		                                     : PORT_SMTP;
}

static bool
format_via(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct route_conf *r = base;
	struct addr              a;

	if (i > 0 || r->host.n == 0)
		return false;
	buf_addc(v->out, ' ');
	if (addr_parse(r->host, &a) && a.family == 6)
		buf_addf(v->out, "[%.*s]", S(r->host));
	else
		buf_add(v->out, r->host);
	buf_addf(v->out, ":%u %s", r->port, tls_words[r->tls]);
	return true;
}

/* `direct` takes no value and leaves the host empty. */
static void
parse_direct(struct maker *m UNUSED, const struct row *row UNUSED, void *base UNUSED,
             struct word *words UNUSED, size_t n UNUSED)
{
}

static bool
format_direct(struct view *v UNUSED, const struct row *row UNUSED, const void *base, size_t i)
{
	return i == 0 && ((const struct route_conf *)base)->host.n == 0;
}

/* ---- secrets ---- */

/* Editors and `echo` end files with a line end, which is no part of a password. */
static bool
secret_file(struct maker *m, const struct word *w, struct str path, struct str *out)
{
	struct word at = *w;
	struct file f;

	at.text = path;
	at.text = conf_path(m, &at);
	if (!conf_file(m, FILE_SECRET, &at, &f))
		return false;
	while (f.text.n > 0 && (f.text.p[f.text.n - 1] == '\n' || f.text.p[f.text.n - 1] == '\r'))
		f.text.n--;
	*out = conf_copy(m, f.text);
	return true;
}

static bool
secret_credential(struct maker *m, const struct word *w, struct str name, struct str *out)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	struct buf  b = BUF(4096);
	bool        ok;

	if (dir == NULL || str_find(name, '/') >= 0) {
		conf_problem(m, CONF_ERROR, w->at,
		             dir == NULL
		                     ? "there are no credentials: CREDENTIALS_DIRECTORY is not set"
		                     : "a credential is a name, not a path");
		if (dir == NULL)
			conf_hint(m, "systemd sets it for units with LoadCredential=");
		return false;
	}
	buf_addf(&b, "%s/%.*s", dir, S(name));
	ok = secret_file(m, w, buf_str(&b), out);
	buf_free(&b);
	return ok;
}

static bool
secret_variable(struct maker *m, const struct word *w, struct str name, struct str *out)
{
	char       *z = str_dup(name);
	const char *value = getenv(z);

	free(z);
	if (value == NULL) {
		conf_problem(m, CONF_ERROR, w->at, "the variable %.*s is not set", S(name));
		return false;
	}
	*out = conf_copy(m, str_of(value));
	return true;
}

bool
conf_secret(struct maker *m, const struct word *w, struct str *out)
{
	const struct source *s = w->at.source;
	bool                 ok;
	size_t               i = 0;

	if (conf_get_data(m, w, 1, &i, out))
		return true;
	if (m->carried) { /* a role opens no files */
		conf_problem(m, CONF_ERROR, w->at, "a secret that did not come along");
		return false;
	}
	if (str_starts(w->text, STR("file:"))) {
		ok = secret_file(m, w, str_skip(w->text, 5), out);
	} else if (str_starts(w->text, STR("env:"))) {
		ok = secret_variable(m, w, str_skip(w->text, 4), out);
	} else if (str_starts(w->text, STR("cred:"))) {
		ok = secret_credential(m, w, str_skip(w->text, 5), out);
	} else {
		if (s != NULL && s->open_to_others && !w->expanded) {
			conf_problem(m, CONF_ERROR, w->at,
			             "a secret in a file that others than its owner may read");
			conf_hint(m,
			          "chmod 600 the file, or write file:/PATH, cred:NAME or env:NAME");
			return false;
		}
		*out = conf_copy(m, w->text);
		ok = true;
	}
	if (ok && (out->n == 0 || memchr(out->p, '\0', out->n) != NULL)) {
		conf_problem(m, CONF_ERROR, w->at,
		             out->n == 0 ? "this secret is empty" : "a NUL in this secret");
		ok = false;
	}
	return ok;
}

static void
parse_secret(struct maker *m, const struct row *row, void *base, struct word *words,
             size_t n UNUSED)
{
	struct route_conf *r = base;

	if (r->password.n > 0)
		conf_problem(m, CONF_ERROR, words[0].at, "either \"password\" or \"token\"");
	else if (conf_secret(m, &words[0], &r->password))
		r->xoauth2 = strcmp(row->name, "token") == 0;
}

static bool
format_secret(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct route_conf *r = base;

	if (i > 0 || r->password.n == 0 || r->xoauth2 != (strcmp(row->name, "token") == 0))
		return false;
	if (v->show)
		buf_addz(v->out, " ***");
	else if (v->role == ROLE_DELIVERY || v->role == ROLE_SUPERVISOR)
		conf_put_data(v->out, r->password);
	else
		return false;
	return true;
}

/* ---- route DOMAIN ... { } ---- */

static void
add(struct maker *m, const struct word *w, const struct route_conf *shared)
{
	struct config     *c = m->c;
	struct route_conf *r;
	struct buf         b = BUF(1024);

	if (str_eq(w->text, STR("*")))
		buf_addc(&b, '*');
	else if (str_starts(w->text, STR("*.")) || !conf_domain(&b, w->text)) {
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is neither a domain nor \"*\"",
		             S(w->text));
		buf_free(&b);
		return;
	}
	for (size_t i = 0; i < c->n_routes; i++) {
		if (!str_eq(c->routes[i].domain, buf_str(&b)))
			continue;
		conf_problem(m, CONF_ERROR, w->at, "%.*s has a route already (line %u)", S(w->text),
		             c->routes[i].origin.line);
		buf_free(&b);
		return;
	}
	c->routes = arena_more(&m->full->arena, c->routes, c->n_routes, sizeof *c->routes);
	r = &c->routes[c->n_routes++];
	*r = *shared;
	r->domain = conf_copy(m, buf_str(&b));
	r->origin = conf_origin(m, w);
	buf_free(&b);
}

/* What the words of one route say together. Asked before it counts for all its domains, so told once. */
static void
judge(struct maker *m, const struct route_conf *r, bool direct)
{
	struct place at = m->node->key.at;

	if (direct == (r->host.n > 0)) {
		conf_problem(m, CONF_ERROR, at,
		             direct ? "a route is either \"direct\" or \"via\" a host"
		                    : "this route leads nowhere");
		if (!direct)
			conf_hint(m, "add \"via HOST:PORT tls\" or \"direct\"");
	} else if ((r->user.n > 0) != (r->password.n > 0)) {
		conf_problem(m, CONF_ERROR, at,
		             "a login needs both \"user\" and \"password\" (or \"token\")");
	} else if (r->user.n > 0 && r->tls == ROUTE_OPPORTUNISTIC) {
		conf_problem(m, CONF_ERROR, at, "the password would go out without verified TLS");
		conf_hint(m, "write via %.*s:%u tls", S(r->host), r->port);
	}
}

static void
parse_route(struct maker *m, const struct row *row, void *base UNUSED, struct word *words, size_t n)
{
	struct route_conf shared = {0};
	size_t            head = conf_head(m->node, row->block, 1);
	unsigned          errors = m->errors;
	bool              direct = false;

	conf_statements(m, row->block, &shared, head);
	for (size_t i = head; i < n; i++)
		direct = direct || (!words[i].quoted && str_eq(words[i].text, STR("direct")));
	if (m->errors == errors && !m->carried)
		judge(m, &shared, direct);
	for (size_t i = 0; i < head; i++)
		add(m, &words[i], &shared);
}

static bool
format_route(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct config *c = base;

	if (i >= c->n_routes)
		return false;
	v->origin = c->routes[i].origin;
	conf_put_word(v->out, c->routes[i].domain);
	conf_put_block(v, row->block, &c->routes[i]);
	return true;
}

const struct kind kind_via = {parse_via, format_via};
const struct kind kind_direct = {parse_direct, format_direct};
const struct kind kind_secret = {parse_secret, format_secret};
const struct kind kind_route = {parse_route, format_route};
