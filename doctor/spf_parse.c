/* SPDX-License-Identifier: ISC */
/* The grammar of RFC 7208 section 12. */
#include "doctor/spf.h"

enum { BITS4 = 32, BITS6 = 128 };

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
spf_is_record(struct str txt)
{
	return str_istarts(txt, STR("v=spf1")) && (txt.n == 6 || txt.p[6] == ' ');
}

/* ---- macros: section 7.1 ---- */

/* Octets of the "%..." at the start of `s`; 0: not a macro. */
static size_t
macro_length(struct str s, enum macro_use use)
{
	ptrdiff_t  end = str_find(s, '}');
	struct str body, letters = use == MACRO_TEXT ? STR("slodiphcrtv") : STR("slodiphv");
	size_t     i = 1;
	bool       zero = true;

	if (s.n >= 2 && (s.p[1] == '%' || s.p[1] == '_' || s.p[1] == '-'))
		return 2;
	if (s.n < 4 || s.p[1] != '{' || end < 3)
		return 0;
	body = str_sub(s, 2, (size_t)end - 2);
	if (str_find(letters, (char)(body.p[0] | 32)) < 0)
		return 0;
	for (; i < body.n && is_digit(body.p[i]); i++)
		zero = zero && body.p[i] == '0';
	if (i > 1 && (zero || i > 4))
		return 0;
	if (i < body.n && (body.p[i] | 32) == 'r')
		i++;
	for (; i < body.n; i++)
		if (str_find(STR(".-+,/_="), body.p[i]) < 0)
			return 0;
	return (size_t)end + 1;
}

/* "." toplabel ["."] at the end, or a macro there. */
static bool
is_domain_end(struct str s, bool macro_last)
{
	bool       letter = false, hyphen = false;
	ptrdiff_t  dot;
	struct str top;

	if (macro_last)
		return true;
	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if ((dot = str_rfind(s, '.')) < 0)
		return false;
	top = str_skip(s, (size_t)dot + 1);
	for (size_t i = 0; i < top.n; i++) {
		letter = letter || is_alpha(top.p[i]);
		hyphen = hyphen || top.p[i] == '-';
		if (!is_alpha(top.p[i]) && !is_digit(top.p[i]) && top.p[i] != '-')
			return false;
	}
	return top.n > 0 && (letter || hyphen) && top.p[0] != '-' && top.p[top.n - 1] != '-';
}

bool
spf_macro_valid(struct str s, enum macro_use use)
{
	bool   macro_last = false;
	size_t i = 0;

	while (i < s.n) {
		unsigned char c = (unsigned char)s.p[i];
		size_t        n = 1;

		macro_last = c == '%';
		if (c == '%')
			n = macro_length(str_skip(s, i), use);
		else if (c > 126 || c < (use == MACRO_TEXT ? 32 : 33))
			return false;
		if (n == 0)
			return false;
		/* "%%" and its kin are literals, no end of a domain */
		if (macro_last && n == 2)
			macro_last = false;
		i += n;
	}
	return use != MACRO_DOMAIN || (s.n > 0 && is_domain_end(s, macro_last));
}

/* ---- terms ---- */

/* "/" and a number without leading zeros, cut off the end of `s`. */
static bool
take_bits(struct str *s, struct str slash, unsigned max, unsigned *bits)
{
	ptrdiff_t  at = -1;
	struct str digits;
	uint64_t   n;

	for (size_t i = 0; i + slash.n <= s->n; i++)
		if (str_starts(str_skip(*s, i), slash))
			at = (ptrdiff_t)i;
	if (at < 0)
		return true;
	digits = str_skip(*s, (size_t)at + slash.n);
	if (slash.n == 1 && digits.n > 0 && !is_digit(digits.p[0]))
		return true; /* a slash inside of a macro */
	if (!str_number(digits, max, &n) || (digits.n > 1 && digits.p[0] == '0'))
		return false;
	*bits = (unsigned)n;
	s->n = (size_t)at;
	return true;
}

/* [":" domain-spec] [dual-cidr-length] */
static bool
parse_host(struct spf_term *t, struct str rest, bool with_bits)
{
	t->bits4 = BITS4;
	t->bits6 = BITS6;
	if (with_bits && (!take_bits(&rest, STR("//"), BITS6, &t->bits6) ||
	                  !take_bits(&rest, STR("/"), BITS4, &t->bits4)))
		return false;
	if (rest.n == 0)
		return true;
	if (rest.p[0] != ':')
		return false;
	t->domain = str_skip(rest, 1);
	return spf_macro_valid(t->domain, MACRO_DOMAIN);
}

static bool
parse_net(struct spf_term *t, struct str rest, unsigned family)
{
	unsigned *bits = family == 4 ? &t->bits4 : &t->bits6;

	t->bits4 = BITS4;
	t->bits6 = BITS6;
	if (rest.n < 2 || rest.p[0] != ':')
		return false;
	rest = str_skip(rest, 1);
	/* addr_parse() would turn ::ffff:192.0.2.1 to IPv4, and takes brackets */
	return take_bits(&rest, STR("/"), family == 4 ? BITS4 : BITS6, bits) && rest.n > 0 &&
	       rest.p[0] != '[' && (family == 4) == (str_find(rest, ':') < 0) &&
	       addr_parse(rest, &t->addr);
}

static bool
parse_mechanism(struct spf_term *t, struct str word)
{
	static const struct {
		const char   *name;
		enum spf_kind kind;
	} names[] = {{"all", SPF_ALL}, {"include", SPF_INCLUDE}, {"a", SPF_A},
	             {"mx", SPF_MX},   {"ptr", SPF_PTR},         {"ip4", SPF_IP4},
	             {"ip6", SPF_IP6}, {"exists", SPF_EXISTS}};
	size_t     n = 0, i = 0;
	struct str rest;

	t->qualifier = '+';
	if (word.n > 0 && str_find(STR("+-~?"), word.p[0]) >= 0) {
		t->qualifier = word.p[0];
		word = str_skip(word, 1);
	}
	while (n < word.n && word.p[n] != ':' && word.p[n] != '/')
		n++;
	while (i < ARRAY_LEN(names) && !str_ieq(str_sub(word, 0, n), str_of(names[i].name)))
		i++;
	if (i == ARRAY_LEN(names))
		return false;
	t->kind = names[i].kind;
	rest = str_skip(word, n);
	if (t->kind == SPF_ALL)
		return rest.n == 0;
	if (t->kind == SPF_IP4 || t->kind == SPF_IP6)
		return parse_net(t, rest, t->kind == SPF_IP4 ? 4 : 6);
	if ((t->kind == SPF_INCLUDE || t->kind == SPF_EXISTS) && rest.n == 0)
		return false;
	return parse_host(t, rest, t->kind == SPF_A || t->kind == SPF_MX);
}

/* How long the name in front of "=" is; 0: not a modifier. */
static size_t
modifier_name(struct str word)
{
	size_t n = 0;

	while (n < word.n &&
	       (is_alpha(word.p[n]) ||
	        (n > 0 && (is_digit(word.p[n]) || str_find(STR("-_."), word.p[n]) >= 0))))
		n++;
	return n < word.n && word.p[n] == '=' ? n : 0;
}

static bool
parse_term(struct spf_term *t, struct str word)
{
	size_t n = modifier_name(word);

	*t = (struct spf_term){.text = word, .qualifier = '+'};
	if (n == 0)
		return parse_mechanism(t, word);
	t->domain = str_skip(word, n + 1);
	t->kind = str_ieq(str_sub(word, 0, n), STR("redirect")) ? SPF_REDIRECT
	          : str_ieq(str_sub(word, 0, n), STR("exp"))    ? SPF_EXP
	                                                        : SPF_OTHER;
	return spf_macro_valid(t->domain, t->kind == SPF_OTHER ? MACRO_STRING : MACRO_DOMAIN);
}

bool
spf_parse(struct spf_record *r, struct str txt, struct buf *why)
{
	struct str rest = str_skip(txt, 6), word;
	unsigned   redirects = 0, exps = 0;

	r->n = 0;
	while (str_cut(&rest, ' ', &word)) {
		struct spf_term *t = &r->terms[r->n];

		if (word.n == 0)
			continue;
		if (r->n == SPF_TERMS_MAX - 1) {
			buf_addz(why, "too many terms");
			return false;
		}
		if (!parse_term(t, word)) {
			buf_addz(why, "not a term of SPF: ");
			buf_add(why, word);
			return false;
		}
		redirects += t->kind == SPF_REDIRECT;
		exps += t->kind == SPF_EXP;
		if (redirects > 1 || exps > 1) {
			buf_addz(why, "twice: ");
			buf_add(why, word);
			return false;
		}
		r->n++;
	}
	return true;
}
