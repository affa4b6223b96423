/* SPDX-License-Identifier: ISC */
#include "lib/util/str.h"

#include <string.h>

#include "lib/util/mem.h"

/*
 * What str_cut() leaves behind a separator at the very end. Only by its address
 * can the empty piece still owed be told from text that is used up.
 */
static const char last_piece[1] = "";

static unsigned char
fold(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
same(const char *a, const char *b, size_t n)
{
	return n == 0 || memcmp(a, b, n) == 0;
}

static bool
same_folded(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fold(a[i]) != fold(b[i]))
			return false;
	return true;
}

bool
str_ieq(struct str a, struct str b)
{
	return a.n == b.n && same_folded(a.p, b.p, a.n);
}

bool
str_starts(struct str s, struct str with)
{
	return s.n >= with.n && same(s.p, with.p, with.n);
}

bool
str_istarts(struct str s, struct str with)
{
	return s.n >= with.n && same_folded(s.p, with.p, with.n);
}

bool
str_ends(struct str s, struct str with)
{
	return s.n >= with.n && str_eq(str_skip(s, s.n - with.n), with);
}

bool
str_iends(struct str s, struct str with)
{
	return s.n >= with.n && str_ieq(str_skip(s, s.n - with.n), with);
}

ptrdiff_t
str_find(struct str s, char c)
{
	const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

	return at != NULL ? at - s.p : -1;
}

ptrdiff_t
str_rfind(struct str s, char c)
{
	const char *at = s.n > 0 ? memrchr(s.p, c, s.n) : NULL;

	return at != NULL ? at - s.p : -1;
}

ptrdiff_t
str_find_str(struct str s, struct str what)
{
	const char *at;

	if (what.n == 0)
		return 0;
	at = s.n >= what.n ? memmem(s.p, s.n, what.p, what.n) : NULL;
	return at != NULL ? at - s.p : -1;
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && blank(s.p[0]))
		s = str_skip(s, 1);
	while (s.n > 0 && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool
str_cut(struct str *rest, char sep, struct str *piece)
{
	ptrdiff_t at = str_find(*rest, sep);

	*piece = *rest;
	if (rest->n == 0 && rest->p != last_piece)
		return false;
	if (at < 0) {
		*rest = STR_NONE;
		return true;
	}
	piece->n = (size_t)at;
	*rest = str_skip(*rest, piece->n + 1);
	if (rest->n == 0)
		*rest = (struct str){last_piece, 0};
	return true;
}

static bool
ends_word(char c)
{
	return blank(c) || c == '\r' || c == '\n';
}

struct str
str_word(struct str *rest)
{
	struct str word;
	size_t     n = 0;

	while (rest->n > 0 && ends_word(rest->p[0]))
		*rest = str_skip(*rest, 1);
	while (n < rest->n && !ends_word(rest->p[n]))
		n++;
	word = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	return word;
}

bool
str_number(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t number = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9 || digit > max || number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*out = number;
	return s.n > 0;
}

char *
str_dup(struct str s)
{
	char *z = mem_array(s.n + 1, 1);

	if (s.n > 0)
		memcpy(z, s.p, s.n);
	return z;
}
