/* SPDX-License-Identifier: ISC */
#include "smtpd/quoted.h"

#include <string.h>

#include "smtpd/data.h"

enum { LINE = 76 };

void
outlet_flush(struct outlet *o)
{
	if (o->n > 0)
		o->fn(o->arg, (struct str){o->stage, o->n});
	o->n = 0;
}

void
outlet_add(struct outlet *o, struct str s)
{
	if (s.n > sizeof o->stage - o->n)
		outlet_flush(o);
	if (s.n > sizeof o->stage) {
		o->fn(o->arg, s);
		return;
	}
	if (s.n > 0)
		memcpy(o->stage + o->n, s.p, s.n);
	o->n += s.n;
}

static bool
ends_line(struct str text, size_t at)
{
	return at >= text.n || (text.p[at] == '\r' && at + 1 < text.n && text.p[at + 1] == '\n');
}

/* White space goes as it is unless a line ends with it: on the way it might get lost there. */
static bool
is_plain(struct str text, size_t at)
{
	char c = text.p[at];

	if (c == ' ' || c == '\t')
		return !ends_line(text, at + 1);
	return c > ' ' && c < 0x7f && c != '=';
}

static void
add_hex(struct outlet *o, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	unsigned char     octet = (unsigned char)c;
	char              text[3] = {'=', digits[octet >> 4], digits[octet & 15]};

	outlet_add(o, (struct str){text, sizeof text});
}

void
quoted_encode(struct outlet *o, struct str text)
{
	size_t column = 0;
	bool   broken = false; /* the line began with a soft line break */

	for (size_t i = 0; i < text.n; i++) {
		bool   plain = is_plain(text, i);
		size_t room = LINE - (ends_line(text, i + 1) ? 0 : 1);

		if (ends_line(text, i)) {
			outlet_add(o, STR("\r\n"));
			column = 0;
			broken = false;
			i++;
			continue;
		}
		if (column + (plain ? 1 : 3) > room) {
			outlet_add(o, STR("=\r\n"));
			column = 0;
			broken = true;
		}
		plain = plain && !(broken && column == 0 && text.p[i] == '-');
		if (plain)
			outlet_add(o, str_sub(text, i, 1));
		else
			add_hex(o, text.p[i]);
		column += plain ? 1 : 3;
	}
}

/* The next line of `rest`, and whether an end stood behind it. */
static struct str
cut_line(struct str *rest, bool *ended)
{
	ptrdiff_t  end = str_find_str(*rest, STR("\r\n"));
	struct str line = str_sub(*rest, 0, end < 0 ? rest->n : (size_t)end);

	*ended = end >= 0;
	*rest = str_skip(*rest, line.n + (end < 0 ? 0 : 2));
	return line;
}

/* How much of a long line is one line of the output: no "=XX" is torn. */
static size_t
soft_length(struct str line)
{
	size_t n = LINE - 1;

	if (line.p[n - 1] == '=')
		return n - 1;
	return line.p[n - 2] == '=' ? n - 2 : n;
}

void
quoted_refold(struct outlet *o, struct str text)
{
	bool ended = true;

	while (text.n > 0) {
		struct str line = cut_line(&text, &ended);
		bool       broken = line.n > DATA_LINE_MAX;

		while (broken && line.n > LINE) {
			struct str piece = str_sub(line, 0, soft_length(line));

			outlet_add(o, piece);
			outlet_add(o, STR("=\r\n"));
			line = str_skip(line, piece.n);
			if (line.p[0] == '-') {
				add_hex(o, '-');
				line = str_skip(line, 1);
			}
		}
		outlet_add(o, line);
		outlet_add(o, ended ? STR("\r\n") : STR_NONE);
	}
}

void
quoted_refold_base64(struct outlet *o, struct str text)
{
	bool ended = true;

	while (text.n > 0) {
		struct str line = cut_line(&text, &ended);

		while (line.n > DATA_LINE_MAX) {
			outlet_add(o, str_sub(line, 0, LINE));
			outlet_add(o, STR("\r\n"));
			line = str_skip(line, LINE);
		}
		outlet_add(o, line);
		outlet_add(o, ended ? STR("\r\n") : STR_NONE);
	}
}
