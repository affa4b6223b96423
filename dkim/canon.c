/* SPDX-License-Identifier: ISC */
#include "dkim/canon.h"

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

static void
add_lower(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		buf_addc(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
}

static bool
is_crlf(struct str s, size_t at)
{
	return s.n - at > 1 && s.p[at] == '\r' && s.p[at + 1] == '\n';
}

/* Octets up to white space or CRLF; a lone CR or LF is an octet like any other. */
static size_t
word_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && !is_wsp(s.p[n]) && !is_crlf(s, n))
		n++;
	return n;
}

/* Unfolded, runs of white space as one SP, none at both ends. */
static void
add_squeezed(struct buf *out, struct str value)
{
	bool first = true;

	while (value.n > 0) {
		size_t n = word_length(value);

		if (n > 0) {
			buf_addz(out, first ? "" : " ");
			buf_add(out, str_sub(value, 0, n));
			first = false;
		}
		value = str_skip(value, n);
		while (value.n > 0 && is_wsp(value.p[0]))
			value = str_skip(value, 1);
		if (is_crlf(value, 0))
			value = str_skip(value, 2);
	}
}

void
canon_field(struct buf *out, const struct field *f, enum canon canon)
{
	if (canon == CANON_SIMPLE) {
		buf_add(out, f->raw);
		if (!str_ends(f->raw, STR("\r\n")))
			buf_addz(out, "\r\n");
		return;
	}
	add_lower(out, f->name);
	buf_addc(out, ':');
	add_squeezed(out, f->value);
	buf_addz(out, "\r\n");
}
