/* SPDX-License-Identifier: ISC */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "tests/fake/script_inner.h"

static struct binding *
find(struct binding *all, size_t n, struct str name)
{
	for (size_t i = n; i-- > 0;)
		if (str_eq(str_of(all[i].name), name))
			return &all[i];
	return NULL;
}

struct str
script_var(const struct script *sc, struct str name, bool *found)
{
	const struct binding *b = find(sc->vars, sc->var_count, name);

	*found = b != NULL;
	return b == NULL ? STR_NONE : buf_str(&b->value);
}

void
script_bind(struct script *sc, struct str name, struct str value)
{
	struct binding *b = find(sc->vars, sc->var_count, name);

	if (b == NULL) {
		sc->vars = mem_resize(sc->vars, sc->var_count + 1, sizeof *sc->vars);
		b = &sc->vars[sc->var_count++];
		*b = (struct binding){.name = str_dup(name), .value = BUF(SCRIPT_TEXT_MAX)};
	}
	buf_clear(&b->value);
	buf_add(&b->value, value);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape behind its backslash; the number of octets used, 0: it is none. */
static size_t
unescape(struct str at, struct buf *out)
{
	static const char from[] = "rnt0\\*$\"", to[] = "\r\n\t\0\\*$\"";
	const char       *known;
	int               high, low;

	if (at.n == 0)
		return 0;
	high = at.p[0] == 'x' && at.n >= 3 ? hex(at.p[1]) : -1;
	low = high >= 0 ? hex(at.p[2]) : -1;
	if (low >= 0) {
		buf_addc(out, (char)(high << 4 | low));
		return 3;
	}
	known = memchr(from, at.p[0], sizeof from - 1);
	if (known == NULL)
		return 0;
	buf_addc(out, to[known - from]);
	return 1;
}

/* $NAME or ${NAME} behind the dollar. */
static size_t
substitute(struct script *sc, struct str at, struct buf *out)
{
	bool       braces = at.n > 0 && at.p[0] == '{', found;
	size_t     from = braces ? 1 : 0, to = from;
	struct str value;

	while (to < at.n && (isalnum((unsigned char)at.p[to]) || at.p[to] == '_'))
		to++;
	if (to == from || (braces && (to == at.n || at.p[to] != '}')))
		return 0;
	value = script_var(sc, str_sub(at, from, to - from), &found);
	if (!found)
		return 0;
	buf_add(out, value);
	return braces ? to + 1 : to;
}

bool
script_expand(struct script *sc, struct str text, struct buf *out, bool *star, bool *open)
{
	if (star != NULL)
		*star = false;
	if (open != NULL)
		*open = false;
	while (text.n > 0) {
		size_t used = 0;

		if (text.p[0] == '*' && text.n == 1 && star != NULL) {
			*star = true;
			return true;
		}
		if (text.p[0] == '\\' && text.n == 2 && text.p[1] == 'c' && open != NULL) {
			*open = true;
			return true;
		}
		if (text.p[0] != '\\' && text.p[0] != '$') {
			buf_addc(out, text.p[0]);
		} else {
			used = text.p[0] == '\\' ? unescape(str_skip(text, 1), out)
			                         : substitute(sc, str_skip(text, 1), out);
			if (used == 0)
				return script_fail(sc, "what is \"%.*s\"?",
				                   (int)(text.n < 20 ? text.n : 20), text.p);
		}
		text = str_skip(text, used + 1);
	}
	return true;
}

void
script_show(struct buf *out, struct str octets)
{
	static const char names[] = "\rr\nn\tt\\\\";

	buf_addc(out, '"');
	for (size_t i = 0; i < octets.n; i++) {
		const char *known = NULL;

		for (size_t k = 0; k < sizeof names - 1 && known == NULL; k += 2)
			known = names[k] == octets.p[i] ? &names[k + 1] : NULL;
		if (known != NULL)
			buf_addf(out, "\\%c", *known);
		else if (isprint((unsigned char)octets.p[i]))
			buf_addc(out, octets.p[i]);
		else
			buf_addf(out, "\\x%02x", (unsigned)(unsigned char)octets.p[i]);
	}
	buf_addc(out, '"');
}

static size_t
quoted_end(struct str s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != '"')
		i += s.p[i] == '\\' ? 2 : 1;
	return i < s.n ? i : s.n;
}

bool
script_pair(struct str *rest, struct pair *p)
{
	size_t     n = 0;
	struct str value;

	*rest = str_trim(*rest);
	*p = (struct pair){0};
	if (rest->n == 0)
		return false;
	while (n < rest->n && strchr("=~ \"", rest->p[n]) == NULL)
		n++;
	p->key = str_sub(*rest, 0, n);
	if (n == rest->n || (rest->p[n] != '=' && rest->p[n] != '~')) {
		*rest = str_skip(*rest, n + 1);
		return true;
	}
	p->op = rest->p[n];
	value = str_skip(*rest, n + 1);
	p->quoted = value.n > 0 && value.p[0] == '"';
	if (p->quoted) {
		value = str_skip(value, 1);
		p->value = str_sub(value, 0, quoted_end(value));
		*rest = str_skip(value, p->value.n + 1);
		return true;
	}
	for (n = 0; n < value.n && value.p[n] != ' ' && value.p[n] != '\t'; n++)
		;
	p->value = str_sub(value, 0, n);
	*rest = str_skip(value, n);
	return true;
}
