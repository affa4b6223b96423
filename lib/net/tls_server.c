/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/ssl.h"
#include "lib/util/mem.h"

/*
 * One OpenSSL context for each set of names. An RSA and an ECDSA certificate
 * for the same names share one, and OpenSSL takes what the client can verify.
 */
struct identity {
	SSL_CTX   *ctx;
	struct buf names;
	int        types[4]; /* of the keys in it */
	size_t     type_count;
};

struct tls_server {
	size_t           refs;
	struct identity *ids; /* the first is the default */
	size_t           n;
};

static const unsigned char session_context[] = "postern";

static SSL_CTX *
find_context(const struct tls_server *s, struct str name)
{
	SSL_CTX *wildcard = NULL;

	for (size_t i = 0; i < s->n; i++) {
		enum cert_match m = cert_names_match(buf_str(&s->ids[i].names), name);

		if (m == MATCH_EXACT)
			return s->ids[i].ctx;
		if (m == MATCH_WILDCARD && wildcard == NULL)
			wildcard = s->ids[i].ctx;
	}
	return wildcard;
}

/* An unknown name is no error: RFC 6066 section 3 leaves it to us, and mail should flow. */
static int
name_came(SSL *ssl, int *alert UNUSED, void *arg)
{
	const struct tls_server *s = arg;
	const char              *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX                 *ctx = name == NULL ? NULL : find_context(s, str_of(name));

	if (ctx != NULL)
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
create_context(struct tls_server *s)
{
	SSL_CTX *ctx = ssl_context(TLS_server_method());

	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_security_level(ctx, 2);
	/* Tickets carry the sessions: no table that grows with the number of clients. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
	SSL_CTX_set_tlsext_servername_callback(ctx, name_came);
	SSL_CTX_set_tlsext_servername_arg(ctx, s);
	return ctx;
}

static bool
has_type(const struct identity *id, int type)
{
	for (size_t i = 0; i < id->type_count; i++)
		if (id->types[i] == type)
			return true;
	return id->type_count == ARRAY_LEN(id->types);
}

/* Issuers order the names as they like. */
static bool
same_names(struct str a, struct str b)
{
	struct str name;

	if (a.n != b.n)
		return false;
	while (str_cut(&a, ' ', &name))
		if (cert_names_match(b, name) != MATCH_EXACT)
			return false;
	return true;
}

static struct identity *
find_identity(struct tls_server *s, const struct cert *c)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_names(buf_str(&s->ids[i].names), buf_str(&c->names)) &&
		    !has_type(&s->ids[i], EVP_PKEY_get_base_id(c->key)))
			return &s->ids[i];
	return NULL;
}

static bool
add_pair(struct tls_server *s, const struct tls_pair *pair, struct buf *why)
{
	struct cert      c;
	struct identity *id;
	bool             ok = cert_load(&c, pair, why);

	if (!ok)
		goto out;
	id = find_identity(s, &c);
	if (id == NULL) {
		id = &s->ids[s->n++];
		id->ctx = create_context(s);
		id->names = c.names;
		c.names = (struct buf){0};
	}
	ok = SSL_CTX_use_cert_and_key(id->ctx, c.leaf, c.key, c.chain, 0) == 1;
	if (ok)
		id->types[id->type_count++] = EVP_PKEY_get_base_id(c.key);
	else
		buf_addf(why, "the certificate cannot be used: %s", ssl_reason());
out:
	cert_free(&c);
	return ok;
}

struct tls_server *
tls_server_create(const struct tls_pair *pairs, size_t n, struct buf *why)
{
	struct tls_server *s = mem_zero(sizeof *s);

	s->refs = 1;
	s->ids = mem_array(n, sizeof *s->ids);
	if (n == 0)
		buf_addz(why, "no certificate is given");
	for (size_t i = 0; i < n; i++)
		if (!add_pair(s, &pairs[i], why))
			goto fail;
	if (n > 0)
		return s;
fail:
	tls_server_unref(s);
	return NULL;
}

struct tls_server *
tls_server_ref(struct tls_server *s)
{
	s->refs++;
	return s;
}

void
tls_server_unref(struct tls_server *s)
{
	if (s == NULL)
		return;
	assert(s->refs > 0);
	if (--s->refs > 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		SSL_CTX_free(s->ids[i].ctx);
		buf_free(&s->ids[i].names);
	}
	free(s->ids);
	free(s);
}

bool
tls_server_covers(const struct tls_server *s, struct str name)
{
	return find_context(s, name) != NULL;
}

/* The name callback looks into `s` during the handshake, so each connection counts. */
static void
connection_gone(void *parent UNUSED, void *s, CRYPTO_EX_DATA *data UNUSED, int index UNUSED,
                long number UNUSED, void *arg UNUSED)
{
	tls_server_unref(s);
}

SSL *
tls_server_ssl(struct tls_server *s)
{
	static int index = -1;
	SSL       *ssl = SSL_new(s->ids[0].ctx);

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, connection_gone);
	if (ssl == NULL || index < 0 || SSL_set_ex_data(ssl, index, s) != 1)
		abort();
	tls_server_ref(s);
	SSL_set_accept_state(ssl);
	return ssl;
}
