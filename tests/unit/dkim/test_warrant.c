/* SPDX-License-Identifier: ISC */
#include "dkim/warrant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dkim/sign.h"
#include "lib/mail/header.h"

#include "vectors.inc"

#define BH  "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define OWN "from:Ann <ann@example.org>\r\n"

#define SHAPE    "the signature field is not as it should be"
#define OTHER    "the signature field is for another key"
#define HASHLESS "there is no body hash"
#define STRANGER "the author belongs to another domain than the key"
#define NOBODY   "the From field has no author with a domain"
#define UNBOUND  "another From field could be added"

static const struct warrant rsa = {{"example.org", 11}, {"s1", 2}, KEY_RSA};

/* A field of which one piece is another. */
static struct str
last_with(struct buf *out, const char *what, const char *instead)
{
	static const char whole[] =
		"dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; "
		"t=1795428431; h=from:from:to:to; bh=" BH "; b=";
	ptrdiff_t at = str_find_str(STR(whole), str_of(what));

	assert_true(at >= 0);
	buf_clear(out);
	buf_add(out, str_sub(STR(whole), 0, (size_t)at));
	buf_addz(out, instead);
	buf_addz(out, whole + at + strlen(what));
	return buf_str(out);
}

static const struct {
	const char *what, *instead, *why;
} lasts[] = {
	{"v=1", "v=1", NULL},
	{"from:from:to", "from:\r\n\tfrom:to", NULL},
	{"t=1795428431;", "\r\n\tt=1795428431;", NULL},
	{"d=example.org", "d=example.net", OTHER},
	{"d=example.org", "d=sub.example.org", OTHER},
	{"d=example.org", "d=org", OTHER},
	{"d=example.org", "d=", OTHER},
	{"s=s1", "s=s2", OTHER},
	{"s=s1;", "s=s1; s=s2;", SHAPE},
	{"d=example.org;", "d=example.org; d=example.net;", SHAPE},
	{"d=example.org;", "d=example.org; i=@sub.example.org;", SHAPE},
	{"bh=", "l=0; bh=", SHAPE},
	{"t=1795428431;", "t=1795428431; x=1795428432;", SHAPE},
	{"t=1795428431;", "", SHAPE},
	{"t=1795428431", "t=soon", SHAPE},
	{"v=1", "v=2", SHAPE},
	{"a=rsa-sha256", "a=rsa-sha1", SHAPE},
	{"a=rsa-sha256", "a=ed25519-sha256", SHAPE},
	{"c=relaxed/relaxed", "c=relaxed", SHAPE},
	{"c=relaxed/relaxed", "c=nofws/relaxed", SHAPE},
	{"c=relaxed/relaxed", "c=simple/simple", NULL},
	{BH, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF=", HASHLESS},
	{BH, "", HASHLESS},
	{"bh=" BH "; ", "", SHAPE},
	{"b=", "b=AAAA", SHAPE},
	{" b=", " b=;", SHAPE},
	{" b=", " b=\r\n", NULL}, /* one line end more is none of the field */
	{" b=", " b=\r\nfrom:x@example.org", SHAPE},
	{" b=", "", SHAPE},
	{"h=from:from:", "h=from:", UNBOUND},
	{"h=from:from:", "h=", UNBOUND},
	{"h=from:from:", "h=FROM:From:", NULL},
	{"dkim-signature:", "DKIM-Signature: ", NULL},
	{"dkim-signature:", "dkim-signature", SHAPE},
	{"dkim-signature:", "received:", SHAPE},
};

static void
the_signature_field_is_ours(void **state)
{
	struct buf last = BUF(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		const char *why = warrant_check(
			&rsa, STR(OWN), last_with(&last, lasts[i].what, lasts[i].instead));

		print_message("%zu: %s\n", i, why == NULL ? "signed" : why);
		assert_int_equal(why == NULL, lasts[i].why == NULL);
		if (why != NULL)
			assert_string_equal(why, lasts[i].why);
	}
	assert_string_equal(warrant_check(&rsa, STR(OWN), STR_NONE), SHAPE);
	buf_free(&last);
}

static const struct {
	const char *fields, *why;
} heads[] = {
	{OWN, NULL},
	{"from:ann@EXAMPLE.org\r\n", NULL},
	{"from:ann@a.b.example.org\r\n", NULL},
	{"From: \"Ann, of\r\n\texample.net\" <ann@example.org>\r\n", NULL},
	{"from:(bob@example.net) ann@example.org\r\n", NULL},
	{"subject:from bob@example.net\r\n" OWN "to:bob@example.net\r\n", NULL},
	{"from:Team: ann@example.org, bob@example.net;\r\n", NULL}, /* the first author's domain signs */
	{"from:bob@example.net\r\n", STRANGER},
	{"from:bob@example.net, ann@example.org\r\n", STRANGER},
	{"from:\"ann@example.org\" <bob@example.net>\r\n", STRANGER},
	{"from:ann@example.org <bob@example.net>\r\n", NOBODY},
	{"from:ann@notexample.org\r\n", STRANGER},
	{"from:ann@example.org.example.net\r\n", STRANGER},
	{"from:ann@org\r\n", STRANGER},
	{"from:ann@[127.0.0.1]\r\n", STRANGER},
	{"FROM :bob@example.net\r\n", STRANGER},
	{OWN "from:bob@example.net\r\n", STRANGER},
	{"from:bob@example.net\r\n" OWN, STRANGER},
	{"subject:a\n" OWN "subject:b\nfrom:bob@example.net\r\n", STRANGER}, /* a line end for some */
	{OWN OWN, UNBOUND},
	{"from:\r\n", NOBODY},
	{"from:root\r\n", NOBODY},
	{"from:<>\r\n", NOBODY},
	{"from:ann@example.org bob\r\n", NOBODY},
	{"from:ann@-.example.org\r\n", NOBODY},
	{"to:ann@example.org\r\n", "no From field is covered"},
	{"x-from:ann@example.org\r\n", "no From field is covered"},
	{OWN "\r\n", "what is covered is not made of fields"},
	{"\r\n" OWN, "what is covered is not made of fields"},
	{"0123456789abcdef\r\n" OWN, "what is covered is not made of fields"},
	{"", "the covered fields have no end"},
	{"from:ann@example.org", "the covered fields have no end"},
	{OWN "from:bob@example.net", "the covered fields have no end"},
};

static void
the_author_belongs_to_the_key(void **state)
{
	struct buf last = BUF(4096);

	(void)state;
	(void)last_with(&last, "v=1", "v=1");
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		const char *why = warrant_check(&rsa, str_of(heads[i].fields), buf_str(&last));

		print_message("%zu: %s\n", i, why == NULL ? "signed" : why);
		assert_int_equal(why == NULL, heads[i].why == NULL);
		if (why != NULL)
			assert_string_equal(why, heads[i].why);
	}
	buf_free(&last);
}

static void
foreign_names_are_compared_in_ascii(void **state)
{
	struct warrant w = rsa;
	struct buf     last = BUF(4096);

	(void)state;
	w.domain = STR("xn--bcher-kva.example");
	(void)last_with(&last, "d=example.org", "d=xn--bcher-kva.example");
	assert_null(warrant_check(&w, STR("from:a@b\xc3\xbc" "cher.example\r\n"), buf_str(&last)));
	assert_null(warrant_check(&w, STR("from:a@xn--bcher-kva.example\r\n"), buf_str(&last)));
	assert_non_null(warrant_check(&w, STR("from:a@bucher.example\r\n"), buf_str(&last)));
	buf_free(&last);
}

/* The domain that smtpd would have noted: that of the first author. */
static bool
note_author(struct str head, struct buf *domain)
{
	struct field   f;
	struct address a;
	bool           bad = false;

	return header_find(head, STR("from"), 0, &f) && header_mailbox(&f.value, &a, &bad) &&
	       domain_canonical(domain, a.domain);
}

/* Whatever a real message has in its header does not keep it from being signed. */
static void
all_of_the_corpus_is_signed(void **state)
{
	static const enum key_type types[] = {KEY_RSA, KEY_ED25519};
	size_t                     n = 0;

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(vectors); i++) {
		struct dkim_key_conf keys[] = {{.selector = STR("s1"), .type = KEY_RSA},
		                               {.selector = STR("s1"), .type = KEY_ED25519}};
		struct buf           domain = BUF(DOMAIN_MAX);
		struct dkim_conf     conf = {.keys = keys, .n_keys = 2};
		struct str           head, body;
		struct dkim_sign    *s;

		header_split(vectors[i / 4].message, &head, &body);
		if (!note_author(head, &domain)) {
			buf_free(&domain);
			continue;
		}
		conf.domain = buf_str(&domain);
		conf.simple_header = (i & 1) != 0;
		conf.simple_body = (i & 2) != 0;
		s = dkim_sign_start(head, &conf, STR(BH), 1795428431);
		for (size_t k = 0; k < 2; k++) {
			struct warrant w = {conf.domain, STR("s1"), types[k]};
			const char    *why =
				warrant_check(&w, dkim_sign_fields(s), dkim_sign_last(s, k));

			if (why != NULL)
				fail_msg("%s: %s", vectors[i / 4].file, why);
			w.domain = STR("example.invalid");
			assert_non_null(
				warrant_check(&w, dkim_sign_fields(s), dkim_sign_last(s, k)));
		}
		n++;
		dkim_sign_destroy(s);
		buf_free(&domain);
	}
	print_message("%zu messages\n", n);
	assert_true(n > 2 * ARRAY_LEN(vectors));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_signature_field_is_ours),
		cmocka_unit_test(the_author_belongs_to_the_key),
		cmocka_unit_test(foreign_names_are_compared_in_ascii),
		cmocka_unit_test(all_of_the_corpus_is_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
