/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/net/addr.h"
#include "lib/net/ssl.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

enum { SESSIONS_MAX = 256, PEM_MAX = 8 * 1024 * 1024 };

/* The newest session of one peer name. */
struct resumable {
	struct hash_node node;
	struct link      link; /* the last used is the last */
	SSL_SESSION     *session;
	char            *name;
};

struct tls_client {
	size_t      refs; /* the owner and each connection */
	SSL_CTX    *ctx;
	struct str  system_pem; /* mapped; its certificates are not loaded yet */
	struct hash by_name;
	struct list by_use;
};

/* What a connection must know when a ticket comes for it. */
struct peer {
	struct tls_client *client;
	char              *name;
	bool               nameless; /* nothing to compare the certificate with */
};

static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

static void
unref(struct tls_client *c)
{
	struct link *k;

	if (--c->refs > 0)
		return;
	while ((k = list_pop(&c->by_use)) != NULL) {
		struct resumable *r = CONTAINER(k, struct resumable, link);

		SSL_SESSION_free(r->session);
		free(r->name);
		free(r);
	}
	hash_free(&c->by_name);
	if (c->system_pem.n > 0)
		munmap((void *)(uintptr_t)c->system_pem.p, c->system_pem.n);
	SSL_CTX_free(c->ctx);
	free(c);
}

static void
peer_gone(void *parent UNUSED, void *data, CRYPTO_EX_DATA *all UNUSED, int index UNUSED,
          long number UNUSED, void *arg UNUSED)
{
	struct peer *p = data;

	if (p == NULL)
		return;
	unref(p->client);
	free(p->name);
	free(p);
}

static int
peer_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, peer_gone);
	if (index < 0)
		abort();
	return index;
}

static struct resumable *
find(const struct tls_client *c, struct str name)
{
	struct hash_node *n = hash_first(&c->by_name, hash_istr(name));

	for (; n != NULL; n = hash_more(n)) {
		struct resumable *r = CONTAINER(n, struct resumable, node);

		if (str_ieq(str_of(r->name), name))
			return r;
	}
	return NULL;
}

static void
drop(struct tls_client *c, struct resumable *r)
{
	hash_remove(&c->by_name, &r->node);
	list_remove(&c->by_use, &r->link);
	SSL_SESSION_free(r->session);
	free(r->name);
	free(r);
}

/* OpenSSL calls this for each ticket; returning 1 keeps the reference it gives us. */
static int
session_came(SSL *ssl, SSL_SESSION *session)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index());
	struct tls_client *c = p->client;
	struct resumable  *r = find(c, str_of(p->name));

	if (r != NULL)
		drop(c, r);
	if (list_first(&c->by_use) != NULL && c->by_use.n >= SESSIONS_MAX)
		drop(c, CONTAINER(list_first(&c->by_use), struct resumable, link));
	r = mem_zero(sizeof *r);
	r->session = session;
	r->name = str_dup(str_of(p->name));
	hash_put(&c->by_name, &r->node, hash_istr(str_of(r->name)));
	list_push(&c->by_use, &r->link);
	return 1;
}

static size_t
load_anchors(SSL_CTX *ctx, struct str pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO        *in = pem.n > PEM_MAX ? NULL : BIO_new_mem_buf(pem.p, (int)pem.n);
	size_t      n = 0;
	X509       *x;

	while (in != NULL && (x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	BIO_free(in);
	ERR_clear_error();
	return n;
}

/*
 * The system's bundle is mapped now, while files can be opened, and read at the
 * first handshake: 140 parsed certificates are 2 MB that an idle role should not hold.
 */
static struct str
map_file(const char *path)
{
	struct str  pem = STR_NONE;
	struct stat st;
	int         fd = open(path, O_RDONLY | O_CLOEXEC);
	void       *p;

	if (fd < 0)
		return pem;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= PEM_MAX) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED)
			pem = (struct str){p, (size_t)st.st_size};
	}
	close(fd);
	return pem;
}

static struct str
map_system(void)
{
	struct str pem = STR_NONE;

	for (size_t i = 0; i < ARRAY_LEN(bundles) && pem.n == 0; i++)
		pem = map_file(bundles[i]);
	return pem;
}

static void
load_system(struct tls_client *c)
{
	if (c->system_pem.n == 0)
		return;
	load_anchors(c->ctx, c->system_pem);
	munmap((void *)(uintptr_t)c->system_pem.p, c->system_pem.n);
	c->system_pem = STR_NONE;
}

struct tls_client *
tls_client_create(struct str ca_pem, struct buf *why)
{
	struct tls_client *c = mem_zero(sizeof *c);

	c->refs = 1;
	c->ctx = ssl_context(TLS_client_method());
	list_init(&c->by_use);
	/*
	 * Encrypting to a weak certificate is better than not encrypting; whether it
	 * is good enough is for the caller, who sees `verified`.
	 */
	SSL_CTX_set_security_level(c->ctx, 1);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, session_came);
	if (ca_pem.n == 0) {
		c->system_pem = map_system();
	} else if (load_anchors(c->ctx, ca_pem) == 0) {
		buf_addz(why, "the file of trusted certificates holds none in PEM form");
		unref(c);
		return NULL;
	}
	return c;
}

void
tls_client_destroy(struct tls_client *c)
{
	if (c != NULL)
		unref(c);
}

/* No name or an odd one is no reason to fail: it only means "not verified". */
static bool
set_name(SSL *ssl, char *name)
{
	struct addr a;

	if (addr_parse(str_of(name), &a))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return name[0] != '\0' && SSL_set1_host(ssl, name) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]": a host in mail; certificates know no brackets. */
static struct str
without_brackets(struct str name)
{
	if (!str_starts(name, STR("[")) || !str_ends(name, STR("]")))
		return name;
	name = str_sub(name, 1, name.n - 2);
	return str_istarts(name, STR("IPv6:")) ? str_skip(name, 5) : name;
}

SSL *
tls_client_ssl(struct tls_client *c, struct str name)
{
	SSL              *ssl = SSL_new(c->ctx);
	struct peer      *p = mem_zero(sizeof *p);
	struct resumable *r;

	if (ssl == NULL || SSL_set_ex_data(ssl, peer_index(), p) != 1)
		abort();
	load_system(c);
	name = without_brackets(name);
	if (str_ends(name, STR(".")))
		name.n--;
	c->refs++;
	p->client = c;
	p->name = str_dup(name);
	p->nameless = !set_name(ssl, p->name);
	if ((r = find(c, name)) != NULL)
		SSL_set_session(ssl, r->session);
	ERR_clear_error();
	SSL_set_connect_state(ssl);
	return ssl;
}

const char *
tls_client_doubt(const SSL *ssl)
{
	const struct peer *p = SSL_get_ex_data(ssl, peer_index());
	long               result = SSL_get_verify_result(ssl);

	if (result != X509_V_OK)
		return X509_verify_cert_error_string(result);
	return p->nameless ? "there is no name to compare the certificate with" : NULL;
}
