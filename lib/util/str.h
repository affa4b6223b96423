/* SPDX-License-Identifier: ISC */
/*
 * str - borrowed text.
 *
 * A str points at octets that somebody else owns; it is passed by value and is
 * not NUL-terminated. Every parser of outside text takes a str and moves
 * through it with the functions below, so that no caller does pointer
 * arithmetic. Case folding is ASCII only.
 */
#ifndef LIB_UTIL_STR_H
#define LIB_UTIL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t      n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})

#define MUST_USE     __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define UNUSED       __attribute__((unused))

/* The few that run some hundred times for each message stand here, to be inlined. */

static inline struct str
str_of(const char *z) /* NULL gives the empty str */
{
	return z != NULL ? (struct str){z, strlen(z)} : STR_NONE;
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Without the first n octets, or without any. */
static inline struct str
str_skip(struct str s, size_t n)
{
	if (n > s.n)
		n = s.n;
	return n == 0 ? s : (struct str){s.p + n, s.n - n};
}

/* The part from index `from`, at most `n` long; indexes past the end are clipped. */
static inline struct str
str_sub(struct str s, size_t from, size_t n)
{
	s = str_skip(s, from);
	return s.n > n ? (struct str){s.p, n} : s;
}

/* With an i: without case. The empty text begins and ends every other. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str with);
bool str_istarts(struct str s, struct str with);
bool str_ends(struct str s, struct str with);
bool str_iends(struct str s, struct str with);

/* Index of the first `c` (or of `what`), or -1. */
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_rfind(struct str s, char c);
ptrdiff_t str_find_str(struct str s, struct str what);

struct str str_trim(struct str s); /* without SP and HTAB at both ends */

/*
 * Cut the next piece off `rest`, up to `sep` (which is dropped) or the end.
 * False once `rest` is used up; "a,,b" gives three pieces, "" gives none, and
 * "a," gives "a" and the empty piece.
 */
bool str_cut(struct str *rest, char sep, struct str *piece);

/* Cut the next word off `rest`: a run of anything but SP, HTAB, CR and LF. Empty at the end. */
struct str str_word(struct str *rest);

/* The whole of `s`, digits and nothing else, as a decimal number of at most `max`. */
bool str_number(struct str s, uint64_t max, uint64_t *out) MUST_USE;

/* A NUL-terminated copy for the C library; the caller frees it. */
char *str_dup(struct str s);

#endif
