/* SPDX-License-Identifier: ISC */
/* Both sides of a key that is apart: what signs, and the handshakes of a server that has it signed. */
#include "lib/net/tls_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "lib/net/ssl.h"
#include "lib/net/tls_scheme.h"
#include "tests/unit/net/certs.h"

enum { KINDS = 4 };

static const enum cert_type kinds[KINDS] = {CERT_RSA, CERT_ECDSA, CERT_ECDSA384, CERT_ED25519};
static struct made_cert     certs[KINDS];
static struct tls_key      *keys[KINDS];

static int
drop(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		tls_key_destroy(keys[i]);
		made_cert_free(&certs[i]);
	}
	return 0;
}

enum mood { SIGN, REFUSE, LIE, TOO_MUCH };

/* What the signer was asked for, and how it is to answer. */
struct signer {
	struct tls_key *key;
	unsigned        asked, scheme;
	struct buf      content;
	enum mood       mood;
};

static bool
sign(void *arg, const struct tls_to_sign *what, struct buf *signature)
{
	struct signer *s = arg;

	s->asked++;
	s->scheme = what->scheme;
	buf_clear(&s->content);
	buf_add(&s->content, what->content);
	assert_true(str_eq(what->key, tls_key_id(s->key)));
	if (s->mood == SIGN)
		assert_null(tls_key_sign(s->key, what->scheme, what->content, signature));
	else if (s->mood == LIE)
		buf_addz(signature, "signature");
	else if (s->mood == TOO_MUCH)
		while (!signature->over)
			buf_addz(signature, "xxxxxxxxxxxxxxxx");
	return s->mood != REFUSE;
}

static SSL *
client(SSL_CTX *ctx, int version)
{
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	ssl = SSL_new(ctx);
	SSL_set_connect_state(ssl);
	return ssl;
}

static bool
shake(struct tls_server *server, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL     *them = client(ctx, version), *us = tls_server_ssl(server);
	BIO     *a, *b;
	int      ours = 0, theirs = 0;

	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(them, a, a);
	SSL_set_bio(us, b, b);
	for (int i = 0; i < 10 && (ours != 1 || theirs != 1); i++) {
		theirs = SSL_do_handshake(them);
		ours = SSL_do_handshake(us);
	}
	SSL_free(them);
	SSL_free(us);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ours == 1 && theirs == 1;
}

static struct tls_server *
serve(size_t kind, const struct tls_signer *signer)
{
	struct tls_pair    pair = {.cert_pem = buf_str(&certs[kind].cert), .signer = signer};
	struct buf         why = BUF(1024);
	struct tls_server *server = tls_server_create(&pair, 1, &why);

	assert_string_equal(buf_z(&why), "");
	buf_free(&why);
	return server;
}

/* What OpenSSL allocates meanwhile it keeps, and at the end does not free. */
static void
openssl_keeps(bool yes UNUSED)
{
#ifdef __SANITIZE_ADDRESS__
	if (yes)
		__lsan_disable();
	else
		__lsan_enable();
#endif
}

/* The first key loads our provider, which holds OpenSSL's own. */
static void
load_provider(void)
{
	struct signer     s = {.key = keys[0]};
	struct tls_signer how = {sign, &s};

	openssl_keeps(true);
	tls_server_unref(serve(0, &how));
	openssl_keeps(false);
}

static int
make(void **state)
{
	struct buf why = BUF(1024);

	(void)state;
	openssl_keeps(true);
	assert_int_equal(OSSL_PROVIDER_available(NULL, "default"), 1);
	openssl_keeps(false);
	for (size_t i = 0; i < KINDS; i++) {
		made_cert_init(&certs[i], kinds[i], "DNS:mx.test", NULL);
		keys[i] = tls_key_load(buf_str(&certs[i].key), &why);
		assert_non_null(keys[i]);
	}
	buf_free(&why);
	load_provider();
	return 0;
}

static void
all_kinds_of_keys_shake_hands(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
			struct signer      s = {.key = keys[i], .content = BUF(1024)};
			struct tls_signer  how = {sign, &s};
			struct tls_server *server = serve(i, &how);

			print_message("kind %zu, version %#x\n", i, (unsigned)versions[v]);
			assert_true(shake(server, versions[v]));
			assert_int_equal(s.asked, 1);
			assert_true(tls_server_covers(server, STR("mx.test")));
			tls_server_unref(server);
			buf_free(&s.content);
		}
}

static void
a_signer_that_fails_ends_the_handshake_alone(void **state)
{
	static const enum mood moods[] = {REFUSE, LIE, TOO_MUCH};
	struct signer      s = {.key = keys[1], .content = BUF(1024)};
	struct tls_signer  how = {sign, &s};
	struct tls_server *server = serve(1, &how);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(moods); i++) {
		s.mood = moods[i];
		assert_false(shake(server, TLS1_3_VERSION));
		assert_false(shake(server, TLS1_2_VERSION));
		s.mood = SIGN;
		assert_true(shake(server, TLS1_3_VERSION));
	}
	tls_server_unref(server);
	buf_free(&s.content);
}

/* OpenSSL's own provider still serves everybody else. */
static void
other_keys_stay_as_they_were(void **state)
{
	EVP_PKEY      *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
	EVP_MD_CTX    *md = EVP_MD_CTX_new();
	unsigned char  out[512];
	size_t         n = sizeof out;

	(void)state;
	assert_non_null(rsa);
	assert_non_null(ec);
	assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, rsa), 1);
	assert_int_equal(EVP_DigestSign(md, out, &n, (const unsigned char *)"x", 1), 1);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(rsa)), "default");
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(ec)), "default");
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

#define SPACES "                                                                "
#define HASH32 "0123456789abcdef0123456789abcdef"
#define HASH48 HASH32 "0123456789abcdef"
#define RANDOM HASH32 HASH32
#define WORDS  "TLS 1.3, server CertificateVerify\0"
#define REFUSED "no server's handshake signs this"
#define UNFIT   "the key has no such signature scheme"

/* clang-format off */
#define CONTENT(literal) {(literal), sizeof(literal) - 1}
/* clang-format on */

static const struct {
	const char *what;
	size_t      kind;
	unsigned    scheme;
	struct str  content;
	const char *why;
} rows[] = {
	{"1.3, SHA-256", 0, 0x0804, CONTENT(SPACES WORDS HASH32), NULL},
	{"1.3, SHA-384", 1, 0x0403, CONTENT(SPACES WORDS HASH48), NULL},
	{"1.3, P-384", 2, 0x0503, CONTENT(SPACES WORDS HASH48), NULL},
	{"1.3, Ed25519", 3, 0x0807, CONTENT(SPACES WORDS HASH32), NULL},
	{"1.2, x25519", 0, 0x0401, CONTENT(RANDOM "\3\0\35\40" HASH32), NULL},
	{"1.2, x25519, PSS", 0, 0x0804, CONTENT(RANDOM "\3\0\35\40" HASH32), NULL},
	{"1.2, P-256", 1, 0x0403, CONTENT(RANDOM "\3\0\27\101\4" HASH32 HASH32), NULL},
	{"nothing", 0, 0x0804, CONTENT(""), REFUSED},
	{"mail", 0, 0x0401, CONTENT("from:ann@example.org\r\n"), REFUSED},
	{"a digest", 0, 0x0401, CONTENT(HASH32), REFUSED},
	{"a client's part", 0, 0x0804, CONTENT(SPACES "TLS 1.3, client CertificateVerify\0" HASH32), REFUSED},
	{"65 spaces", 0, 0x0804, CONTENT(" " SPACES WORDS HASH32), REFUSED},
	{"a short hash", 0, 0x0804, CONTENT(SPACES WORDS "0123456789"), REFUSED},
	{"no hash", 0, 0x0804, CONTENT(SPACES WORDS), REFUSED},
	{"a hash and more", 0, 0x0804, CONTENT(SPACES WORDS HASH32 "x"), REFUSED},
	{"1.2, randoms alone", 0, 0x0401, CONTENT(RANDOM), REFUSED},
	{"1.2, cut off", 0, 0x0401, CONTENT(RANDOM "\3\0\35\40" "0123456789"), REFUSED},
	{"1.2, something behind", 0, 0x0401, CONTENT(RANDOM "\3\0\35\40" HASH32 "x"), REFUSED},
	{"1.2, another curve's point", 0, 0x0401, CONTENT(RANDOM "\3\0\27\40" HASH32), REFUSED},
	{"1.2, an unknown group", 0, 0x0401, CONTENT(RANDOM "\3\0\1\40" HASH32), REFUSED},
	{"1.2, a curve of its own", 0, 0x0401, CONTENT(RANDOM "\1\0\35\40" HASH32), REFUSED},
	{"1.3 with PKCS#1", 0, 0x0401, CONTENT(SPACES WORDS HASH32), UNFIT},
	{"SHA-1", 0, 0x0201, CONTENT(SPACES WORDS HASH32), UNFIT},
	{"an unknown scheme", 0, 0xffff, CONTENT(SPACES WORDS HASH32), UNFIT},
	{"RSA's scheme with an EC key", 1, 0x0804, CONTENT(SPACES WORDS HASH32), UNFIT},
	{"EC's scheme with an RSA key", 0, 0x0403, CONTENT(SPACES WORDS HASH32), UNFIT},
};

static void
only_handshakes_are_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf  out = BUF(TLS_SIGNATURE_MAX);
		const char *why =
			tls_key_sign(keys[rows[i].kind], rows[i].scheme, rows[i].content, &out);

		print_message("%s: %s\n", rows[i].what, why == NULL ? "signed" : why);
		assert_int_equal(why == NULL, rows[i].why == NULL);
		assert_int_equal(out.n > 0, why == NULL);
		if (why != NULL)
			assert_string_equal(why, rows[i].why);
		buf_free(&out);
	}
}

/* What real handshakes have signed, changed in each octet that is not random. */
static void
a_changed_octet_is_noticed(void **state)
{
	struct signer      s = {.key = keys[1], .content = BUF(1024)};
	struct tls_signer  how = {sign, &s};
	struct tls_server *server = serve(1, &how);
	struct buf         out = BUF(TLS_SIGNATURE_MAX);

	(void)state;
	assert_true(shake(server, TLS1_3_VERSION));
	for (size_t i = 0; i < s.content.n - 48; i++) {
		s.content.p[i] ^= 1;
		assert_non_null(tls_key_sign(keys[1], s.scheme, buf_str(&s.content), &out));
		s.content.p[i] ^= 1;
	}
	for (size_t n = 0; n < s.content.n; n++)
		if (n != s.content.n - 16)
			assert_non_null(tls_key_sign(keys[1], s.scheme,
			                             str_sub(buf_str(&s.content), 0, n), &out));
	assert_int_equal(out.n, 0);
	buf_free(&out);
	tls_server_unref(server);
	buf_free(&s.content);
}

static void
keys_of_no_use_are_told(void **state)
{
	static const char *const texts[] = {"", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf why = BUF(1024);

		assert_null(tls_key_load(str_of(texts[i]), &why));
		assert_string_equal(buf_z(&why), "the key file holds no private key in PEM form");
		buf_free(&why);
	}
	tls_key_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_handshakes_are_signed),
		cmocka_unit_test(all_kinds_of_keys_shake_hands),
		cmocka_unit_test(a_signer_that_fails_ends_the_handshake_alone),
		cmocka_unit_test(other_keys_stay_as_they_were),
		cmocka_unit_test(a_changed_octet_is_noticed),
		cmocka_unit_test(keys_of_no_use_are_told),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
