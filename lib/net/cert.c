/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/net/ssl.h"
#include "lib/net/tls_scheme.h"

enum {
	PEM_MAX = 4 * 1024 * 1024,
	NAMES_MAX = 1024 * 1024,
	SECURITY_BITS = 112, /* RSA with 2048, curves with 224 */
};

/* We never ask anybody for a passphrase: a daemon has nobody to ask. */
static int
no_passphrase(char *to UNUSED, int size UNUSED, int writing UNUSED, void *arg UNUSED)
{
	return 0;
}

static BIO *
open_pem(struct str pem)
{
	return pem.n == 0 || pem.n > PEM_MAX ? NULL : BIO_new_mem_buf(pem.p, (int)pem.n);
}

static bool
load_chain(struct cert *c, struct str pem, struct buf *why)
{
	BIO  *in = open_pem(pem);
	X509 *x;

	if (in != NULL)
		c->leaf = PEM_read_bio_X509(in, NULL, no_passphrase, NULL);
	if (c->leaf == NULL) {
		buf_addz(why, "the certificate file holds no certificate in PEM form");
		BIO_free(in);
		return false;
	}
	c->chain = sk_X509_new_null();
	while ((x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL)
		sk_X509_push(c->chain, x);
	ERR_clear_error(); /* the loop ends with "no start line" */
	BIO_free(in);
	return true;
}

static bool
load_key(struct cert *c, struct str pem, struct buf *why)
{
	BIO *in = open_pem(pem);

	if (in != NULL)
		c->key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (c->key == NULL)
		buf_addz(why,
		         str_find_str(pem, STR("ENCRYPTED")) >= 0
		                 ? "the private key is encrypted; store it without a passphrase"
		                 : "the key file holds no private key in PEM form");
	return c->key != NULL;
}

/* What is no host name is left out: a space or NUL in a certificate must not forge a name. */
static void
add_name(struct buf *names, const unsigned char *text, int length)
{
	size_t n = length < 0 ? 0 : (size_t)length;

	for (size_t i = 0; i < n; i++)
		if (!isalnum(text[i]) && strchr("-._*:", text[i]) == NULL)
			return;
	if (n == 0 || memchr(text, '\0', n) != NULL)
		return;
	if (names->n > 0)
		buf_addc(names, ' ');
	for (size_t i = 0; i < n; i++)
		buf_addc(names, (char)tolower(text[i]));
}

static void
add_address(struct buf *names, const ASN1_OCTET_STRING *ip)
{
	char z[INET6_ADDRSTRLEN];
	int  n = ASN1_STRING_length(ip);

	if ((n == 4 || n == 16) &&
	    inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), z, sizeof z) != NULL)
		add_name(names, (const unsigned char *)z, (int)strlen(z));
}

static void
add_common_name(struct buf *names, X509 *leaf)
{
	X509_NAME   *subject = X509_get_subject_name(leaf);
	int          at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	ASN1_STRING *cn;

	if (at < 0 || (cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) == NULL)
		return;
	add_name(names, ASN1_STRING_get0_data(cn), ASN1_STRING_length(cn));
}

static void
load_names(struct cert *c)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_DNS)
			add_name(&c->names, ASN1_STRING_get0_data(name->d.dNSName),
			         ASN1_STRING_length(name->d.dNSName));
		else if (name->type == GEN_IPADD)
			add_address(&c->names, name->d.iPAddress);
	}
	GENERAL_NAMES_free(all);
	if (c->names.n == 0)
		add_common_name(&c->names, c->leaf);
}

/* The key is elsewhere; what is here looks like one. */
static bool
borrow_key(struct cert *c, const struct tls_signer *signer, struct buf *why)
{
	c->key = tls_remote_key(X509_get0_pubkey(c->leaf), signer);
	if (c->key == NULL)
		buf_addf(why, "the certificate's key cannot be used: %s", ssl_reason());
	return c->key != NULL;
}

/* Is it one that another process can sign with for us, knowing it by its name? */
static bool
can_be_apart(const struct cert *c)
{
	unsigned char of_cert[TLS_KEY_ID], of_key[TLS_KEY_ID];

	return tls_key_name(X509_get0_pubkey(c->leaf), of_cert) && tls_key_name(c->key, of_key) &&
	       memcmp(of_cert, of_key, TLS_KEY_ID) == 0;
}

bool
cert_load(struct cert *c, const struct tls_pair *pair, struct buf *why)
{
	*c = (struct cert){.names = BUF(NAMES_MAX)};
	ERR_clear_error();
	if (!load_chain(c, pair->cert_pem, why))
		return false;
	if (pair->key_pem.n == 0 && pair->signer != NULL ? !borrow_key(c, pair->signer, why)
	                                                 : !load_key(c, pair->key_pem, why))
		return false;
	if (X509_check_private_key(c->leaf, c->key) != 1) {
		ERR_clear_error();
		buf_addz(why, "the private key does not belong to the certificate");
		return false;
	}
	load_names(c);
	return true;
}

void
cert_free(struct cert *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	buf_free(&c->names);
	*c = (struct cert){0};
}

int64_t
cert_not_after_ms(const struct cert *c)
{
	const ASN1_TIME *end = X509_get0_notAfter(c->leaf);
	ASN1_TIME       *epoch = ASN1_TIME_set(NULL, 0);
	int              days = 0, seconds = 0;

	if (epoch == NULL || ASN1_TIME_diff(&days, &seconds, epoch, end) != 1)
		days = seconds = 0;
	ASN1_TIME_free(epoch);
	return ((int64_t)days * 86400 + seconds) * 1000;
}

/* RFC 6125 section 6.4.3, the narrow reading: the star is the whole first label. */
static enum cert_match
match(struct str pattern, struct str name)
{
	ptrdiff_t dot = str_find(name, '.');

	if (str_ieq(pattern, name))
		return MATCH_EXACT;
	if (str_starts(pattern, STR("*.")) && dot > 0 &&
	    str_ieq(str_skip(pattern, 1), str_skip(name, (size_t)dot)))
		return MATCH_WILDCARD;
	return MATCH_NONE;
}

enum cert_match
cert_names_match(struct str names, struct str name)
{
	enum cert_match best = MATCH_NONE;
	struct str      pattern;

	if (str_ends(name, STR(".")))
		name.n--;
	while (name.n > 0 && best != MATCH_EXACT && str_cut(&names, ' ', &pattern)) {
		enum cert_match m = match(pattern, name);

		if (m > best)
			best = m;
	}
	return best;
}

bool
tls_pair_check(const struct tls_pair *pair, int64_t *not_after_ms, struct buf *names,
               struct buf *why)
{
	struct cert c;
	bool        ok = cert_load(&c, pair, why);

	if (ok && !can_be_apart(&c)) {
		buf_addz(why, "the key is neither RSA nor ECDSA on a named curve nor Ed25519");
		ok = false;
	}
	if (ok) {
		*not_after_ms = cert_not_after_ms(&c);
		buf_add(names, buf_str(&c.names));
	}
	cert_free(&c);
	return ok;
}

static bool
is_old_signature(X509 *x)
{
	int digest = NID_undef;

	if (X509_get_signature_info(x, &digest, NULL, NULL, NULL) != 1)
		return false;
	return digest == NID_sha1 || digest == NID_md5;
}

const char *
tls_pair_weakness(const struct tls_pair *pair)
{
	struct buf  why = BUF(NAMES_MAX);
	struct cert c;
	const char *weakness = NULL;

	if (cert_load(&c, pair, &why)) {
		if (EVP_PKEY_get_security_bits(c.key) < SECURITY_BITS)
			weakness = "has a key that is too short: RSA needs 2048 bits";
		else if (is_old_signature(c.leaf))
			weakness = "is signed with SHA-1, which clients refuse";
		for (int i = 0; weakness == NULL && i < sk_X509_num(c.chain); i++) {
			X509 *x = sk_X509_value(c.chain, i);

			/* Nobody looks at how a root signed itself. */
			if (is_old_signature(x) && X509_check_issued(x, x) != X509_V_OK)
				weakness = "has a chain signed with SHA-1, which clients refuse";
		}
	}
	cert_free(&c);
	buf_free(&why);
	return weakness;
}
