/* SPDX-License-Identifier: ISC */
#include "dkim/warrant.h"

#include "dkim/bodyhash.h"
#include "dkim/record.h"
#include "dkim/sign.h"
#include "lib/mail/address.h"
#include "lib/mail/header.h"

enum tag { TAG_V, TAG_A, TAG_C, TAG_D, TAG_S, TAG_T, TAG_H, TAG_BH, TAG_B, TAGS };

/*
 * In the order in which dkim/sign.c writes them. Verifiers differ in what they make of a
 * tag that stands twice, of l= or of i=; here it has no place to stand.
 */
static const char *const tag_names[TAGS] = {
	[TAG_V] = "v=", [TAG_A] = "a=", [TAG_C] = "c=",   [TAG_D] = "d=", [TAG_S] = "s=",
	[TAG_T] = "t=", [TAG_H] = "h=", [TAG_BH] = "bh=", [TAG_B] = "b=",
};

/* All of them, in order; b= is the last, and empty. */
static bool
parse_tags(struct str rest, struct str tags[TAGS])
{
	for (int i = 0; i < TAGS; i++) {
		struct str name = str_of(tag_names[i]), value;

		rest = tag_trim(rest);
		if (!str_starts(rest, name))
			return false;
		rest = str_skip(rest, name.n);
		if (i == TAG_B)
			return rest.n == 0;
		if (str_find(rest, ';') < 0 || !str_cut(&rest, ';', &value))
			return false;
		tags[i] = value;
	}
	return false;
}

static bool
is_canon(struct str c)
{
	struct str header;
	enum canon canon;

	return str_find(c, '/') > 0 && str_cut(&c, '/', &header) && canon_parse(header, &canon) &&
	       canon_parse(c, &canon);
}

static size_t
count_from(struct str names)
{
	struct str name;
	size_t     n = 0;

	while (names.n > 0 && str_cut(&names, ':', &name))
		n += str_ieq(tag_trim(name), STR("from"));
	return n;
}

/* The same rule as config_find_dkim(). */
static const char *
check_author(const struct warrant *w, struct str value)
{
	struct buf     domain = BUF(DOMAIN_MAX);
	struct address a;
	const char    *why = NULL;
	bool           bad = false;

	if (!header_mailbox(&value, &a, &bad) || !domain_canonical(&domain, a.domain))
		why = "the From field has no author with a domain";
	else if (!domain_is_within(buf_str(&domain), w->domain))
		why = "the author belongs to another domain than the key";
	buf_free(&domain);
	return why;
}

/* `named` is how often h= says "from". */
static const char *
check_fields(const struct warrant *w, struct str fields, size_t named)
{
	struct field f;
	size_t       n = 0;
	bool         bad = false;
	const char  *why;

	if (!str_ends(fields, STR("\r\n")))
		return "the covered fields have no end";
	while (header_next(&fields, &f, &bad)) {
		if (bad)
			return "what is covered is not made of fields";
		if (!str_ieq(f.name, STR("from")))
			continue;
		n++;
		if ((why = check_author(w, f.value)) != NULL)
			return why;
	}
	if (n == 0)
		return "no From field is covered";
	return named > n ? NULL : "another From field could be added";
}

static const char *
check_tags(const struct warrant *w, const struct str tags[TAGS])
{
	uint64_t time;

	if (!str_eq(tags[TAG_V], STR("1")) ||
	    !str_eq(tags[TAG_A], str_of(dkim_algorithm(w->type))) || !is_canon(tags[TAG_C]) ||
	    !str_number(tags[TAG_T], INT64_MAX, &time))
		return "the signature field is not as it should be";
	if (!str_eq(tags[TAG_D], w->domain) || !str_eq(tags[TAG_S], w->selector))
		return "the signature field is for another key";
	return bodyhash_is_text(tags[TAG_BH]) ? NULL : "there is no body hash";
}

const char *
warrant_check(const struct warrant *w, struct str fields, struct str last)
{
	struct str   tags[TAGS];
	struct field f;
	bool         bad = false;
	const char  *why;

	if (!header_next(&last, &f, &bad) || bad || last.n > 0 ||
	    !str_ieq(f.name, STR("DKIM-Signature")) || !parse_tags(f.value, tags))
		return "the signature field is not as it should be";
	if ((why = check_tags(w, tags)) != NULL)
		return why;
	return check_fields(w, fields, count_from(tags[TAG_H]));
}
