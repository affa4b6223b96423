/* SPDX-License-Identifier: ISC */
/*
 * Contexts that make no handshakes. A "certificate" is the text of its names
 * with a space between; an empty one is refused.
 */
#include <stdlib.h>

#include "lib/net/tls.h"
#include "lib/util/mem.h"

enum { NAMES_MAX = 64 * 1024 };

struct tls_server {
	size_t     refs;
	struct buf names;
};

struct tls_client {
	char unused;
};

struct tls_server *
tls_server_create(const struct tls_pair *pairs, size_t n, struct buf *why)
{
	struct tls_server *s = mem_zero(sizeof *s);

	s->refs = 1;
	s->names = BUF(NAMES_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_add(&s->names, pairs[i].cert_pem);
		buf_addc(&s->names, ' ');
	}
	if (s->names.n > n)
		return s;
	buf_addz(why, "no certificate is given");
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
	if (s == NULL || --s->refs > 0)
		return;
	buf_free(&s->names);
	free(s);
}

bool
tls_server_covers(const struct tls_server *s, struct str name)
{
	struct str rest = buf_str(&s->names), word;

	while ((word = str_word(&rest)).n > 0)
		if (str_ieq(word, name))
			return true;
	return false;
}

struct tls_client *
tls_client_create(struct str ca_pem UNUSED, struct buf *why UNUSED)
{
	return mem_zero(sizeof(struct tls_client));
}

void
tls_client_destroy(struct tls_client *c)
{
	free(c);
}

bool
tls_pair_check(const struct tls_pair *pair, int64_t *not_after_ms, struct buf *names,
               struct buf *why)
{
	if (pair->cert_pem.n == 0) {
		buf_addz(why, "the certificate file holds no certificate in PEM form");
		return false;
	}
	*not_after_ms = INT64_MAX;
	buf_add(names, pair->cert_pem);
	return true;
}
