/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dkim/key.h"
#include "lib/mail/header.h"
#include "tests/unit/dkim/files.h"
#include "tests/unit/dkim/signing.h"
#include "tests/unit/dkim/verify.h"

#include "vectors.inc"

static struct buf rsa_pem = {.limit = 1 << 16}, ed_pem = {.limit = 1 << 16};

static int
read_keys(void **state)
{
	(void)state;
	files_corpus(&rsa_pem, "keys", "rsa2048.pkcs8.pem");
	files_corpus(&ed_pem, "keys", "ed25519.pkcs8.pem");
	return 0;
}

static int
free_keys(void **state)
{
	(void)state;
	buf_free(&rsa_pem);
	buf_free(&ed_pem);
	return 0;
}

static struct str
record(const char *file)
{
	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		if (strcmp(records[i].file, file) == 0)
			return str_of(records[i].txt);
	return STR_NONE;
}

/* The verifier that the other tests trust is right about somebody else's signatures. */
static void
the_test_verifier_knows_the_rfcs(void **state)
{
	static const struct {
		const char *file;
		size_t      which;
		const char *name;
	} rows[] = {
		{"rfc6376-a2.eml", 0, "brisbane._domainkey.example.com"},
		{"rfc8463-a3.eml", 0, "brisbane._domainkey.football.example.com"},
		{"rfc8463-a3.eml", 1, "test._domainkey.football.example.com"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < ARRAY_LEN(dns); k++) {
			struct buf  message = BUF(1 << 16);
			const char *why;

			files_corpus(&message, "dkim-known", rows[i].file);
			why = verify(buf_str(&message), rows[i].which, str_of(dns[k].txt));
			print_message("%s with %s: %s\n", rows[i].file, dns[k].name,
			              why == NULL ? "pass" : why);
			assert_int_equal(why == NULL, strcmp(dns[k].name, rows[i].name) == 0);
			message.p[message.n - 10] ^= 1;
			assert_non_null(
				verify(buf_str(&message), rows[i].which, str_of(dns[k].txt)));
			buf_free(&message);
		}
}

static void
assert_lines_are_short(struct str fields)
{
	struct str line;

	while (fields.n > 0 && str_cut(&fields, '\n', &line)) {
		assert_true(line.n == 0 || line.n <= 79); /* CR is still there */
		assert_true(line.n == 0 || line.p[line.n - 1] == '\r');
	}
}

static void
corpus_is_signed_and_verified(void **state)
{
	struct dkim_key_conf keys[] = {
		{.selector = STR("ed"), .type = KEY_ED25519, .pem = buf_str(&ed_pem)},
		{.selector = STR("rsa"), .type = KEY_RSA, .pem = buf_str(&rsa_pem)},
	};
	struct dkim_conf conf = {.domain = STR("example.org"), .keys = keys, .n_keys = 2};
	struct buf       out = BUF(1 << 20);

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_LEN(vectors); i++) {
		struct str message = vectors[i / 4].message;

		conf.simple_header = (i & 1) != 0;
		conf.simple_body = (i & 2) != 0;
		print_message("%s %zu\n", vectors[i / 4].file, i % 4);
		buf_clear(&out);
		assert_true(signing_fields(message, &conf, 1795428431, &out));
		assert_lines_are_short(buf_str(&out));
		buf_add(&out, message);
		/* Wherever the keys stand in the configuration, RSA is on top. */
		assert_null(verify(buf_str(&out), 0, record("rsa2048.pkcs8.pem")));
		assert_null(verify(buf_str(&out), 1, record("ed25519.pkcs8.pem")));
		assert_non_null(verify(buf_str(&out), 0, record("rsa4096.pkcs8.pem")));
	}
	buf_free(&out);
}

static void
the_field_is_as_expected(void **state)
{
	const struct str message = STR(
		"Received: from x\r\n\tby y; Mon, 23 Nov 2026 10:07:11 +0000\r\n"
		"From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: s\r\n"
		"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@mx.example.org>\r\n\r\nHello\r\n");
	static const char want[] =
		"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/simple; d=example.org;\r\n"
		"\ts=mail-202611e; t=1795428431;\r\n"
		"\th=from:from:to:to:cc:subject:subject:date:date:message-id:message-id:\r\n"
		"\treply-to:mime-version:content-type:content-transfer-encoding;\r\n"
		"\tbh=";
	struct dkim_key_conf key = {
		.selector = STR("mail-202611e"), .type = KEY_ED25519, .pem = buf_str(&ed_pem)};
	struct dkim_conf conf = {
		.domain = STR("example.org"), .keys = &key, .n_keys = 1, .simple_body = true};
	struct buf one = BUF(1 << 16), two = BUF(1 << 16), tag = BUF(1000);

	(void)state;
	assert_true(signing_fields(message, &conf, 1795428431, &one));
	assert_true(signing_fields(message, &conf, 1795428431, &two));
	print_message("%s", buf_z(&one));
	assert_string_equal(buf_z(&one), buf_z(&two));
	assert_true(str_starts(buf_str(&one), STR(want)));
	assert_true(one.n < 1000);
	assert_false(verify_tag(buf_str(&one), "l", &tag));
	assert_false(verify_tag(buf_str(&one), "x", &tag));
	assert_false(verify_tag(buf_str(&one), "i", &tag));
	buf_free(&one);
	buf_free(&two);
	buf_free(&tag);
}

static void
added_fields_break_the_signature(void **state)
{
	static const struct {
		const char *added;
		bool        breaks;
	} rows[] = {
		{"From: evil@evil.example\r\n", true},
		{"Subject: evil\r\n", true},
		{"Reply-To: evil@evil.example\r\n", true},
		{"To: evil@evil.example\r\n", true},
		{"Content-Type: text/html\r\n", true},
		{"Received: from next\r\n", false},
		{"X-Anything: x\r\n", false},
		{"Sender: list@lists.example\r\n", false},
		{"List-Id: list\r\n", false},
	};
	struct dkim_key_conf key = {
		.selector = STR("ed"), .type = KEY_ED25519, .pem = buf_str(&ed_pem)};
	struct dkim_conf conf = {.domain = STR("example.org"), .keys = &key, .n_keys = 1};
	struct buf       fields = BUF(1 << 16), out = BUF(1 << 20);

	(void)state;
	assert_true(signing_fields(vectors[0].message, &conf, 1, &fields));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s", rows[i].added);
		buf_clear(&out);
		buf_addz(&out, rows[i].added);
		buf_add(&out, buf_str(&fields));
		buf_add(&out, vectors[0].message);
		assert_int_equal(verify(buf_str(&out), 0, record("ed25519.pkcs8.pem")) != NULL,
		                 rows[i].breaks);
	}
	buf_free(&fields);
	buf_free(&out);
}

static void
long_and_foreign_names_are_written(void **state)
{
	struct dkim_key_conf key = {.selector = STR("sch\xc3\xbc"
	                                            "ssel"),
	                            .type = KEY_ED25519,
	                            .pem = buf_str(&ed_pem)};
	struct dkim_conf conf = {.domain = STR("xn--bcher-kva.example"), .keys = &key, .n_keys = 1};
	struct buf       out = BUF(1 << 20), tag = BUF(1000), head = BUF(1 << 16);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		buf_addz(&head, "To: a@example.org\r\nContent-Transfer-Encoding: 8bit\r\n");
	buf_addz(&head, "\r\nbody\r\n");
	assert_true(signing_fields(buf_str(&head), &conf, 0, &out));
	assert_lines_are_short(buf_str(&out));
	assert_true(verify_tag(buf_str(&out), "s", &tag));
	assert_string_equal(buf_z(&tag), "xn--schssel-p2a");
	buf_add(&out, buf_str(&head));
	assert_null(verify(buf_str(&out), 0, record("ed25519.pkcs8.pem")));
	buf_free(&out);
	buf_free(&tag);
	buf_free(&head);
}

static void
nothing_half_signed_gets_out(void **state)
{
	static const char *const hashes[] = {
		"",
		"short",
		"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
		"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu\r\n=",
	};
	struct dkim_key_conf keys[] = {
		{.selector = STR("a"), .type = KEY_RSA},
		{.selector = STR("b"), .type = KEY_ED25519},
	};
	struct dkim_conf  conf = {.domain = STR("example.org"), .keys = keys, .n_keys = 2};
	struct dkim_sign *s;
	struct buf        out = BUF(1 << 16);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
		assert_null(dkim_sign_start(STR("From: a\r\n"), &conf, str_of(hashes[i]), 1));
	s = dkim_sign_start(STR("From: a\r\n"), &conf,
	                    STR("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), 1);
	assert_int_equal(dkim_sign_count(s), 2);
	assert_false(dkim_sign_finish(s, &out));
	dkim_sign_put(s, 1, STR("signature"));
	assert_false(dkim_sign_finish(s, &out));
	assert_int_equal(out.n, 0);
	dkim_sign_put(s, 0, STR("signature"));
	assert_true(dkim_sign_finish(s, &out));
	dkim_sign_destroy(s);
	conf.n_keys = 0;
	assert_null(dkim_sign_start(STR_NONE, &conf,
	                            STR("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), 1));
	dkim_sign_destroy(NULL);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_test_verifier_knows_the_rfcs),
		cmocka_unit_test(corpus_is_signed_and_verified),
		cmocka_unit_test(the_field_is_as_expected),
		cmocka_unit_test(added_fields_break_the_signature),
		cmocka_unit_test(long_and_foreign_names_are_written),
		cmocka_unit_test(nothing_half_signed_gets_out),
	};

	return cmocka_run_group_tests(tests, read_keys, free_keys);
}
