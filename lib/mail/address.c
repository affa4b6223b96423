/* SPDX-License-Identifier: ISC */
#include "lib/mail/address.h"

#include <idn2.h>
#include <stdlib.h>

#include "lib/mail/syntax.h"

enum {
	NAME_MAX_OCTETS = 253, /* a host name as text (RFC 1035 section 2.3.4 less length octets) */
	UNICODE_MAX = 1000,    /* more than any name of that length has in UTF-8 */
};

bool
address_is_null(struct address a)
{
	return a.local.n == 0 && a.domain.n == 0;
}

void
address_format(struct buf *out, struct address a)
{
	buf_add(out, a.local);
	if (a.domain.n > 0) {
		buf_addc(out, '@');
		buf_add(out, a.domain);
	}
}

/* Place of the '@' behind the local part, or -1. */
static ptrdiff_t
find_at(struct str s)
{
	size_t    quoted = syntax_quoted(s);
	ptrdiff_t at = str_find(str_skip(s, quoted), '@');

	return at < 0 ? -1 : at + (ptrdiff_t)quoted;
}

enum address_error
address_parse(struct str s, struct address *a)
{
	ptrdiff_t at = find_at(s);

	*a = (struct address){.local = at < 0 ? s : str_sub(s, 0, (size_t)at)};
	if (!syntax_local(a->local))
		return ADDRESS_SYNTAX;
	a->utf8 = !syntax_is_ascii(s);
	if (a->local.n > LOCAL_MAX)
		return ADDRESS_TOO_LONG;
	if (at < 0)
		return ADDRESS_NO_DOMAIN;
	a->domain = str_skip(s, (size_t)at + 1);
	a->literal = syntax_literal(a->domain);
	if (!a->literal && !syntax_domain(a->domain))
		return ADDRESS_SYNTAX;
	if (a->domain.n > DOMAIN_MAX || s.n > ADDRESS_MAX)
		return ADDRESS_TOO_LONG;
	return ADDRESS_OK;
}

/*
 * What is between "<" and ">", where a quoted string may hold ">". False if
 * there is no such thing at the start of `rest`.
 */
static bool
cut_brackets(struct str *rest, struct str *inner)
{
	struct str s = *rest;

	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_skip(s, 1);
	if (s.n == 0 || s.p[0] != '<')
		return false;
	s = str_skip(s, 1);
	for (size_t i = 0; i < s.n; i++) {
		size_t quoted = s.p[i] == '"' ? syntax_quoted(str_skip(s, i)) : 0;

		if (s.p[i] == '>') {
			*inner = str_sub(s, 0, i);
			*rest = str_skip(s, i + 1);
			return true;
		}
		if (s.p[i] == '"' && quoted == 0)
			return false;
		i += quoted > 0 ? quoted - 1 : 0;
	}
	return false;
}

/* "@a,@b:" in front of the mailbox (RFC 5321 appendix C). */
static bool
cut_route(struct str *inner)
{
	ptrdiff_t  end = str_find(*inner, ':');
	struct str route, hop;

	if (end < 0)
		return false;
	route = str_sub(*inner, 0, (size_t)end);
	while (str_cut(&route, ',', &hop))
		if (hop.n < 2 || hop.p[0] != '@' || !syntax_domain(str_skip(hop, 1)))
			return false;
	*inner = str_skip(*inner, (size_t)end + 1);
	return true;
}

enum address_error
address_parse_path(struct str *rest, struct address *a)
{
	struct str         after = *rest, inner;
	enum address_error error;
	bool               route;

	*a = (struct address){0};
	if (!cut_brackets(&after, &inner))
		return ADDRESS_SYNTAX;
	route = inner.n > 0 && inner.p[0] == '@';
	if (route && !cut_route(&inner))
		return ADDRESS_SYNTAX;
	error = inner.n == 0 && !route ? ADDRESS_OK : address_parse(inner, a);
	if (error == ADDRESS_OK || error == ADDRESS_NO_DOMAIN)
		*rest = after;
	if (route && error != ADDRESS_SYNTAX && error != ADDRESS_TOO_LONG)
		return error == ADDRESS_OK ? ADDRESS_SOURCE_ROUTE : ADDRESS_SYNTAX;
	return error;
}

bool
address_has_hidden_route(struct address a)
{
	for (size_t i = 0; i < a.local.n; i++)
		if (a.local.p[i] == '%' || a.local.p[i] == '!' || a.local.p[i] == '@')
			return true;
	return false;
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void
add_lower(struct buf *out, struct str s)
{
	char *room = buf_room(out, s.n);

	if (room == NULL)
		return;
	for (size_t i = 0; i < s.n; i++)
		room[i] = lower(s.p[i]);
	buf_commit(out, s.n);
}

/* U-labels become A-labels; the result is checked again, as it is what goes to DNS. */
static bool
add_ascii_form(struct buf *out, struct str domain)
{
	char      *text = str_dup(domain), *made = NULL;
	struct str ascii;
	bool       ok;

	ok = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&made,
	                    IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) == IDN2_OK;
	ascii = str_of(ok ? made : NULL);
	if (str_ends(ascii, STR(".")))
		ascii = str_sub(ascii, 0, ascii.n - 1);
	ok = ok && ascii.n <= NAME_MAX_OCTETS && syntax_is_ascii(ascii) && syntax_domain(ascii);
	if (ok)
		add_lower(out, ascii);
	idn2_free(made);
	free(text);
	return ok && !out->over;
}

bool
domain_canonical(struct buf *out, struct str domain)
{
	if (str_ends(domain, STR(".")))
		domain = str_sub(domain, 0, domain.n - 1);
	if (domain.n > UNICODE_MAX || (!syntax_domain(domain) && !syntax_literal(domain)))
		return false;
	if (!syntax_is_ascii(domain))
		return add_ascii_form(out, domain);
	if (domain.n > NAME_MAX_OCTETS)
		return false;
	add_lower(out, domain);
	return !out->over;
}

/* `domain` and `pattern` are ASCII. */
static bool
matches(struct str domain, struct str pattern)
{
	if (str_eq(pattern, STR("*")))
		return domain.n > 0;
	if (str_starts(pattern, STR("*.")))
		return domain.n >= pattern.n && str_iends(domain, str_skip(pattern, 1));
	return domain.n > 0 && str_ieq(domain, pattern);
}

/* The pattern in ASCII; only its labels behind "*." go through IDNA. */
static bool
matches_pattern(struct str domain, struct str pattern)
{
	struct buf ascii = BUF(DOMAIN_MAX + 2);
	bool       wild = str_starts(pattern, STR("*.")), ok;

	if (str_ends(pattern, STR(".")))
		pattern = str_sub(pattern, 0, pattern.n - 1);
	if (syntax_is_ascii(pattern))
		return matches(domain, pattern);
	buf_addz(&ascii, wild ? "*." : "");
	ok = domain_canonical(&ascii, str_skip(pattern, wild ? 2 : 0)) &&
	     matches(domain, buf_str(&ascii));
	buf_free(&ascii);
	return ok;
}

bool
domain_matches(struct str domain, struct str pattern)
{
	struct buf ascii = BUF(DOMAIN_MAX + 1);
	bool       ok;

	if (str_starts(pattern, STR("*@")))
		pattern = str_skip(pattern, 2);
	if (str_ends(domain, STR(".")))
		domain = str_sub(domain, 0, domain.n - 1);
	if (syntax_is_ascii(domain))
		return matches_pattern(domain, pattern);
	ok = domain_canonical(&ascii, domain) && matches_pattern(buf_str(&ascii), pattern);
	buf_free(&ascii);
	return ok;
}

/* The next octet that a local part means: quotes and backslashes are only its spelling. */
static bool
next_meant(struct str *local, char *c)
{
	while (local->n > 0 && local->p[0] == '"')
		*local = str_skip(*local, 1);
	if (local->n > 1 && local->p[0] == '\\')
		*local = str_skip(*local, 1);
	if (local->n == 0)
		return false;
	*c = local->p[0];
	*local = str_skip(*local, 1);
	return true;
}

static bool
local_matches(struct str local, struct str pattern)
{
	bool exact = pattern.n > 0 && pattern.p[0] == '"';
	char a, b;

	if (str_eq(pattern, STR("*")))
		return true;
	for (;;) {
		bool more = next_meant(&local, &a);

		if (next_meant(&pattern, &b) != more)
			return false;
		if (!more)
			return true;
		if (exact ? a != b : lower(a) != lower(b))
			return false;
	}
}

bool
address_matches(struct address a, struct str pattern)
{
	ptrdiff_t at = str_rfind(pattern, '@');

	if (at >= 0 && !local_matches(a.local, str_sub(pattern, 0, (size_t)at)))
		return false;
	return domain_matches(a.domain, str_skip(pattern, (size_t)(at + 1)));
}

bool
domain_is_within(struct str name, struct str domain)
{
	return str_iends(name, domain) &&
	       (name.n == domain.n || name.p[name.n - domain.n - 1] == '.');
}
