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

/* Runs of white space as one SP, none at the end. */
static void
add_line(struct buf *out, struct str line)
{
	while (line.n > 0) {
		size_t n = 0;

		while (n < line.n && !is_wsp(line.p[n]))
			n++;
		buf_add(out, str_sub(line, 0, n));
		line = str_skip(line, n);
		n = line.n;
		while (line.n > 0 && is_wsp(line.p[0]))
			line = str_skip(line, 1);
		if (n > 0 && line.n > 0)
			buf_addc(out, ' ');
	}
}

void
canon_body(struct buf *out, struct str body, enum canon canon)
{
	size_t from = out->n, end = from;

	while (body.n > 0) {
		ptrdiff_t  crlf = str_find_str(body, STR("\r\n"));
		struct str line = str_sub(body, 0, crlf < 0 ? body.n : (size_t)crlf);
		size_t     before = out->n;

		body = str_skip(body, line.n + 2);
		if (canon == CANON_SIMPLE)
			buf_add(out, line);
		else
			add_line(out, line);
		if (out->n > before)
			end = out->n + 2;
		buf_addz(out, "\r\n");
	}
	/* Empty lines at the end do not count; of no lines at all, simple makes one. */
	buf_truncate(out, end);
	if (end == from && canon == CANON_SIMPLE)
		buf_addz(out, "\r\n");
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
