/* SPDX-License-Identifier: ISC */
/* The record as it ought to be. */
#include <stdlib.h>

#include "doctor/spf.h"
#include "lib/util/mem.h"

enum { RECORD_MAX = 8192 };

struct repair {
	struct buf *out;
	struct buf  seen; /* what is in `out`, in lower case, each between spaces */
	struct buf  tail; /* modifiers */
	char        all;  /* 0: none so far */
	bool        redirect, exp;
};

/* What a form or a shell left behind. */
static void
clean(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == ';')
			continue;
		buf_addc(out, s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n' ? ' ' : s.p[i]);
	}
}

static bool
first_time(struct repair *r, struct str word)
{
	struct buf key = BUF(RECORD_MAX);
	bool       is_new;

	buf_addc(&key, ' ');
	for (size_t i = 0; i < word.n; i++)
		buf_addc(&key,
		         word.p[i] >= 'A' && word.p[i] <= 'Z' ? (char)(word.p[i] | 32) : word.p[i]);
	buf_addc(&key, ' ');
	is_new = str_find_str(buf_str(&r->seen), buf_str(&key)) < 0;
	if (is_new)
		buf_add(&r->seen, buf_str(&key));
	buf_free(&key);
	return is_new;
}

static void
add_term(struct repair *r, const struct spf_term *t)
{
	if (t->kind == SPF_ALL) {
		/* Of several the mildest, but never "+". */
		char q = t->qualifier == '+' ? '~' : t->qualifier;

		if (r->all == 0 || r->all == '-' || q == '?')
			r->all = q;
		return;
	}
	/* RFC 7208 section 6: of these two there may be one. */
	if (t->kind == SPF_PTR || (t->kind == SPF_REDIRECT && r->redirect) || (t->kind == SPF_EXP && r->exp) ||
	    !first_time(r, t->text))
		return;
	r->redirect = r->redirect || t->kind == SPF_REDIRECT;
	r->exp = r->exp || t->kind == SPF_EXP;
	if (t->kind == SPF_REDIRECT || t->kind == SPF_EXP || t->kind == SPF_OTHER) {
		buf_addc(&r->tail, ' ');
		buf_add(&r->tail, t->text);
	} else {
		buf_addc(r->out, ' ');
		buf_add(r->out, t->text);
	}
}

/* Word by word: one that is wrong does not hide those behind it. */
static void
take(struct repair *r, struct str txt)
{
	struct spf_record *record = mem_zero(sizeof *record);
	struct buf         cleaned = BUF(RECORD_MAX), one = BUF(RECORD_MAX), why = BUF(RECORD_MAX);
	struct str         rest, word;

	clean(&cleaned, txt);
	rest = buf_str(&cleaned);
	while ((word = str_word(&rest)).n > 0) {
		if (str_istarts(word, STR("v=spf1")))
			continue;
		buf_clear(&one);
		buf_addz(&one, "v=spf1 ");
		buf_add(&one, word);
		if (spf_parse(record, buf_str(&one), &why) && record->n == 1)
			add_term(r, &record->terms[0]);
	}
	free(record);
	buf_free(&cleaned);
	buf_free(&one);
	buf_free(&why);
}

static void
add_address(struct repair *r, struct addr a)
{
	struct buf word = BUF(64);

	buf_addz(&word, a.family == 4 ? "ip4:" : "ip6:");
	addr_format(&word, a);
	if (first_time(r, buf_str(&word))) {
		buf_addc(r->out, ' ');
		buf_add(r->out, buf_str(&word));
	}
	buf_free(&word);
}

void
spf_repair(struct buf *out, const struct str *txts, size_t n, const struct addr *add, size_t n_add)
{
	struct repair r = {.out = out, .seen = BUF(4 * RECORD_MAX), .tail = BUF(RECORD_MAX)};

	buf_addz(out, "v=spf1");
	/* Addresses first: they cost no lookup, and whoever matches them is done. */
	for (size_t i = 0; i < n_add; i++)
		add_address(&r, add[i]);
	for (size_t i = 0; i < n; i++)
		take(&r, txts[i]);
	buf_add(out, buf_str(&r.tail));
	if (!r.redirect || r.all != 0)
		buf_addf(out, " %call", r.all != 0 ? r.all : n > 0 ? '~' : '-');
	buf_free(&r.seen);
	buf_free(&r.tail);
}
