/* SPDX-License-Identifier: ISC */
/* config_domain - names of hosts and domains, sender patterns, and who may send as what. */
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"

enum { DOMAIN_OCTETS_MAX = 253, LABEL_MAX = 63, LOCAL_OCTETS_MAX = 64 };

/* Letters, digits and inner dashes; the last label is no number, or it would be an address. */
static bool
is_domain(struct str name)
{
	struct str label;
	bool       digits = true;

	if (name.n == 0 || name.n > DOMAIN_OCTETS_MAX)
		return false;
	while (str_cut(&name, '.', &label)) {
		digits = true;
		if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' ||
		    str_ends(label, STR("-")))
			return false;
		for (size_t i = 0; i < label.n; i++) {
			char c = label.p[i];

			if (c < '0' || c > '9')
				digits = false;
			if ((c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-')
				return false;
		}
	}
	return !digits;
}

bool
conf_domain(struct buf *out, struct str name)
{
	size_t from = out->n;
	bool   ascii = true;

	if (str_ends(name, STR(".")))
		name.n--;
	if (name.n > 4 * DOMAIN_OCTETS_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] >= 0x80)
			ascii = false;
	if (ascii) {
		for (size_t i = 0; i < name.n; i++) {
			char c = name.p[i];

			buf_addc(out, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
		}
	} else {
		char    *in = str_dup(name);
		uint8_t *alabel = NULL;

		if (idn2_lookup_u8((const uint8_t *)in, &alabel,
		                   IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK)
			buf_addz(out, (const char *)alabel);
		idn2_free(alabel);
		free(in);
	}
	return !out->over && is_domain(str_skip(buf_str(out), from));
}

static bool
no_domain(struct maker *m, const struct word *w)
{
	conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no domain", S(w->text));
	return false;
}

/* "example.com", "*.example.com", "*"; with `local`, also "ann@example.com" and "*@example.com". */
static bool
pattern(struct maker *m, const struct word *w, bool with_local, struct buf *out)
{
	struct str t = w->text;
	ptrdiff_t  at = str_rfind(t, '@');

	if (str_eq(t, STR("*"))) {
		buf_add(out, t);
		return true;
	}
	if (at >= 0 && !with_local) {
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is an address, not a domain", S(t));
		conf_hint(
			m,
			"single addresses go into \"user NAME { from %.*s }\" or \"trust NET { from ... }\"",
			S(t));
		return false;
	}
	if (at >= 0) {
		if (at == 0 || at > LOCAL_OCTETS_MAX) {
			conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no address pattern", S(t));
			conf_hint(
				m,
				"write example.com, *.example.com, *@example.com or ann@example.com");
			return false;
		}
		buf_add(out, str_sub(t, 0, (size_t)at + 1));
		t = str_skip(t, (size_t)at + 1);
		if (str_starts(t, STR("*"))) {
			conf_problem(m, CONF_ERROR, w->at, "\"%.*s\": no \"*\" behind the @",
			             S(w->text));
			conf_hint(m, "write *.example.com for all addresses of all subdomains");
			return false;
		}
	} else if (str_starts(t, STR("*."))) {
		buf_addz(out, "*.");
		t = str_skip(t, 2);
	}
	return conf_domain(out, t) || no_domain(m, w);
}

static bool
add_pattern(struct maker *m, const struct word *w, bool with_local, struct strs *list)
{
	struct buf b = BUF(1024);
	bool       ok = pattern(m, w, with_local, &b);
	size_t     at = list->n;

	/* One list after the other grows. */
	if (list->n == 0)
		m->patterns++;
	if (ok && conf_seen(m, CONF_SEEN_PATTERNS + m->patterns, buf_str(&b), &at)) {
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" stands here twice", S(w->text));
		ok = false;
	}
	if (ok)
		conf_add_str(m, list, buf_str(&b));
	buf_free(&b);
	return ok;
}

bool
conf_pattern(struct maker *m, const struct word *w, struct strs *list)
{
	return add_pattern(m, w, true, list);
}

static void
parse_domains(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
              size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!add_pattern(m, &words[i], false, &m->c->domains))
			continue;
		if (str_eq(words[i].text, STR("*")) && !m->carried)
			conf_problem(
				m, CONF_WARNING, words[i].at,
				"\"*\" lets clients send as any domain, which receivers will refuse");
	}
}

static bool
format_domains(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0 || c->domains.n == 0)
		return false;
	conf_put_strs(v->out, NULL, &c->domains);
	return true;
}

static void
parse_from(struct maker *m, const struct row *row, void *base, struct word *words, size_t n)
{
	struct strs *list = (struct strs *)(void *)((char *)base + row->at);

	for (size_t i = 0; i < n; i++)
		conf_pattern(m, &words[i], list);
}

static bool
format_from(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct strs *list = (const struct strs *)(const void *)((const char *)base + row->at);

	if (i > 0 || list->n == 0)
		return false;
	conf_put_strs(v->out, NULL, list);
	return true;
}

static void
parse_hostname(struct maker *m, const struct row *row, void *base, struct word *words,
               size_t n UNUSED)
{
	struct str *to = (struct str *)(void *)((char *)base + row->at);
	struct buf  b = BUF(1024);

	if (conf_domain(&b, words[0].text)) {
		*to = conf_copy(m, buf_str(&b));
	} else {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no host name",
		             S(words[0].text));
		*to = STR("error.invalid"); /* so that no later check stumbles over it too */
	}
	buf_free(&b);
}

/* user NAME { from PATTERN ... } */
static void
parse_user(struct maker *m, const struct row *row, void *base UNUSED, struct word *words,
           size_t n UNUSED)
{
	struct config    *c = m->c;
	struct user_conf *u;
	size_t            at = c->n_user;

	if (str_find(words[0].text, ':') >= 0 || words[0].text.n == 0) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no user name",
		             S(words[0].text));
		return;
	}
	if (conf_seen(m, CONF_SEEN_USERS, words[0].text, &at)) {
		conf_problem(m, CONF_ERROR, words[0].at, "user %.*s has a block already (line %u)",
		             S(words[0].text), c->user[at].origin.line);
		return;
	}
	c->user = arena_more(&m->full->arena, c->user, c->n_user, sizeof *c->user);
	u = &c->user[c->n_user++];
	u->name = conf_copy(m, words[0].text);
	u->origin = conf_origin(m, &words[0]);
	conf_statements(m, row->block, u, 1);
}

static bool
format_user(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct config *c = base;

	if (i >= c->n_user)
		return false;
	v->origin = c->user[i].origin;
	conf_put_word(v->out, c->user[i].name);
	conf_put_block(v, row->block, &c->user[i]);
	return true;
}

static bool
format_hostname(struct view *v, const struct row *row, const void *base, size_t i)
{
	return kind_name.format(v, row, base, i);
}

const struct kind kind_hostname = {parse_hostname, format_hostname};
const struct kind kind_domains = {parse_domains, format_domains};
const struct kind kind_from = {parse_from, format_from};
const struct kind kind_user = {parse_user, format_user};
