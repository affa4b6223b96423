/* SPDX-License-Identifier: ISC */
/*
 * tls_remote - a server's key that is in another process, as OpenSSL wants to see it.
 *
 * OpenSSL 3 takes keys from providers. This one lives in the program: its keys know
 * their public half, for which they ask OpenSSL's own provider, and who signs for
 * them; its one operation that does something is "sign these octets", and libssl hands
 * it the octets and not their digest, so that the signer can read what it signs.
 * provider-keymgmt(7) and provider-signature(7) have the interface, which is the same in
 * all of OpenSSL 3.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/ssl.h"
#include "lib/net/tls_scheme.h"
#include "lib/util/mem.h"

#define PROVIDER   "postern"
#define PROPERTIES "provider=" PROVIDER
#define SIGNER     "postern-signer" /* our own parameter of a key: a pointer */

/* The provider's idea of a key. */
struct remote {
	const char              *type;
	EVP_PKEY                *pub; /* of OpenSSL's provider; NULL: empty */
	const struct tls_signer *signer;
	unsigned char            id[TLS_KEY_ID]; /* its name at the signer: made once, encoding is slow */
};

/* A signature in the making. */
struct signing {
	struct remote *key;
	char           hash[32];
	bool           pss;
};

/* Keys: provider-keymgmt(7) */

static void *
new_key(const char *type)
{
	struct remote *k = mem_zero(sizeof *k);

	k->type = type;
	return k;
}

static void *
new_rsa(void *provider UNUSED)
{
	return new_key("RSA");
}

static void *
new_ec(void *provider UNUSED)
{
	return new_key("EC");
}

static void *
new_ed25519(void *provider UNUSED)
{
	return new_key("ED25519");
}

static void
free_key(void *key)
{
	struct remote *k = key;

	if (k == NULL)
		return;
	EVP_PKEY_free(k->pub);
	free(k);
}

/* The private part too: it can be used, if not seen. */
static int
has(const void *key, int selection UNUSED)
{
	return ((const struct remote *)key)->pub != NULL;
}

static int
match(const void *a, const void *b, int selection UNUSED)
{
	const struct remote *x = a, *y = b;

	return EVP_PKEY_eq(x->pub, y->pub) == 1;
}

static int
import_key(void *key, int selection UNUSED, const OSSL_PARAM params[])
{
	struct remote    *k = key;
	const OSSL_PARAM *signer = OSSL_PARAM_locate_const(params, SIGNER);
	EVP_PKEY_CTX     *in = EVP_PKEY_CTX_new_from_name(NULL, k->type, "provider=default");
	int               ok;

	if (signer != NULL && signer->data_size == sizeof k->signer)
		memcpy(&k->signer, signer->data, sizeof k->signer);
	ok = in != NULL && k->pub == NULL && EVP_PKEY_fromdata_init(in) == 1 &&
	     EVP_PKEY_fromdata(in, &k->pub, EVP_PKEY_PUBLIC_KEY,
	                       (OSSL_PARAM *)(uintptr_t)params) == 1 &&
	     tls_key_name(k->pub, k->id);
	EVP_PKEY_CTX_free(in);
	return ok;
}

/* With the private part asked for this must fail: else OpenSSL takes the key to its own provider to sign there. */
static int
export_key(void *key, int selection, OSSL_CALLBACK *take, void *arg)
{
	const struct remote *k = key;
	OSSL_PARAM          *params = NULL;
	int                  ok;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ||
	    EVP_PKEY_todata(k->pub, EVP_PKEY_PUBLIC_KEY, &params) != 1)
		return 0;
	ok = take(params, arg);
	OSSL_PARAM_free(params);
	return ok;
}

/* Whatever the other provider says. */
static const OSSL_PARAM *
exchanged(int selection UNUSED)
{
	static const OSSL_PARAM none[] = {OSSL_PARAM_END};

	return none;
}

static int
get_params(void *key, OSSL_PARAM params[])
{
	return EVP_PKEY_get_params(((const struct remote *)key)->pub, params);
}

static const OSSL_PARAM *
gettable(void *provider UNUSED)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	return list;
}

static const char *
ec_operation(int operation UNUSED)
{
	return "ECDSA";
}

/* Signatures: provider-signature(7) */

static void *
new_signing(void *provider UNUSED, const char *properties UNUSED)
{
	return mem_zero(sizeof(struct signing));
}

static int
set_signing(void *signing, const OSSL_PARAM params[])
{
	struct signing   *s = signing;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	int               mode = 0;

	if (p == NULL)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		s->pss = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	else if (OSSL_PARAM_get_int(p, &mode) == 1)
		s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return 1;
}

static const OSSL_PARAM *
settable(void *signing UNUSED, void *provider UNUSED)
{
	static const OSSL_PARAM list[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};

	return list;
}

static int
start_signing(void *signing, const char *hash, void *key, const OSSL_PARAM params[])
{
	struct signing *s = signing;
	struct str      name = str_of(hash == NULL ? "" : hash);

	if (name.n >= sizeof s->hash)
		return 0;
	memcpy(s->hash, name.p, name.n);
	s->hash[name.n] = '\0';
	s->key = key;
	s->pss = false;
	return set_signing(s, params);
}

static int
ask_signer(const struct signing *s, struct str content, struct buf *out)
{
	const struct remote     *k = s->key;
	const struct tls_scheme *scheme = tls_scheme_by_hash(k->type, s->hash, s->pss);
	struct tls_to_sign       what = {.content = content};

	if (k->signer == NULL || scheme == NULL || content.n > TLS_CONTENT_MAX)
		return 0;
	what.key = (struct str){(const char *)k->id, sizeof k->id};
	what.scheme = scheme->code;
	return k->signer->sign(k->signer->arg, &what, out) && out->n > 0 && !out->over;
}

/* Without `to` the question is how long a signature can be. */
static int
sign(void *signing, unsigned char *to, size_t *n, size_t room, const unsigned char *content,
     size_t content_n)
{
	const struct signing *s = signing;
	struct buf            out = BUF(TLS_SIGNATURE_MAX);
	int                   ok;

	if (to == NULL) {
		*n = (size_t)EVP_PKEY_get_size(s->key->pub);
		return 1;
	}
	ok = ask_signer(s, (struct str){(const char *)content, content_n}, &out) && out.n <= room;
	if (ok) {
		memcpy(to, out.p, out.n);
		*n = out.n;
	}
	buf_free(&out);
	return ok;
}

/* The provider: provider(7). The interface has functions of all types in one table. */

#define FN(function) ((void (*)(void))(function))
/* clang-format off */
#define KEYS(create)                                          \
	{OSSL_FUNC_KEYMGMT_NEW, FN(create)},                  \
	{OSSL_FUNC_KEYMGMT_FREE, FN(free_key)},               \
	{OSSL_FUNC_KEYMGMT_HAS, FN(has)},                     \
	{OSSL_FUNC_KEYMGMT_MATCH, FN(match)},                 \
	{OSSL_FUNC_KEYMGMT_IMPORT, FN(import_key)},           \
	{OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FN(exchanged)},      \
	{OSSL_FUNC_KEYMGMT_EXPORT, FN(export_key)},           \
	{OSSL_FUNC_KEYMGMT_EXPORT_TYPES, FN(exchanged)},      \
	{OSSL_FUNC_KEYMGMT_GET_PARAMS, FN(get_params)},       \
	{OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FN(gettable)}

static const OSSL_DISPATCH rsa_keys[] = {KEYS(new_rsa), {0, NULL}};
static const OSSL_DISPATCH ec_keys[] = {KEYS(new_ec),
	{OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FN(ec_operation)}, {0, NULL}};
static const OSSL_DISPATCH ed25519_keys[] = {KEYS(new_ed25519), {0, NULL}};

static const OSSL_DISPATCH signatures[] = {
	{OSSL_FUNC_SIGNATURE_NEWCTX, FN(new_signing)},
	{OSSL_FUNC_SIGNATURE_FREECTX, FN(free)},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FN(start_signing)},
	{OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FN(sign)},
	{OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FN(set_signing)},
	{OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FN(settable)},
	{0, NULL},
};

static const OSSL_ALGORITHM key_types[] = {
	{"RSA:rsaEncryption", PROPERTIES, rsa_keys, NULL},
	{"EC:id-ecPublicKey", PROPERTIES, ec_keys, NULL},
	{"ED25519", PROPERTIES, ed25519_keys, NULL},
	{NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signature_types[] = {
	{"RSA:rsaEncryption", PROPERTIES, signatures, NULL},
	{"ECDSA", PROPERTIES, signatures, NULL},
	{"ED25519", PROPERTIES, signatures, NULL},
	{NULL, NULL, NULL, NULL},
};
/* clang-format on */

static const OSSL_ALGORITHM *
query(void *provider UNUSED, int operation, int *no_store)
{
	*no_store = 0;
	return operation == OSSL_OP_KEYMGMT     ? key_types
	       : operation == OSSL_OP_SIGNATURE ? signature_types
	                                        : NULL;
}

static int
init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *core UNUSED, const OSSL_DISPATCH **out,
     void **provider)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, FN(query)},
		{0, NULL},
	};

	*out = functions;
	*provider = (void *)(uintptr_t)handle;
	return 1;
}

/*
 * Once in a process. OpenSSL's own provider must be named then, and be preferred for all that
 * does not ask for ours: both have RSA.
 */
static bool
load_provider(void)
{
	if (OSSL_PROVIDER_available(NULL, PROVIDER) == 1)
		return true;
	return OSSL_PROVIDER_load(NULL, "default") != NULL &&
	       OSSL_PROVIDER_add_builtin(NULL, PROVIDER, init) == 1 &&
	       OSSL_PROVIDER_load(NULL, PROVIDER) != NULL &&
	       EVP_set_default_properties(NULL, "?provider=default") == 1;
}

EVP_PKEY *
tls_remote_key(const EVP_PKEY *pub, const struct tls_signer *signer)
{
	OSSL_PARAM    whose[] = {OSSL_PARAM_construct_octet_string(SIGNER, &signer, sizeof signer),
	                         OSSL_PARAM_construct_end()};
	OSSL_PARAM   *half = NULL, *all = NULL;
	EVP_PKEY_CTX *in = NULL;
	EVP_PKEY     *key = NULL;
	bool          ok;

	ok = load_provider() && EVP_PKEY_todata(pub, EVP_PKEY_PUBLIC_KEY, &half) == 1 &&
	     (all = OSSL_PARAM_merge(half, whose)) != NULL &&
	     (in = EVP_PKEY_CTX_new_from_name(NULL, EVP_PKEY_get0_type_name(pub), PROPERTIES)) !=
	             NULL &&
	     EVP_PKEY_fromdata_init(in) == 1 && EVP_PKEY_fromdata(in, &key, EVP_PKEY_KEYPAIR, all) == 1;
	EVP_PKEY_CTX_free(in);
	OSSL_PARAM_free(half);
	OPENSSL_free(all);
	return ok ? key : NULL;
}
