/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/sha.h>
#include <string.h>

#include "dkim/bodyhash.h"
#include "dkim/canon.h"
#include "lib/mail/header.h"
#include "lib/util/encode.h"
#include "lib/util/random.h"

#include "vectors.inc"

/* Hash `body` cut into pieces of `piece` octets; 0: cut at random places. */
static void
hash(struct bodyhash *h, enum canon canon, struct str body, size_t piece, struct buf *out)
{
	bodyhash_restart(h, canon);
	while (body.n > 0) {
		size_t n = piece > 0 ? piece : 1 + random_below(40);

		bodyhash_feed(h, str_sub(body, 0, n));
		body = str_skip(body, n);
		if (random_below(4) == 0)
			bodyhash_feed(h, STR_NONE);
	}
	buf_clear(out);
	bodyhash_finish_text(h, out);
}

static void
corpus_has_the_known_hashes(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 5, 7, 16, 17, 64, 1000, 1 << 20, 0, 0, 0};
	struct bodyhash    *h = bodyhash_create(CANON_RELAXED);
	struct buf          text = BUF(100);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct str head, body;

			print_message("%s in pieces of %zu\n", vectors[i].file, pieces[k]);
			header_split(vectors[i].message, &head, &body);
			hash(h, CANON_SIMPLE, body, pieces[k], &text);
			assert_string_equal(buf_z(&text), vectors[i].body_simple);
			hash(h, CANON_RELAXED, body, pieces[k], &text);
			assert_string_equal(buf_z(&text), vectors[i].body_relaxed);
		}
	buf_free(&text);
	bodyhash_destroy(h);
}

/* RFC 6376 section 3.4 to the letter, over the whole body at once, line by line. */
static void
reference(enum canon canon, struct str body, struct buf *out)
{
	size_t kept = 0;

	buf_clear(out);
	for (size_t i = 0; i < body.n;) {
		ptrdiff_t  end = str_find_str(str_skip(body, i), STR("\r\n"));
		struct str line = str_sub(body, i, end < 0 ? body.n : (size_t)end);
		bool       blank = false;

		i += line.n + 2;
		for (size_t k = 0; k < line.n; k++) {
			bool wsp = line.p[k] == ' ' || line.p[k] == '\t';

			if (canon == CANON_RELAXED && wsp) {
				blank = true;
				continue;
			}
			if (blank)
				buf_addc(out, ' ');
			blank = false;
			buf_addc(out, line.p[k]);
			kept = out->n + 2;
		}
		buf_addz(out, "\r\n");
	}
	buf_truncate(out, kept);
	if (canon == CANON_SIMPLE && out->n == 0)
		buf_addz(out, "\r\n");
}

static void
random_bodies_agree_with_the_letter_of_the_rfc(void **state)
{
	static const char *const atoms[] = {
		" ",
		"  ",
		"\t",
		" \t",
		"\r\n",
		"\r\n\r\n",
		"\r",
		"\n",
		" \r\n",
		"\t\r\n",
		"a",
		"word",
		" a b c d e f",
		"\r\r\n",
		"\n\r",
		".",
		"\0",
		"a long run of text that needs no change at all, more than one lane"};
	struct bodyhash *h = bodyhash_create(CANON_SIMPLE);
	struct buf body = BUF(1 << 16), want = BUF(1 << 16), text = BUF(100), known = BUF(100),
	           shown = BUF(1 << 16);

	(void)state;
	random_hook(1);
	for (size_t round = 0; round < 20000; round++) {
		enum canon    canon = round % 2 == 0 ? CANON_RELAXED : CANON_SIMPLE;
		unsigned char digest[32];

		buf_clear(&body);
		for (size_t n = random_below(round % 100 == 0 ? 300 : 12); n > 0; n--)
			buf_addz(&body, atoms[random_below(ARRAY_LEN(atoms))]);
		reference(canon, buf_str(&body), &want);
		buf_clear(&shown);
		buf_addz(&shown, "before");
		canon_body(&shown, buf_str(&body), canon);
		if (!str_eq(str_skip(buf_str(&shown), 6), buf_str(&want)))
			fail_msg("round %zu: %s becomes %s", round, buf_z(&body), buf_z(&shown));
		SHA256((const unsigned char *)buf_z(&want), want.n, digest);
		buf_clear(&known);
		base64_encode(&known, (struct str){(const char *)digest, sizeof digest});
		hash(h, canon, buf_str(&body), round % 3, &text);
		if (!str_eq(buf_str(&text), buf_str(&known)))
			fail_msg("round %zu: %s", round, buf_z(&body));
	}
	random_hook(0);
	buf_free(&body);
	buf_free(&want);
	buf_free(&text);
	buf_free(&known);
	buf_free(&shown);
	bodyhash_destroy(h);
}

static void
canon_names_are_known(void **state)
{
	enum canon canon;

	(void)state;
	assert_true(canon_parse(STR("relaxed"), &canon) && canon == CANON_RELAXED);
	assert_true(canon_parse(STR("simple"), &canon) && canon == CANON_SIMPLE);
	assert_false(canon_parse(STR("Simple"), &canon));
	assert_false(canon_parse(STR_NONE, &canon));
	assert_true(str_eq(canon_name(CANON_SIMPLE), STR("simple")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_has_the_known_hashes),
		cmocka_unit_test(random_bodies_agree_with_the_letter_of_the_rfc),
		cmocka_unit_test(canon_names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
