/* SPDX-License-Identifier: ISC */
#include "tests/unit/net/certs.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

enum { PEM_MAX = 64 * 1024, YEAR_S = 365 * 86400 };

static void
to_buf(BIO *bio, struct buf *out)
{
	char *p;
	long  n = BIO_get_mem_data(bio, &p);

	buf_init(out, PEM_MAX);
	buf_add(out, (struct str){p, (size_t)n});
	BIO_free(bio);
}

static void
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION    *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	ASN1_OCTET_STRING *data;

	assert(e != NULL);
	data = ASN1_OCTET_STRING_dup(X509_EXTENSION_get_data(e));
	for (int i = 0; i < ASN1_STRING_length(data) && nid == NID_subject_alt_name; i++) {
		unsigned char *octet = &((unsigned char *)(uintptr_t)ASN1_STRING_get0_data(data))[i];

		if (*octet == '~')
			*octet = '\0';
	}
	X509_EXTENSION_set_data(e, data);
	ASN1_OCTET_STRING_free(data);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

static X509 *
read_cert(const struct made_cert *m)
{
	BIO  *in = BIO_new_mem_buf(m->cert.p, (int)m->cert.n);
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);

	BIO_free(in);
	return x;
}

static EVP_PKEY *
read_key(const struct made_cert *m)
{
	BIO      *in = BIO_new_mem_buf(m->key.p, (int)m->key.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

	BIO_free(in);
	return key;
}

static void
name_and_sign(X509 *x, EVP_PKEY *key, const char *names, const struct made_cert *issuer)
{
	static const unsigned char who[] = "postern test", ca[] = "postern test authority";
	X509_NAME                 *subject = X509_get_subject_name(x);
	X509                      *above = issuer == NULL ? NULL : read_cert(issuer);
	EVP_PKEY                  *signer = issuer == NULL ? NULL : read_key(issuer);

	X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, issuer == NULL ? ca : who, -1, -1,
	                           0);
	X509_set_issuer_name(x, above == NULL ? subject : X509_get_subject_name(above));
	add_extension(x, NID_subject_alt_name, names);
	if (issuer == NULL)
		add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	if (signer == NULL)
		signer = EVP_PKEY_up_ref(key) == 1 ? key : NULL;
	X509_sign(x, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256());
	X509_free(above);
	EVP_PKEY_free(signer);
}

static EVP_PKEY *
make_key(enum cert_type type)
{
	if (type == CERT_RSA)
		return EVP_RSA_gen(2048);
	if (type == CERT_ED25519)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return type == CERT_ECDSA384 ? EVP_EC_gen("P-384") : EVP_EC_gen("P-256");
}

void
made_cert_init(struct made_cert *m, enum cert_type type, const char *names,
               const struct made_cert *issuer)
{
	static long serial = 1;
	EVP_PKEY   *key = make_key(type);
	X509       *x = X509_new();
	BIO        *cert = BIO_new(BIO_s_mem()), *pem = BIO_new(BIO_s_mem());

	assert(key != NULL && x != NULL && cert != NULL && pem != NULL);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), YEAR_S);
	X509_set_pubkey(x, key);
	name_and_sign(x, key, names, issuer);
	PEM_write_bio_X509(cert, x);
	PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL);
	to_buf(cert, &m->cert);
	to_buf(pem, &m->key);
	X509_free(x);
	EVP_PKEY_free(key);
}

void
made_cert_free(struct made_cert *m)
{
	buf_free(&m->cert);
	buf_free(&m->key);
}

struct tls_pair
made_cert_pair(const struct made_cert *m)
{
	return (struct tls_pair){.cert_pem = buf_str(&m->cert), .key_pem = buf_str(&m->key)};
}
