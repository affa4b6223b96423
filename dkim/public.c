/* SPDX-License-Identifier: ISC */
#include "dkim/public.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "lib/util/mem.h"

enum { ED25519_OCTETS = 32, OCTETS_MAX = 8192 };

struct public_key {
	EVP_PKEY     *pkey;
	enum key_type type;
};

static EVP_PKEY *
decode_rsa(struct str octets)
{
	const unsigned char *at = (const unsigned char *)octets.p;
	EVP_PKEY            *pkey = d2i_PUBKEY(NULL, &at, (long)octets.n);

	/* d2i_PublicKey() for the bare form; what is left over means that it was cut and pasted on. */
	if (pkey == NULL) {
		at = (const unsigned char *)octets.p;
		pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)octets.n);
	}
	if (pkey != NULL && (at != (const unsigned char *)octets.p + octets.n ||
	                     EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA)) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return pkey;
}

struct public_key *
public_parse(enum key_type type, struct str octets)
{
	struct public_key *k;
	EVP_PKEY          *pkey = NULL;

	if (octets.n == 0 || octets.n > OCTETS_MAX)
		return NULL;
	if (type == KEY_RSA)
		pkey = decode_rsa(octets);
	else if (type == KEY_ED25519 && octets.n == ED25519_OCTETS)
		pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
		                                   (const unsigned char *)octets.p, octets.n);
	ERR_clear_error();
	if (pkey == NULL)
		return NULL;
	k = mem_zero(sizeof *k);
	k->pkey = pkey;
	k->type = type;
	return k;
}

void
public_destroy(struct public_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

unsigned
public_bits(const struct public_key *k)
{
	return k->type == KEY_ED25519 ? 256 : (unsigned)EVP_PKEY_get_bits(k->pkey);
}

static bool
verify_rsa(EVP_PKEY_CTX *ctx, struct str digest, struct str signature)
{
	return EVP_PKEY_verify_init(ctx) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	       EVP_PKEY_verify(ctx, (const unsigned char *)signature.p, signature.n,
	                       (const unsigned char *)digest.p, digest.n) == 1;
}

static bool
verify_ed25519(EVP_MD_CTX *ctx, EVP_PKEY *pkey, struct str digest, struct str signature)
{
	return EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	       EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n,
	                        (const unsigned char *)digest.p, digest.n) == 1;
}

bool
public_verify(const struct public_key *k, struct str digest, struct str signature)
{
	EVP_PKEY_CTX *rsa = NULL;
	EVP_MD_CTX   *ed25519 = NULL;
	bool          ok;

	if (k->type == KEY_RSA) {
		rsa = EVP_PKEY_CTX_new(k->pkey, NULL);
		ok = rsa != NULL && verify_rsa(rsa, digest, signature);
	} else {
		ed25519 = EVP_MD_CTX_new();
		ok = ed25519 != NULL && verify_ed25519(ed25519, k->pkey, digest, signature);
	}
	EVP_PKEY_CTX_free(rsa);
	EVP_MD_CTX_free(ed25519);
	ERR_clear_error();
	return ok;
}
