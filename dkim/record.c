/* SPDX-License-Identifier: ISC */
#include "dkim/record.h"

#include "dkim/public.h"
#include "lib/util/encode.h"

enum { KEY_MAX = 4096 };

struct str
tag_trim(struct str s)
{
	while (s.n > 0 && str_find(STR(" \t\r\n"), s.p[0]) >= 0)
		s = str_skip(s, 1);
	while (s.n > 0 && str_find(STR(" \t\r\n"), s.p[s.n - 1]) >= 0)
		s.n--;
	return s;
}

bool
tag_next(struct str *rest, struct str *name, struct str *value)
{
	struct str piece;
	ptrdiff_t  at;

	do {
		if (!str_cut(rest, ';', &piece))
			return false;
		piece = tag_trim(piece);
	} while (piece.n == 0);
	at = str_find(piece, '=');
	*name = at < 0 ? STR_NONE : tag_trim(str_sub(piece, 0, (size_t)at));
	*value = at < 0 ? piece : tag_trim(str_skip(piece, (size_t)at + 1));
	return true;
}

/* One of the words between colons? */
static bool
lists(struct str words, struct str word)
{
	struct str one;

	while (str_cut(&words, ':', &one))
		if (str_eq(tag_trim(one), word))
			return true;
	return false;
}

/* White space inside of p= is allowed: panels fold. */
static bool
decode(struct buf *key, struct str value)
{
	struct buf plain = BUF(2 * KEY_MAX);
	bool       ok;

	for (size_t i = 0; i < value.n; i++)
		if (str_find(STR(" \t\r\n"), value.p[i]) < 0)
			buf_addc(&plain, value.p[i]);
	ok = base64_decode(key, buf_str(&plain));
	buf_free(&plain);
	return ok;
}

static bool
take(struct dkim_record *r, struct str name, struct str value, struct buf *why)
{
	if (str_eq(name, STR("k"))) {
		r->type = str_eq(value, STR("rsa"))       ? KEY_RSA
		          : str_eq(value, STR("ed25519")) ? KEY_ED25519
		                                          : KEY_UNKNOWN;
	} else if (str_eq(name, STR("h"))) {
		r->no_sha256 = !lists(value, STR("sha256"));
	} else if (str_eq(name, STR("s"))) {
		r->no_email = !lists(value, STR("email")) && !lists(value, STR("*"));
	} else if (str_eq(name, STR("t"))) {
		r->testing = lists(value, STR("y"));
		r->strict = lists(value, STR("s"));
	} else if (str_eq(name, STR("p"))) {
		if (r->revoked || r->key.n > 0) { /* RFC 6376 section 3.2 */
			buf_addz(why, "p= stands there twice: two records were pasted into one");
			return false;
		}
		r->revoked = value.n == 0;
		if (!decode(&r->key, value)) {
			buf_addz(why,
			         "p= is not base64: something is missing or does not belong there");
			return false;
		}
	}
	return true;
}

/* What forms, shells and people add. */
static bool
pasted_well(struct str txt, struct buf *why)
{
	if (str_find(txt, '\\') >= 0)
		buf_addz(
			why,
			"there are backslashes in it: `\\;` of a zone file was pasted into a form");
	else if (str_find(txt, '"') >= 0)
		buf_addz(why, "there are quotes in it: the form wants the text without them");
	else if (str_find(txt, '(') >= 0)
		buf_addz(why, "there are parentheses in it: those belong to zone files only");
	return why->n == 0;
}

bool
dkim_record_parse(struct dkim_record *r, struct str txt, struct buf *why)
{
	struct str rest = txt, name, value;
	bool       first = true, has_key = false;

	*r = (struct dkim_record){.type = KEY_RSA};
	buf_init(&r->key, KEY_MAX);
	if (!pasted_well(txt, why))
		return false;
	while (tag_next(&rest, &name, &value)) {
		if (name.n == 0) {
			buf_addz(why, "it holds what is no tag: ");
			buf_add(why, str_sub(value, 0, 40));
			return false;
		}
		if (str_eq(name, STR("v")) && (!first || !str_eq(value, STR("DKIM1")))) {
			buf_addz(why, first ? "v= is not DKIM1" : "v= is not in front");
			return false;
		}
		if (!take(r, name, value, why))
			return false;
		has_key = has_key || str_eq(name, STR("p"));
		first = false;
	}
	if (!has_key)
		buf_addz(why, "there is no p= in it: the record was cut");
	return has_key;
}

void
dkim_record_free(struct dkim_record *r)
{
	buf_free(&r->key);
}
