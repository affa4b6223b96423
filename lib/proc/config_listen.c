/* SPDX-License-Identifier: ISC */
/* config_listen - where clients are heard, and what is offered to them there. */
#include <stdio.h>
#include <string.h>

#include "lib/proc/config_private.h"

enum { SMTP_PORT = 25 };

static const char *const options[] = {"tls",           "starttls", "auth", "tls-required",
                                      "auth-required", "lint",     "proxy", NULL};

enum { OPT_TLS, OPT_STARTTLS, OPT_AUTH, OPT_TLS_REQUIRED, OPT_AUTH_REQUIRED, OPT_LINT, OPT_PROXY };

static const char *const lints[] = {"fix", "strict", "off", NULL}; /* enum listen_lint */

static const char *
option_name(const void *arg UNUSED, size_t i)
{
	return options[i];
}

static int
option_find(const struct word *w)
{
	for (int i = 0; options[i] != NULL; i++)
		if (!w->quoted && str_eq(w->text, str_of(options[i])))
			return i;
	return -1;
}

/*
 * Whether this machine speaks IPv6 (on loopback). Where it does not, the IPv6 half of ":25" and of the
 * default listeners is left out instead of failing at start, as in many containers.
 */
bool
conf_has_ipv6(bool loopback)
{
	FILE *f = fopen("/proc/net/if_inet6", "re");
	char  line[128];
	bool  found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = !loopback || strncmp(line, "00000000000000000000000000000001", 32) == 0;
	fclose(f);
	return found;
}

static void
add(struct maker *m, const struct word *w, struct addr a)
{
	struct config      *c = m->c;
	struct listen_conf *l;

	c->listens = arena_more(&m->full->arena, c->listens, c->n_listens, sizeof *c->listens);
	l = &c->listens[c->n_listens++];
	l->addr = a;
	l->origin = conf_origin(m, w);
}

static bool
starts_like_address(struct str t)
{
	return t.n > 0 && (strchr("[:*.", t.p[0]) != NULL || (t.p[0] >= '0' && t.p[0] <= '9'));
}

/* A word that is neither: it may have been meant as either. */
static void
bad_address(struct maker *m, const struct word *w)
{
	struct str  t = w->text;
	uint64_t    port;
	const char *near = conf_nearest(t, option_name, NULL);

	if (near != NULL ||
	    (!starts_like_address(t) && str_find(t, ':') < 0 && str_find(t, '.') < 0)) {
		conf_problem(m, CONF_ERROR, w->at, "unknown listener option \"%.*s\"", S(t));
		if (near != NULL)
			conf_hint(m, "did you mean \"%s\"?", near);
		return;
	}
	conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no address to listen on", S(t));
	if (str_number(t, 65535, &port))
		conf_hint(m, "for this port on all addresses write \":%u\"", (unsigned)port);
	else if (str_istarts(t, STR("localhost")))
		conf_hint(m, "write 127.0.0.1%.*s", S(str_skip(t, 9)));
	else
		conf_hint(m, "write 192.0.2.1:25, [2001:db8::1]:25 or :25");
}

/* True if the word is an address; ":25" and "*:25" make one listener for each family. */
static bool
address(struct maker *m, const struct word *w)
{
	struct str  t = w->text;
	struct addr a;
	uint64_t    port;

	if (str_starts(t, STR("*:")))
		t = str_skip(t, 1);
	if (str_starts(t, STR(":")) && str_number(str_skip(t, 1), 65535, &port) && port > 0) {
		add(m, w, (struct addr){.family = 4, .port = (uint16_t)port});
		if (conf_has_ipv6(false))
			add(m, w, (struct addr){.family = 6, .port = (uint16_t)port});
		return true;
	}
	if (!addr_parse_port(t, SMTP_PORT, &a))
		return false;
	if (a.port == 0) {
		conf_problem(m, CONF_ERROR, w->at, "port 0 is no port");
	} else if (m->node->origin.file != NULL || a.family != 6 || m->carried ||
	           conf_has_ipv6(true)) {
		add(m, w, a);
	}
	return true;
}

/* Everything up to the next option is a balancer. Gives the index behind it. */
static size_t
proxy(struct maker *m, struct listen_conf *l, struct word *words, size_t n, size_t i)
{
	size_t first = i;

	for (; i < n && option_find(&words[i]) < 0; i++) {
		struct addr a;
		struct cidr c;

		if (addr_parse(words[i].text, &a)) {
			c = (struct cidr){.addr = a, .bits = a.family == 4 ? 32 : 128};
		} else if (!cidr_parse(words[i].text, &c)) {
			conf_problem(m, CONF_ERROR, words[i].at, "\"%.*s\" is no network",
			             S(words[i].text));
			conf_hint(m, "write the balancers as 192.0.2.0/24 or 192.0.2.7");
			continue;
		}
		l->proxy = arena_more(&m->full->arena, l->proxy, l->n_proxy, sizeof *l->proxy);
		l->proxy[l->n_proxy++] = c;
	}
	if (i == first) {
		conf_problem(m, CONF_ERROR, words[first - 1].at,
		             "\"proxy\" needs the networks of the balancers");
		conf_hint(m, "write proxy 192.0.2.0/24");
	}
	return i;
}

static const char *
lint_name(const void *arg UNUSED, size_t i)
{
	return lints[i];
}

/* The word behind "lint". Gives the index behind that. */
static size_t
lint(struct maker *m, struct listen_conf *l, struct word *words, size_t n, size_t i)
{
	const char *near;

	for (int k = 0; i < n && lints[k] != NULL; k++) {
		if (str_eq(words[i].text, str_of(lints[k]))) {
			l->lint = (enum listen_lint)k;
			return i + 1;
		}
	}
	near = i < n ? conf_nearest(words[i].text, lint_name, NULL) : NULL;
	conf_problem(m, CONF_ERROR, words[i < n ? i : i - 1].at, "\"lint\" needs fix, strict or off");
	if (near != NULL)
		conf_hint(m, "did you mean \"%s\"?", near);
	return i + 1;
}

static void
option(struct maker *m, struct listen_conf *l, int which, const struct word *w)
{
	enum listen_tls tls = which == OPT_TLS ? LISTEN_TLS : LISTEN_STARTTLS;
	bool           *flag = which == OPT_AUTH           ? &l->auth
	                       : which == OPT_TLS_REQUIRED ? &l->tls_required
	                                                   : &l->auth_required;

	if (which == OPT_TLS || which == OPT_STARTTLS) {
		if (l->tls == tls)
			conf_problem(m, CONF_ERROR, w->at, "\"%s\" stands here twice",
			             options[which]);
		else if (l->tls != LISTEN_PLAIN)
			conf_problem(
				m, CONF_ERROR, w->at,
				"TLS begins at once (\"tls\") or later (\"starttls\"), not both");
		l->tls = tls;
		return;
	}
	if (*flag)
		conf_problem(m, CONF_ERROR, w->at, "\"%s\" stands here twice", options[which]);
	*flag = true;
}

/* Options stand behind the addresses and are for all of them. */
static void
parse_listen(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
             size_t n)
{
	struct config     *c = m->c;
	size_t             i, first = c->n_listens;
	struct listen_conf l = {0};
	unsigned           errors = m->errors;
	bool               optional = false;

	for (i = 0; i < n;) {
		int which = option_find(&words[i]);

		if (which == OPT_PROXY || which == OPT_LINT) {
			i = (which == OPT_PROXY ? proxy : lint)(m, &l, words, n, i + 1);
			optional = true;
			continue;
		}
		if (which >= 0) {
			option(m, &l, which, &words[i]);
			optional = true;
		} else if (optional && starts_like_address(words[i].text)) {
			conf_problem(m, CONF_ERROR, words[i].at, "an address behind the options");
			conf_hint(m, "write a second \"listen\": options are for a whole line");
		} else if (!address(m, &words[i])) {
			bad_address(m, &words[i]);
			optional = optional || !starts_like_address(words[i].text);
		}
		i++;
	}
	if (option_find(&words[0]) >= 0) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"listen\" begins with an address");
		conf_hint(m, "write listen :587 %.*s", S(words[0].text));
	}
	l.auth = l.auth || l.auth_required;
	/* A listener without the option that was mistyped would be judged wrongly. */
	if (m->errors > errors)
		c->n_listens = first;
	for (i = first; i < c->n_listens; i++) {
		l.addr = c->listens[i].addr;
		l.origin = c->listens[i].origin;
		c->listens[i] = l;
	}
}

static bool
format_listen(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config      *c = base;
	const struct listen_conf *l = i < c->n_listens ? &c->listens[i] : NULL;

	if (l == NULL)
		return false;
	v->origin = l->origin;
	buf_addc(v->out, ' ');
	addr_format_port(v->out, l->addr);
	if (l->tls != LISTEN_PLAIN)
		buf_addz(v->out, l->tls == LISTEN_TLS ? " tls" : " starttls");
	if (l->auth)
		buf_addz(v->out, " auth");
	if (l->tls_required)
		buf_addz(v->out, " tls-required");
	if (l->auth_required)
		buf_addz(v->out, " auth-required");
	if (l->lint != LISTEN_LINT_FIX)
		buf_addf(v->out, " lint %s", lints[l->lint]);
	for (size_t k = 0; k < l->n_proxy; k++) {
		buf_addz(v->out, k == 0 ? " proxy " : " ");
		cidr_format(v->out, &l->proxy[k]);
	}
	return true;
}

const struct kind kind_listen = {parse_listen, format_listen};
