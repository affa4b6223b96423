/* SPDX-License-Identifier: ISC */
#include "lib/mail/header.h"

#include <string.h>

#include "lib/mail/syntax.h"

enum { COMMENT_DEPTH = 16 };

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

void
header_split(struct str message, struct str *head, struct str *body)
{
	ptrdiff_t end = str_starts(message, STR("\r\n")) ? 0
	                                                 : str_find_str(message, STR("\r\n\r\n"));

	if (end < 0) {
		*head = message;
		*body = str_skip(message, message.n);
		return;
	}
	/* The first of the two line ends belongs to the last field. */
	*head = str_sub(message, 0, end == 0 ? 0 : (size_t)end + 2);
	*body = str_skip(message, head->n + 2);
}

/* Length of the first line of `s` with its line end. */
static size_t
line_length(struct str s)
{
	ptrdiff_t end = str_find(s, '\n');

	return end < 0 ? s.n : (size_t)end + 1;
}

static struct str
without_line_end(struct str s)
{
	if (str_ends(s, STR("\n")))
		s = str_sub(s, 0, s.n - 1);
	if (str_ends(s, STR("\r")))
		s = str_sub(s, 0, s.n - 1);
	return s;
}

/* White space before the colon is obsolete but legal (RFC 5322 section 4.5). */
static bool
parse_field(struct field *f)
{
	size_t colon = 0, end;

	while (colon < f->raw.n && f->raw.p[colon] > ' ' && f->raw.p[colon] < 0x7f &&
	       f->raw.p[colon] != ':')
		colon++;
	end = colon;
	while (colon < f->raw.n && is_wsp(f->raw.p[colon]))
		colon++;
	if (end == 0 || colon >= f->raw.n || f->raw.p[colon] != ':')
		return false;
	f->name = str_sub(f->raw, 0, end);
	f->value = without_line_end(str_skip(f->raw, colon + 1));
	return true;
}

bool
header_next(struct str *rest, struct field *f, bool *bad)
{
	size_t n;

	*f = (struct field){0};
	if (rest->n == 0)
		return false;
	n = line_length(*rest);
	while (n < rest->n && is_wsp(rest->p[n]))
		n += line_length(str_skip(*rest, n));
	f->raw = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	if (!parse_field(f) && bad != NULL)
		*bad = true;
	return true;
}

bool
header_find(struct str head, struct str name, size_t n, struct field *f)
{
	while (header_next(&head, f, NULL))
		if (f->name.n > 0 && str_ieq(f->name, name) && n-- == 0)
			return true;
	return false;
}

size_t
header_count(struct str head, struct str name)
{
	struct field f;
	size_t       n = 0;

	while (header_next(&head, &f, NULL))
		n += f.name.n > 0 && str_ieq(f.name, name);
	return n;
}

static bool
is_blank(char c)
{
	return is_wsp(c) || c == '\r' || c == '\n';
}

void
header_unfold(struct buf *out, struct str value)
{
	struct str line;

	while (value.n > 0 && is_blank(value.p[0]))
		value = str_skip(value, 1);
	while (value.n > 0 && is_blank(value.p[value.n - 1]))
		value = str_sub(value, 0, value.n - 1);
	while (str_cut(&value, '\n', &line))
		buf_add(out, str_ends(line, STR("\r")) ? str_sub(line, 0, line.n - 1) : line);
}

/* Cut off white space and comments. False if a comment is too deep or does not close. */
static bool
skip_cfws(struct str *rest)
{
	size_t depth = 0, i = 0;

	for (; i < rest->n; i++) {
		char c = rest->p[i];

		if (c == '(') {
			if (++depth > COMMENT_DEPTH)
				return false;
		} else if (depth > 0 && c == '\\') {
			i++;
		} else if (depth > 0) {
			depth -= c == ')';
		} else if (!is_blank(c)) {
			break;
		}
	}
	*rest = str_skip(*rest, i);
	return depth == 0;
}

/*
 * A quoted string, or a run of what atoms, dot-atoms and (as senders do write
 * them in display names) brackets are made of. Empty if neither is there.
 */
static struct str
cut_word(struct str *rest)
{
	size_t     n = syntax_quoted(*rest);
	struct str word;

	if (n == 0)
		while (n < rest->n && (syntax_is_atext(rest->p[n]) || rest->p[n] == '.' ||
		                       rest->p[n] == '[' || rest->p[n] == ']'))
			n++;
	word = str_sub(*rest, 0, n);
	*rest = str_skip(*rest, n);
	return word;
}

static struct str
cut_literal(struct str *rest)
{
	ptrdiff_t  end = str_find(*rest, ']');
	struct str literal = str_sub(*rest, 0, (size_t)(end + 1));

	*rest = str_skip(*rest, literal.n);
	return literal;
}

/* What follows "local": "@" and a domain. */
static bool
parse_domain(struct str *rest, struct address *a)
{
	*rest = str_skip(*rest, 1);
	if (!skip_cfws(rest))
		return false;
	a->literal = rest->n > 0 && rest->p[0] == '[';
	a->domain = a->literal ? cut_literal(rest) : cut_word(rest);
	if (a->domain.n > DOMAIN_MAX)
		return false;
	return a->literal ? syntax_literal(a->domain) : syntax_domain(a->domain);
}

/* "local@domain" with white space and comments anywhere between the parts, or "local". */
static bool
parse_mailbox(struct str *rest, struct str local, struct address *a)
{
	*a = (struct address){.local = local};
	if (!syntax_local(local) || !skip_cfws(rest))
		return false;
	if (rest->n > 0 && rest->p[0] == '@' && (!parse_domain(rest, a) || !skip_cfws(rest)))
		return false;
	a->utf8 = !syntax_is_ascii(a->local) || !syntax_is_ascii(a->domain);
	return true;
}

/* Behind "<". Source routes are obsolete here too; nobody may need one to write an author. */
static bool
parse_angle(struct str *rest, struct address *a)
{
	bool ok = skip_cfws(rest);

	*a = (struct address){0};
	if (ok && rest->n > 0 && rest->p[0] != '>')
		ok = parse_mailbox(rest, cut_word(rest), a);
	if (!ok || rest->n == 0 || rest->p[0] != '>')
		return false;
	*rest = str_skip(*rest, 1);
	return skip_cfws(rest);
}

/* Semicolons end groups; many user programs also part addresses with them. */
static bool
is_separator(char c)
{
	return c == ',' || c == ';';
}

enum found { FOUND_NONE, FOUND_MAILBOX, FOUND_BAD };

/* One element of the list: a mailbox, the beginning of a group, or nothing between two commas. */
static enum found
parse_element(struct str *rest, struct address *a)
{
	struct str first = STR_NONE, word;
	size_t     words = 0;

	for (;;) {
		if (!skip_cfws(rest))
			return FOUND_BAD;
		word = cut_word(rest);
		if (word.n == 0)
			break;
		if (words++ == 0)
			first = word;
	}
	if (rest->n > 0 && rest->p[0] == '<') {
		*rest = str_skip(*rest, 1);
		if (!parse_angle(rest, a))
			return FOUND_BAD;
	} else if (rest->n > 0 && rest->p[0] == ':' && words > 0) {
		*rest = str_skip(*rest, 1);
		return FOUND_NONE;
	} else if (words == 1) {
		if (!parse_mailbox(rest, first, a))
			return FOUND_BAD;
	} else if (words > 1) {
		return FOUND_BAD;
	}
	if (rest->n > 0 && !is_separator(rest->p[0]))
		return FOUND_BAD;
	*rest = str_skip(*rest, 1);
	return words > 0 || a->local.n > 0 || a->domain.n > 0 ? FOUND_MAILBOX : FOUND_NONE;
}

bool
header_mailbox(struct str *rest, struct address *a, bool *bad)
{
	while (rest->n > 0) {
		*a = (struct address){0};
		switch (parse_element(rest, a)) {
		case FOUND_MAILBOX:
			return true;
		case FOUND_BAD:
			*bad = true;
			*rest = STR_NONE;
			return false;
		case FOUND_NONE:
			break;
		}
	}
	return false;
}
