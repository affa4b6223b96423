/* SPDX-License-Identifier: ISC */
#include "dkim/key.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "lib/net/digest.h"
#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum {
	LEAST_BITS = 1024,
	DIGEST = 32,
	SIGNATURE_MAX = 2048,
	ED25519_OCTETS = 32,
};

struct key {
	EVP_PKEY     *pkey;
	EVP_PKEY_CTX *rsa;     /* set up once: padding and digest are the same each time */
	EVP_MD_CTX   *ed25519; /* begun anew for each signature */
	enum key_type type;
};

static const struct str type_names[] = {
	[KEY_UNKNOWN] = {"unknown", 7},
	[KEY_RSA] = {"rsa", 3},
	[KEY_ED25519] = {"ed25519", 7},
};

struct str
key_type_name(enum key_type type)
{
	return type_names[type];
}

enum key_type
key_type(const struct key *k)
{
	return k->type;
}

unsigned
key_bits(const struct key *k)
{
	return k->type == KEY_ED25519 ? 256 : (unsigned)EVP_PKEY_get_bits(k->pkey);
}

void
key_destroy(struct key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_CTX_free(k->rsa);
	EVP_MD_CTX_free(k->ed25519);
	EVP_PKEY_free(k->pkey);
	free(k);
}

/* A key with a pass phrase must fail, not ask for it on a terminal. */
static int
no_phrase(char *to, int size, int writing, void *arg)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static EVP_PKEY *
decode(struct str pem)
{
	EVP_PKEY *pkey = NULL;
	BIO      *bio;

	if (pem.n > INT32_MAX ||
	    (bio = BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n)) == NULL)
		return NULL;
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
	BIO_free(bio);
	return pkey;
}

static bool
prepare_rsa(struct key *k)
{
	k->rsa = EVP_PKEY_CTX_new(k->pkey, NULL);
	return k->rsa != NULL && EVP_PKEY_sign_init(k->rsa) == 1 &&
	       EVP_PKEY_CTX_set_rsa_padding(k->rsa, RSA_PKCS1_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(k->rsa, EVP_sha256()) == 1;
}

/* Judge the decoded key and make it ready. */
static bool
prepare(struct key *k, struct buf *why)
{
	bool ok;

	switch (EVP_PKEY_get_base_id(k->pkey)) {
	case EVP_PKEY_RSA:
		k->type = KEY_RSA;
		ok = prepare_rsa(k);
		break;
	case EVP_PKEY_ED25519:
		k->type = KEY_ED25519;
		ok = (k->ed25519 = EVP_MD_CTX_new()) != NULL;
		break;
	default:
		buf_addz(why, "is neither an RSA nor an Ed25519 key");
		return false;
	}
	if (!ok)
		buf_addz(why, "is refused by OpenSSL");
	else if (k->type == KEY_RSA && key_bits(k) < LEAST_BITS)
		buf_addf(why, "is an RSA key of %u bits; receivers ignore keys under %d",
		         key_bits(k), LEAST_BITS);
	return ok && !(k->type == KEY_RSA && key_bits(k) < LEAST_BITS);
}

/* Takes `pkey`, which may be NULL. */
static struct key *
create(EVP_PKEY *pkey, struct buf *why)
{
	struct key *k = mem_zero(sizeof *k);

	k->pkey = pkey;
	if (pkey == NULL) {
		buf_addz(why, "holds no private key in PEM form without pass phrase");
		goto fail;
	}
	if (!prepare(k, why))
		goto fail;
	return k;
fail:
	ERR_clear_error();
	key_destroy(k);
	return NULL;
}

struct key *
key_load(struct str pem, struct buf *why)
{
	digest_prepare();
	return create(decode(pem), why);
}

struct key *
key_create(enum key_type type)
{
	struct buf  why = BUF(256);
	struct key *k = create(type == KEY_RSA ? EVP_RSA_gen(KEY_RSA_BITS)
	                                       : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	                       &why);

	buf_free(&why);
	return k;
}

/* PKCS#1 v1.5 around the digest (RFC 8017 section 8.2). */
static bool
sign_rsa(struct key *k, const unsigned char *digest, unsigned char *to, size_t *n)
{
	return EVP_PKEY_sign(k->rsa, to, n, digest, DIGEST) == 1;
}

/* The digest is the message of PureEdDSA (RFC 8463 section 3). */
static bool
sign_ed25519(struct key *k, const unsigned char *digest, unsigned char *to, size_t *n)
{
	return EVP_DigestSignInit(k->ed25519, NULL, NULL, NULL, k->pkey) == 1 &&
	       EVP_DigestSign(k->ed25519, to, n, digest, DIGEST) == 1;
}

bool
key_sign(struct key *k, struct str digest, struct buf *out)
{
	const unsigned char *octets = (const unsigned char *)digest.p;
	unsigned char       *room;
	size_t               n = SIGNATURE_MAX;
	bool                 ok;

	if (digest.n != DIGEST || (room = (unsigned char *)buf_room(out, n)) == NULL)
		return false;
	ok = k->type == KEY_RSA ? sign_rsa(k, octets, room, &n) : sign_ed25519(k, octets, room, &n);
	if (ok)
		buf_commit(out, n);
	else
		ERR_clear_error();
	return ok;
}

void
key_format_pem(const struct key *k, struct buf *out)
{
	BIO  *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long  n;

	if (bio == NULL || PEM_write_bio_PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		abort(); /* lack of memory: it was decoded or made just before */
	n = BIO_get_mem_data(bio, &text);
	buf_add(out, (struct str){text, (size_t)n});
	BIO_free(bio);
}

/* RSA: SubjectPublicKeyInfo; Ed25519: the octets alone (RFC 8463 section 4.2). */
void
key_format_record(const struct key *k, struct buf *out)
{
	unsigned char *der = NULL, raw[ED25519_OCTETS];
	size_t         n = sizeof raw;
	int            length;

	buf_addz(out, "v=DKIM1; k=");
	buf_add(out, key_type_name(k->type));
	buf_addz(out, "; p=");
	if (k->type == KEY_ED25519) {
		if (EVP_PKEY_get_raw_public_key(k->pkey, raw, &n) != 1)
			abort();
		base64_encode(out, (struct str){(const char *)raw, n});
		return;
	}
	length = i2d_PUBKEY(k->pkey, &der);
	if (length <= 0)
		abort();
	base64_encode(out, (struct str){(const char *)der, (size_t)length});
	OPENSSL_free(der);
}
