/* SPDX-License-Identifier: ISC */
/* config_keys - can this private key sign DKIM? The one file of config that knows OpenSSL. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "lib/proc/config_private.h"
#include "lib/util/encode.h"

enum { LEAST_BITS = 1024, ED25519_OCTETS = 32 };

/* What the file is by its own words, when it is no private key we can use. */
static const struct {
	const char *text, *why;
} marks[] = {
	{"ENCRYPTED", "is encrypted with a pass phrase, and a server has nobody to ask for it"},
	{"-----BEGIN PUBLIC KEY", "holds only the public key"},
	{"-----BEGIN RSA PUBLIC KEY", "holds only the public key"},
	{"-----BEGIN CERTIFICATE", "is a certificate, not a private key"},
	{"-----BEGIN OPENSSH", "is a key of OpenSSH, not in PEM form of PKCS#8 or PKCS#1"},
};

static int
no_phrase(char *to, int size, int writing, void *arg)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static const char *
judge_text(struct str pem)
{
	if (str_trim(pem).n == 0)
		return "is empty";
	if (str_find_str(pem, STR("-----BEGIN ")) < 0)
		return "is no key in PEM form";
	if (str_find_str(pem, STR("PRIVATE KEY-----")) < 0 ||
	    str_find_str(pem, STR("ENCRYPTED")) >= 0) {
		for (size_t i = 0; i < ARRAY_LEN(marks); i++)
			if (str_find_str(pem, str_of(marks[i].text)) >= 0)
				return marks[i].why;
	}
	if (str_find_str(pem, STR("-----END ")) < 0)
		return "is cut off: its end is missing";
	return NULL;
}

static bool
judge_key(const EVP_PKEY *key, enum key_type *type, unsigned *bits, struct buf *why)
{
	int id = EVP_PKEY_get_base_id(key);

	*bits = 0;
	if (id == EVP_PKEY_ED25519) {
		*type = KEY_ED25519;
		return true;
	}
	if (id != EVP_PKEY_RSA) {
		buf_addf(why, "is a key of type %s; DKIM knows only RSA and Ed25519",
		         EVP_PKEY_get0_type_name(key) != NULL ? EVP_PKEY_get0_type_name(key)
		                                              : "unknown");
		return false;
	}
	*type = KEY_RSA;
	*bits = (unsigned)EVP_PKEY_get_bits(key);
	if (*bits < LEAST_BITS) {
		buf_addf(why, "is an RSA key of %u bits; receivers ignore keys under %d bits",
		         *bits, LEAST_BITS);
		return false;
	}
	return true;
}

static EVP_PKEY *
read_key(struct str pem)
{
	BIO      *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

bool
conf_key_check(struct str pem, enum key_type *type, unsigned *bits, struct buf *why)
{
	const char *reason = judge_text(pem);
	EVP_PKEY   *key;
	bool        ok = false;

	*type = KEY_UNKNOWN;
	if (reason != NULL) {
		buf_addz(why, reason);
		return false;
	}
	key = read_key(pem);
	if (key == NULL)
		buf_addz(why, "is damaged: it cannot be decoded");
	else
		ok = judge_key(key, type, bits, why);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok;
}

void
conf_key_half(struct str pem, struct buf *out)
{
	EVP_PKEY      *key = read_key(pem);
	unsigned char  raw[ED25519_OCTETS], *der = NULL;
	size_t         n = sizeof raw;
	int            length;

	if (key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
		if (EVP_PKEY_get_raw_public_key(key, raw, &n) == 1)
			base64_encode(out, (struct str){(const char *)raw, n});
	} else if (key != NULL && (length = i2d_PUBKEY(key, &der)) > 0) {
		base64_encode(out, (struct str){(const char *)der, (size_t)length});
	}
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	ERR_clear_error();
}
