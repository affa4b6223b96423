/* SPDX-License-Identifier: ISC */
/* Private keys of the corpus: which can sign, and what is said about the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proc/config_private.h"

static const struct {
	const char   *file;
	enum key_type type;
	unsigned      bits;
	const char   *why; /* NULL: it can sign */
} keys[] = {
	{"rsa2048.pkcs8.pem", KEY_RSA, 2048, NULL},
	{"rsa2048.pkcs1.pem", KEY_RSA, 2048, NULL},
	{"rsa2048.crlf.pem", KEY_RSA, 2048, NULL},
	{"rsa4096.pkcs8.pem", KEY_RSA, 4096, NULL},
	{"rsa1024.pkcs8.pem", KEY_RSA, 1024, NULL},
	{"ed25519.pkcs8.pem", KEY_ED25519, 0, NULL},
	{"rsa512.pkcs8.pem", KEY_UNKNOWN, 0, "RSA key of 512 bits"},
	{"bad-ec-p256.pem", KEY_UNKNOWN, 0, "a key of type EC"},
	{"bad-empty.pem", KEY_UNKNOWN, 0, "is empty"},
	{"bad-encrypted.pem", KEY_UNKNOWN, 0, "is encrypted with a pass phrase"},
	{"bad-public-only.pem", KEY_UNKNOWN, 0, "holds only the public key"},
	{"bad-truncated.pem", KEY_UNKNOWN, 0, "is cut off"},
	{"README.md", KEY_UNKNOWN, 0, "is no key in PEM form"},
};

static void
every_key_of_the_corpus_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char          path[4096], octets[65536];
		FILE         *f;
		struct str    pem = {octets, 0};
		enum key_type type;
		unsigned      bits;
		struct buf    why = BUF(1024);
		bool          ok;

		snprintf(path, sizeof path, "%s/keys/%s", getenv("CORPUS"), keys[i].file);
		f = fopen(path, "re");
		assert_non_null(f);
		pem.n = fread(octets, 1, sizeof octets, f);
		fclose(f);
		ok = conf_key_check(pem, &type, &bits, &why);
		if (ok != (keys[i].why == NULL) ||
		    (!ok && strstr(buf_z(&why), keys[i].why) == NULL))
			fail_msg("%s: %s", keys[i].file, buf_z(&why));
		if (ok) {
			assert_int_equal(type, keys[i].type);
			assert_int_equal(bits, keys[i].bits);
		}
		buf_free(&why);
	}
}

static void
damaged_keys_are_refused_in_words(void **state)
{
	static const char pem[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
	enum key_type     type;
	unsigned          bits;
	struct buf        why = BUF(1024);

	(void)state;
	assert_false(conf_key_check(str_of(pem), &type, &bits, &why));
	assert_string_equal(buf_z(&why), "is damaged: it cannot be decoded");
	buf_free(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_of_the_corpus_is_judged),
		cmocka_unit_test(damaged_keys_are_refused_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
