/* SPDX-License-Identifier: ISC */
#include "lib/net/tls_key.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/tls_scheme.h"
#include "lib/util/mem.h"

enum { PEM_MAX = 1024 * 1024, RANDOMS = 64, NAMED_CURVE = 3 };

struct tls_key {
	EVP_PKEY     *pkey;
	unsigned char id[TLS_KEY_ID];
};

/* clang-format off */
static const struct tls_scheme schemes[] = {
	{0x0804, "RSA",     "SHA2-256", "SHA256", true,  false},
	{0x0805, "RSA",     "SHA2-384", "SHA384", true,  false},
	{0x0806, "RSA",     "SHA2-512", "SHA512", true,  false},
	{0x0401, "RSA",     "SHA2-256", "SHA256", false, true},
	{0x0501, "RSA",     "SHA2-384", "SHA384", false, true},
	{0x0601, "RSA",     "SHA2-512", "SHA512", false, true},
	{0x0403, "EC",      "SHA2-256", "SHA256", false, false},
	{0x0503, "EC",      "SHA2-384", "SHA384", false, false},
	{0x0603, "EC",      "SHA2-512", "SHA512", false, false},
	{0x0807, "ED25519", "",         "",       false, false},
};
/* clang-format on */

/* The groups of a key share, and the octets of a point. */
static const struct {
	unsigned group;
	size_t   point;
} shares[] = {
	{23, 65}, {24, 97}, {25, 133}, /* secp256r1, secp384r1, secp521r1: RFC 8422 section 5.4 */
	{29, 32}, {30, 56},            /* x25519, x448 */
};

const struct tls_scheme *
tls_scheme_by_code(unsigned code)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (schemes[i].code == code)
			return &schemes[i];
	return NULL;
}

const struct tls_scheme *
tls_scheme_by_hash(const char *type, const char *hash, bool pss)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (strcmp(schemes[i].type, type) == 0 && schemes[i].pss == pss &&
		    (strcmp(schemes[i].hash, hash) == 0 || strcmp(schemes[i].alias, hash) == 0))
			return &schemes[i];
	return NULL;
}

bool
tls_key_name(const EVP_PKEY *key, unsigned char id[TLS_KEY_ID])
{
	unsigned char *der = NULL;
	int            n;
	bool           ok = false;

	for (size_t i = 0; i < ARRAY_LEN(schemes) && !ok; i++)
		ok = EVP_PKEY_is_a(key, schemes[i].type) == 1;
	n = ok ? i2d_PUBKEY(key, &der) : 0;
	ok = n > 0 && EVP_Digest(der, (size_t)n, id, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	ERR_clear_error();
	return ok;
}

/* We never ask anybody for a passphrase: a daemon has nobody to ask. */
static int
no_passphrase(char *to UNUSED, int size UNUSED, int writing UNUSED, void *arg UNUSED)
{
	return 0;
}

struct tls_key *
tls_key_load(struct str pem, struct buf *why)
{
	struct tls_key *k = mem_zero(sizeof *k);
	BIO            *in = pem.n == 0 || pem.n > PEM_MAX ? NULL : BIO_new_mem_buf(pem.p, (int)pem.n);

	if (in != NULL)
		k->pkey = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (k->pkey != NULL && tls_key_name(k->pkey, k->id))
		return k;
	buf_addz(why, k->pkey == NULL ? "the key file holds no private key in PEM form"
	                              : "the key is neither RSA nor ECDSA nor Ed25519");
	tls_key_destroy(k);
	return NULL;
}

void
tls_key_destroy(struct tls_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

struct str
tls_key_id(const struct tls_key *k)
{
	return (struct str){(const char *)k->id, sizeof k->id};
}

static unsigned
octet(struct str s, size_t at)
{
	return (unsigned char)s.p[at];
}

/*
 * The randoms of both sides and the server's key share, whose length tells where it ends.
 * That the randoms are random nobody can see; but nothing else begins so and fits.
 */
static bool
is_tls12(struct str content)
{
	struct str share = str_skip(content, RANDOMS);

	if (share.n < 4 || octet(share, 0) != NAMED_CURVE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		if (octet(share, 1) == 0 && octet(share, 2) == shares[i].group)
			return octet(share, 3) == shares[i].point && share.n == 4 + shares[i].point;
	return false;
}

/* 64 spaces, a text, NUL, and the hash of the handshake: by SHA-256 or SHA-384, as the suites have it. */
static bool
is_tls13(struct str content)
{
	static const char head[] =
		"                                                                "
		"TLS 1.3, server CertificateVerify";
	size_t hash = content.n - sizeof head;

	return str_starts(content, (struct str){head, sizeof head}) && (hash == 32 || hash == 48);
}

static bool
sign(const struct tls_key *k, const struct tls_scheme *s, struct str content, struct buf *out)
{
	EVP_MD_CTX    *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX  *how;
	unsigned char *room = (unsigned char *)buf_room(out, TLS_SIGNATURE_MAX);
	size_t         n = TLS_SIGNATURE_MAX;
	bool           ok;

	ok = md != NULL && room != NULL &&
	     EVP_DigestSignInit_ex(md, &how, s->hash[0] != '\0' ? s->hash : NULL, NULL, NULL, k->pkey,
	                           NULL) == 1;
	if (ok && s->pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestSign(md, room, &n, (const unsigned char *)content.p, content.n) == 1;
	if (ok)
		buf_commit(out, n);
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok;
}

const char *
tls_key_sign(const struct tls_key *k, unsigned scheme, struct str content, struct buf *out)
{
	const struct tls_scheme *s = tls_scheme_by_code(scheme);
	bool                     tls12 = is_tls12(content);

	if (!tls12 && !is_tls13(content))
		return "no server's handshake signs this";
	if (s == NULL || EVP_PKEY_is_a(k->pkey, s->type) != 1 || (s->tls12_only && !tls12))
		return "the key has no such signature scheme";
	return sign(k, s, content, out) ? NULL : "signing failed";
}
