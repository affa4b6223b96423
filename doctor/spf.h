/* SPDX-License-Identifier: ISC */
/*
 * spf - what a receiver makes of an SPF record (RFC 7208).
 *
 * The evaluator of section 4, exactly as receivers run it; the structure of a record, looked at
 * as a whole; and the record as it ought to be. All are plain functions of the facts:
 * while one is missing the answer is SPF_PENDING.
 */
#ifndef DOCTOR_SPF_H
#define DOCTOR_SPF_H

#include "doctor/facts.h"

enum spf_result {
	SPF_PENDING,
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};

/* ---- a record ---- */

/* clang-format off */
enum spf_kind {
	SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS, /* mechanisms */
	SPF_REDIRECT, SPF_EXP, SPF_OTHER, /* modifiers */
};
/* clang-format on */

struct spf_term {
	enum spf_kind kind;
	char          qualifier; /* '+', '-', '~', '?' */
	struct str    text;      /* as written */
	struct str    domain;    /* domain-spec with its macros; may be empty */
	struct addr   addr;      /* ip4, ip6 */
	unsigned      bits4, bits6;
};

enum { SPF_TERMS_MAX = 256 };

struct spf_record {
	struct spf_term terms[SPF_TERMS_MAX];
	size_t          n;
};

bool spf_is_record(struct str txt); /* "v=spf1" and then a space or the end */

/* False with a reason. Terms borrow from `txt`; those before a mistake are there. */
bool spf_parse(struct spf_record *r, struct str txt, struct buf *why) MUST_USE;

/* A macro-string, or with `domain` a domain-spec; `text`: with spaces and %{c} %{r} %{t}, for exp=. */
enum macro_use { MACRO_STRING, MACRO_DOMAIN, MACRO_TEXT };
bool spf_macro_valid(struct str s, enum macro_use use) MUST_USE;

/* ---- evaluation ---- */

struct spf_question {
	struct addr ip;
	struct str  helo;
	struct str  local, domain; /* of MAIL FROM; empty: <> */
};

struct spf_answer {
	struct buf why;     /* the term that decided, or the mistake */
	struct buf explain; /* exp=, when the result is fail and there is one */
};

enum spf_result spf_check(struct facts *f, const struct spf_question *q, struct spf_answer *a);
void            spf_answer_free(struct spf_answer *a);
const char     *spf_result_name(enum spf_result r);

/* What macros speak about. `domain` is that of the record at hand. */
struct spf_scope {
	struct facts              *facts;
	const struct spf_question *q;
	struct str                 local, sender_domain, domain;
};

/* Append the expansion. False: a fact is missing (only %{p} asks). */
bool spf_macro_expand(struct buf *out, const struct spf_scope *s, struct str spec) MUST_USE;

/*
 * The name that %{p} and `ptr` mean: the first validated one, if `below` is not empty only one at
 * or below it. Empty if there is none. False: a fact is missing.
 */
bool spf_validated(struct buf *out, struct facts *f, struct addr ip, struct str below) MUST_USE;

/* ---- structure ---- */

struct spf_walk {
	unsigned   lookups, voids; /* over the whole tree, whatever would match first */
	bool       loop, broken, macros, ptr, wide;
	char       all;                        /* qualifier of the last word, 0: there is none */
	struct buf tree;                       /* one line a record: indent, name, lookups */
	struct buf void_names, wide_nets, why; /* why: what is broken */
};

/* `txt` is the record of `domain`. False: facts are missing. */
bool spf_walk(struct spf_walk *w, struct facts *f, struct str domain, struct str txt) MUST_USE;
void spf_walk_free(struct spf_walk *w);

/*
 * One correct record out of those there are (perhaps none, or broken ones): quotes and
 * backslashes gone, duplicates joined, `ptr` and what is no term dropped, "+all" and
 * nothing turned to "~all", and each of `add` allowed. Without any record: "-all".
 */
void
spf_repair(struct buf *out, const struct str *txts, size_t n, const struct addr *add, size_t n_add);

#endif
