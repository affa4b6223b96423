/* SPDX-License-Identifier: ISC */
#include "dkim/bodyhash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/digest.h"
#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum {
	STAGE = 512,  /* short runs are gathered up to this: a call of the hash has its price */
	DIRECT = 128, /* runs from this length on are hashed where they lie */
	LANE = 16,    /* octets looked at together */
};

/* GNU vectors: both compilers make one register of it, without the help of -O3. */
typedef unsigned char lane __attribute__((vector_size(LANE)));

struct bodyhash {
	EVP_MD_CTX *sha;
	enum canon  canon;
	size_t      line_ends; /* seen, and hashed only when something follows them */
	bool   blank;   /* relaxed: white space seen, hashed as one SP only if the line goes on */
	bool   cr;      /* the last piece ended with CR: half a line end, or an octet of its own */
	bool   content; /* something was hashed */
	size_t staged;
	char   stage[STAGE];
};

static const struct str names[] = {
	[CANON_RELAXED] = {"relaxed", 7},
	[CANON_SIMPLE] = {"simple", 6},
};

struct str
canon_name(enum canon canon)
{
	return names[canon];
}

bool
canon_parse(struct str name, enum canon *canon)
{
	for (enum canon c = CANON_RELAXED; c <= CANON_SIMPLE; c++)
		if (str_eq(name, names[c])) {
			*canon = c;
			return true;
		}
	return false;
}

/* OpenSSL fails here only for lack of memory, which ends a role like any other lack of it. */
static void
must(int result)
{
	if (result != 1)
		abort();
}

struct bodyhash *
bodyhash_create(enum canon canon)
{
	struct bodyhash *h = mem_zero(sizeof *h);

	digest_prepare();
	h->sha = EVP_MD_CTX_new();
	if (h->sha == NULL)
		abort();
	must(EVP_DigestInit_ex(h->sha, EVP_sha256(), NULL));
	h->canon = canon;
	return h;
}

void
bodyhash_destroy(struct bodyhash *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->sha);
	free(h);
}

void
bodyhash_restart(struct bodyhash *h, enum canon canon)
{
	/* Without a name of the digest this one is kept, which spares looking it up again. */
	must(EVP_DigestInit_ex(h->sha, NULL, NULL));
	h->canon = canon;
	h->line_ends = 0;
	h->staged = 0;
	h->blank = h->cr = h->content = false;
}

static void
flush_stage(struct bodyhash *h)
{
	if (h->staged > 0)
		must(EVP_DigestUpdate(h->sha, h->stage, h->staged));
	h->staged = 0;
}

static void
emit(struct bodyhash *h, struct str run)
{
	if (run.n >= DIRECT) {
		flush_stage(h);
		must(EVP_DigestUpdate(h->sha, run.p, run.n));
		return;
	}
	if (run.n > STAGE - h->staged)
		flush_stage(h);
	memcpy(h->stage + h->staged, run.p, run.n);
	h->staged += run.n;
}

/* Content of a line follows: what was held back before it counts now. */
static void
emit_held(struct bodyhash *h)
{
	for (; h->line_ends > 0; h->line_ends--)
		emit(h, STR("\r\n"));
	if (h->blank)
		emit(h, STR(" "));
	h->blank = false;
	h->content = true;
}

static void
end_line(struct bodyhash *h)
{
	h->line_ends++;
	h->blank = false;
}

/* The CR of the last piece meets what comes next: LF, or anything else. */
static void
resolve_cr(struct bodyhash *h, struct str *s)
{
	h->cr = false;
	if (s->p[0] == '\n') {
		end_line(h);
		*s = str_skip(*s, 1);
		return;
	}
	emit_held(h);
	emit(h, STR("\r"));
}

/*
 * A run that needs no change inside. Only its end matters: line ends there may
 * turn out to be the empty lines at the end of the body, which are not hashed.
 */
static void
feed_run(struct bodyhash *h, struct str s)
{
	size_t ends = 0;

	if (s.n > 0 && h->cr)
		resolve_cr(h, &s);
	/* White space in front of a line end is none of the content. */
	if (h->blank && s.n > 1 && s.p[0] == '\r' && s.p[1] == '\n')
		h->blank = false;
	if (s.n > 0 && s.p[s.n - 1] == '\r') {
		h->cr = true;
		s.n--;
	}
	for (; s.n > 1 && s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\r'; s.n -= 2)
		ends++;
	if (s.n > 0) {
		emit_held(h);
		emit(h, s);
	}
	h->line_ends += ends;
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/* White space that relaxed must change or cannot judge yet: a tab, or a blank before no word. */
static bool
is_rough(struct str s, size_t i)
{
	if (s.p[i] == '\t')
		return true;
	return s.p[i] == ' ' && (i + 1 == s.n || is_wsp(s.p[i + 1]) || s.p[i + 1] == '\r');
}

/* Place of the first octet that is not 0, as it lies in memory. */
static size_t
first_set(uint64_t octets)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (size_t)__builtin_ctzll(octets) / 8;
#else
	return (size_t)__builtin_clzll(octets) / 8;
#endif
}

/* The same for LANE octets at once: the place of the first, or LANE. Reads one octet more. */
static size_t
find_rough(const char *p)
{
	lane     here, next, found;
	uint64_t half[2];

	memcpy(&here, p, sizeof here);
	memcpy(&next, p + 1, sizeof next);
	found = (lane)(here == '\t') |
	        ((lane)(here == ' ') &
	         ((lane)(next == ' ') | (lane)(next == '\t') | (lane)(next == '\r')));
	memcpy(half, &found, sizeof half);
	if (half[0] != 0)
		return first_set(half[0]);
	return half[1] != 0 ? LANE / 2 + first_set(half[1]) : LANE;
}

/* Length of the run at the start of `s` that relaxed leaves as it is. */
static size_t
smooth_length(struct str s)
{
	size_t i = 0;

	while (i + LANE < s.n) {
		size_t n = find_rough(s.p + i);

		i += n;
		if (n < LANE)
			return i;
	}
	while (i < s.n && !is_rough(s, i))
		i++;
	return i;
}

static struct str
skip_wsp(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_wsp(s.p[n]))
		n++;
	return str_skip(s, n);
}

static void
feed_relaxed(struct bodyhash *h, struct str s)
{
	while (s.n > 0) {
		size_t n;

		if (h->cr)
			resolve_cr(h, &s);
		if (h->blank)
			s = skip_wsp(s);
		n = smooth_length(s);
		feed_run(h, str_sub(s, 0, n));
		if (n == s.n)
			return;
		s = (struct str){s.p + n, s.n - n};
		/* White space is next, so a CR before it ended no line. */
		if (h->cr)
			resolve_cr(h, &s);
		h->blank = true;
	}
}

void
bodyhash_feed(struct bodyhash *h, struct str piece)
{
	if (h->canon == CANON_SIMPLE)
		feed_run(h, piece);
	else
		feed_relaxed(h, piece);
}

void
bodyhash_finish(struct bodyhash *h, unsigned char digest[BODYHASH_OCTETS])
{
	unsigned n = 0;

	if (h->cr) {
		emit_held(h);
		emit(h, STR("\r"));
		h->cr = false;
	}
	/* One line end closes the last line; an empty body has one in simple and none in relaxed. */
	if (h->content || h->canon == CANON_SIMPLE)
		emit(h, STR("\r\n"));
	flush_stage(h);
	must(EVP_DigestFinal_ex(h->sha, digest, &n));
	assert(n == BODYHASH_OCTETS);
}

void
bodyhash_finish_text(struct bodyhash *h, struct buf *out)
{
	unsigned char digest[BODYHASH_OCTETS];

	bodyhash_finish(h, digest);
	base64_encode(out, (struct str){(const char *)digest, sizeof digest});
}

bool
bodyhash_is_text(struct str s)
{
	struct buf octets = BUF(BODYHASH_TEXT);
	bool       ok = s.n == BODYHASH_TEXT && base64_decode(&octets, s) &&
	          octets.n == BODYHASH_OCTETS;

	buf_free(&octets);
	return ok;
}
