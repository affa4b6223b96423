/* SPDX-License-Identifier: ISC */
#include "lib/mail/syntax.h"

#include <arpa/inet.h>
#include <string.h>

enum { LABEL_MAX = 63 };

/*
 * The lead octets of well-formed UTF-8, and the range of the octet behind them
 * (Unicode 15 table 3-7); all further octets are 80..BF.
 */
static const struct {
	unsigned char first, last, low, high;
	size_t        n;
} sequences[] = {
	{0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

bool
syntax_is_ascii(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all < 0x80;
}

/* Length of the well-formed sequence at the start of `s`, or 0. */
static size_t
sequence_length(struct str s)
{
	unsigned char first = (unsigned char)s.p[0];

	for (size_t k = 0; k < ARRAY_LEN(sequences); k++) {
		if (first < sequences[k].first || first > sequences[k].last)
			continue;
		if (s.n < sequences[k].n)
			return 0;
		for (size_t i = 1; i < sequences[k].n; i++) {
			unsigned char c = (unsigned char)s.p[i];
			unsigned char low = i == 1 ? sequences[k].low : 0x80;
			unsigned char high = i == 1 ? sequences[k].high : 0xbf;

			if (c < low || c > high)
				return 0;
		}
		return sequences[k].n;
	}
	return 0;
}

bool
syntax_is_utf8(struct str s)
{
	if (syntax_is_ascii(s))
		return true;
	while (s.n > 0) {
		size_t n = sequence_length(s);

		if (n == 0)
			return false;
		s = str_skip(s, n);
	}
	return true;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool
syntax_is_atext(char c)
{
	return is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

size_t
syntax_quoted(struct str s)
{
	if (s.n == 0 || s.p[0] != '"')
		return 0;
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\')
			i++;
	}
	return 0;
}

static bool
is_dot_string(struct str s)
{
	bool dot = true;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '.' && !syntax_is_atext(s.p[i]))
			return false;
		if (s.p[i] == '.' && dot)
			return false;
		dot = s.p[i] == '.';
	}
	return !dot;
}

/* RFC 5321 section 4.1.2: no control octets inside, not even quoted with a backslash. */
static bool
is_quoted_string(struct str s)
{
	if (syntax_quoted(s) != s.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

bool
syntax_local(struct str s)
{
	if (s.n == 0 || !syntax_is_utf8(s))
		return false;
	return s.p[0] == '"' ? is_quoted_string(s) : is_dot_string(s);
}

static bool
is_label(struct str s)
{
	/* A U-label is measured as A-label later; four octets for each of 63 are the most it can have. */
	size_t limit = syntax_is_ascii(s) ? LABEL_MAX : LABEL_MAX * 4;

	if (s.n == 0 || s.n > limit || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-' && (unsigned char)s.p[i] < 0x80)
			return false;
	return true;
}

bool
syntax_domain(struct str s)
{
	struct str label;

	if (s.n == 0 || !syntax_is_utf8(s))
		return false;
	while (str_cut(&s, '.', &label))
		if (!is_label(label))
			return false;
	return true;
}

bool
syntax_literal(struct str s)
{
	struct in_addr  v4;
	struct in6_addr v6;
	char            text[64];
	bool            six;

	if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = str_sub(s, 1, s.n - 2);
	six = str_istarts(s, STR("IPv6:"));
	s = str_skip(s, six ? 5 : 0);
	if (s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return six ? inet_pton(AF_INET6, text, &v6) == 1 : inet_pton(AF_INET, text, &v4) == 1;
}
