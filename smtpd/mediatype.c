/* SPDX-License-Identifier: ISC */
#include "smtpd/mediatype.h"

#include "lib/mail/header.h"

enum { TYPE_MAX = 255, VALUE_MAX = 8192 };

void
mediatype_init(struct mediatype *t)
{
	buf_init(&t->name, TYPE_MAX);
	buf_init(&t->boundary, BOUNDARY_MAX);
}

void
mediatype_free(struct mediatype *t)
{
	buf_free(&t->name);
	buf_free(&t->boundary);
}

static bool
is_token(char c)
{
	return c > ' ' && c < 0x7f && str_find(STR("()<>@,;:\\\"[]?="), c) < 0;
}

/* White space and comments, which may stand between all tokens (RFC 5322 section 3.2.2). */
static void
skip_blank(struct str *s)
{
	unsigned depth = 0;

	while (s->n > 0) {
		char c = s->p[0];

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0)
			*s = str_skip(*s, 1);
		else if (depth == 0 && c != ' ' && c != '\t')
			return;
		*s = str_skip(*s, 1);
	}
}

static void
take_token(struct str *s, struct buf *out)
{
	size_t n = 0;

	while (n < s->n && (is_token(s->p[n]) || s->p[n] == '/'))
		n++;
	buf_add(out, str_sub(*s, 0, n));
	*s = str_skip(*s, n);
}

static void
take_value(struct str *s, struct buf *out)
{
	if (!str_starts(*s, STR("\""))) {
		take_token(s, out);
		return;
	}
	*s = str_skip(*s, 1);
	while (s->n > 0 && s->p[0] != '"') {
		if (s->p[0] == '\\')
			*s = str_skip(*s, 1);
		buf_add(out, str_sub(*s, 0, 1));
		*s = str_skip(*s, 1);
	}
	*s = str_skip(*s, 1);
}

void
mediatype_parse(struct mediatype *t, struct str value)
{
	struct buf flat = BUF(VALUE_MAX), name = BUF(VALUE_MAX), text = BUF(VALUE_MAX);
	struct str s;

	buf_clear(&t->name);
	buf_clear(&t->boundary);
	header_unfold(&flat, value);
	s = buf_str(&flat);
	skip_blank(&s);
	take_token(&s, &t->name);
	while (s.n > 0) {
		skip_blank(&s);
		if (!str_starts(s, STR(";")))
			break;
		s = str_skip(s, 1);
		skip_blank(&s);
		buf_clear(&name);
		buf_clear(&text);
		take_token(&s, &name);
		skip_blank(&s);
		if (!str_starts(s, STR("=")))
			continue;
		s = str_skip(s, 1);
		skip_blank(&s);
		take_value(&s, &text);
		if (t->boundary.n == 0 && str_ieq(buf_str(&name), STR("boundary")))
			buf_add(&t->boundary, buf_str(&text));
	}
	buf_free(&flat);
	buf_free(&name);
	buf_free(&text);
}

bool
mediatype_is(const struct mediatype *t, struct str name)
{
	return str_ends(name, STR("/")) ? str_istarts(buf_str(&t->name), name)
	                                : str_ieq(buf_str(&t->name), name);
}
