/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dkim/key.h"
#include "lib/util/encode.h"
#include "tests/unit/dkim/files.h"

#include "vectors.inc"

static struct key *
load(const char *name, struct buf *why)
{
	struct buf  pem = BUF(1 << 16);
	struct key *k;

	files_corpus(&pem, "keys", name);
	k = key_load(buf_str(&pem), why);
	buf_free(&pem);
	return k;
}

static void
keys_are_loaded_or_refused(void **state)
{
	static const struct {
		const char   *file;
		enum key_type type;
		unsigned      bits;
		const char   *why;
	} rows[] = {
		{"rsa2048.pkcs8.pem", KEY_RSA, 2048, NULL},
		{"rsa2048.pkcs1.pem", KEY_RSA, 2048, NULL},
		{"rsa2048.crlf.pem", KEY_RSA, 2048, NULL},
		{"rsa1024.pkcs8.pem", KEY_RSA, 1024, NULL},
		{"rsa4096.pkcs8.pem", KEY_RSA, 4096, NULL},
		{"ed25519.pkcs8.pem", KEY_ED25519, 256, NULL},
		{"rsa512.pkcs8.pem", KEY_UNKNOWN, 0, "512 bits"},
		{"bad-ec-p256.pem", KEY_UNKNOWN, 0, "neither an RSA nor an Ed25519 key"},
		{"bad-empty.pem", KEY_UNKNOWN, 0, "no private key"},
		{"bad-encrypted.pem", KEY_UNKNOWN, 0, "pass phrase"},
		{"bad-public-only.pem", KEY_UNKNOWN, 0, "no private key"},
		{"bad-truncated.pem", KEY_UNKNOWN, 0, "no private key"},
	};
	struct buf why = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct key *k;

		buf_clear(&why);
		k = load(rows[i].file, &why);
		print_message("%s: %s\n", rows[i].file, buf_z(&why));
		assert_int_equal(k != NULL, rows[i].why == NULL);
		if (rows[i].why != NULL) {
			assert_non_null(strstr(buf_z(&why), rows[i].why));
			continue;
		}
		assert_int_equal(key_type(k), rows[i].type);
		assert_int_equal(key_bits(k), rows[i].bits);
		key_destroy(k);
	}
	buf_free(&why);
}

static void
records_are_as_known(void **state)
{
	struct buf text = BUF(4096), why = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		struct key *k = load(records[i].file, &why);

		assert_non_null(k);
		buf_clear(&text);
		key_format_record(k, &text);
		assert_string_equal(buf_z(&text), records[i].txt);
		key_destroy(k);
	}
	buf_free(&text);
	buf_free(&why);
}

static void
signs(struct key *k, const char *digest, const char *want)
{
	struct buf octets = BUF(100), signature = BUF(2048), text = BUF(4096);

	assert_true(base64_decode(&octets, str_of(digest)));
	assert_true(key_sign(k, buf_str(&octets), &signature));
	base64_encode(&text, buf_str(&signature));
	assert_string_equal(buf_z(&text), want);
	buf_free(&octets);
	buf_free(&signature);
	buf_free(&text);
}

static void
signatures_are_as_known(void **state)
{
	struct buf  why = BUF(1000), out = BUF(2048);
	struct key *rsa = load("rsa2048.pkcs8.pem", &why), *ed = load("ed25519.pkcs8.pem", &why);

	(void)state;
	/* Twice: the contexts are used again. */
	for (size_t i = 0; i < 2 * ARRAY_LEN(kats); i++) {
		signs(rsa, kats[i / 2].digest, kats[i / 2].rsa2048);
		signs(ed, kats[i / 2].digest, kats[i / 2].ed25519);
	}
	assert_false(key_sign(rsa, STR("short"), &out));
	assert_false(key_sign(ed, STR_NONE, &out));
	assert_int_equal(out.n, 0);
	key_destroy(rsa);
	key_destroy(ed);
	buf_free(&why);
	buf_free(&out);
}

static void
new_keys_come_back_from_their_text(void **state)
{
	static const enum key_type types[] = {KEY_RSA, KEY_ED25519};
	struct buf pem = BUF(1 << 16), one = BUF(4096), two = BUF(4096), why = BUF(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct key *k = key_create(types[i]), *back;

		assert_non_null(k);
		assert_int_equal(key_type(k), types[i]);
		buf_clear(&pem);
		key_format_pem(k, &pem);
		back = key_load(buf_str(&pem), &why);
		assert_non_null(back);
		buf_clear(&one);
		buf_clear(&two);
		key_format_record(k, &one);
		key_format_record(back, &two);
		assert_string_equal(buf_z(&one), buf_z(&two));
		key_destroy(k);
		key_destroy(back);
	}
	buf_free(&pem);
	buf_free(&one);
	buf_free(&two);
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_loaded_or_refused),
		cmocka_unit_test(records_are_as_known),
		cmocka_unit_test(signatures_are_as_known),
		cmocka_unit_test(new_keys_come_back_from_their_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
