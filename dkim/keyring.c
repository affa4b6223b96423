/* SPDX-License-Identifier: ISC */
#include "dkim/keyring.h"

#include <stdlib.h>

#include "dkim/key.h"
#include "lib/mail/address.h"
#include "lib/net/tls_key.h"
#include "lib/proc/config.h"
#include "lib/util/hash.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum { TELL_MAX = 100 /* keys in `postern status`; rows of a role have a limit */ };

struct dkim_entry {
	struct hash_node node;
	struct held_key  held;
	char            *domain, *selector, *ascii, *whose;
	bool             past; /* no longer configured */
};

struct tls_entry {
	struct held_tls_key held;
	char               *whose;
	bool                past; /* no longer configured */
};

struct keyring {
	struct hash       dkim;
	struct tls_entry *tls;
	size_t            n_tls;
	size_t            n_past; /* in `dkim` */
	size_t            n_missing;
	unsigned          generation; /* of the configuration */
};

static uint64_t
place_of(struct str domain, struct str selector)
{
	return hash_u64(hash_str(domain) + 31 * hash_str(selector));
}

static struct dkim_entry *
find(const struct keyring *r, struct str domain, struct str selector)
{
	struct hash_node *n = hash_first(&r->dkim, place_of(domain, selector));

	for (; n != NULL; n = hash_more(n)) {
		struct dkim_entry *e = CONTAINER(n, struct dkim_entry, node);

		if (str_eq(str_of(e->domain), domain) && str_eq(str_of(e->selector), selector))
			return e;
	}
	return NULL;
}

static void
destroy_entry(struct dkim_entry *e)
{
	key_destroy(e->held.key);
	free(e->domain);
	free(e->selector);
	free(e->ascii);
	free(e->whose);
	free(e);
}

/* A selector is a name in DNS, so a signature has its A-label form (RFC 8616 section 5). */
static char *
ascii_of(struct str selector)
{
	struct buf ascii = BUF(DOMAIN_MAX);
	char      *z = str_dup(domain_canonical(&ascii, selector) ? buf_str(&ascii) : selector);

	buf_free(&ascii);
	return z;
}

static char *
name_of(struct str domain, struct str selector)
{
	struct buf b = BUF(1024);
	char      *z;

	buf_add(&b, domain);
	buf_addc(&b, '/');
	buf_add(&b, selector);
	z = str_dup(buf_str(&b));
	buf_free(&b);
	return z;
}

/*
 * The supervisor has checked the key before, with this very library: what fails here is memory, and
 * OpenSSL, having once failed to set itself up, would fail from now on. A new process has both. No
 * text at all is a file that the supervisor could not read, which it has told: it will try again.
 */
static void
give_up(struct keyring *r, struct str whose, struct str pem, const struct buf *why)
{
	if (pem.n == 0) {
		r->n_missing++;
		return;
	}
	log_error(ev("key-unusable"), kv("key", whose), kv("why", buf_str(why)));
	abort();
}

static void
hold(struct keyring *r, struct str domain, const struct dkim_key_conf *conf,
     const struct keyring *old)
{
	struct buf               why = BUF(1024);
	struct dkim_entry       *e = mem_zero(sizeof *e);
	const struct dkim_entry *before = old == NULL ? NULL : find(old, domain, conf->selector);

	e->domain = str_dup(domain);
	e->selector = str_dup(conf->selector);
	e->ascii = ascii_of(conf->selector);
	e->whose = name_of(domain, conf->selector);
	e->held = (struct held_key){.key = key_load(conf->pem, &why),
	                            .domain = str_of(e->domain),
	                            .ascii = str_of(e->ascii),
	                            .whose = str_of(e->whose)};
	if (before != NULL)
		e->held.tally = before->held.tally;
	if (e->held.key != NULL) {
		hash_put(&r->dkim, &e->node, place_of(domain, conf->selector));
	} else {
		give_up(r, e->held.whose, conf->pem, &why);
		destroy_entry(e);
	}
	buf_free(&why);
}

static void
hold_tls(struct keyring *r, const struct tls_conf *conf, const struct keyring *old)
{
	struct buf                 why = BUF(1024);
	struct tls_key            *key = tls_key_load(conf->key_pem, &why);
	const struct held_tls_key *before;
	struct tls_entry          *e;

	if (key == NULL) {
		give_up(r, conf->key_path, conf->key_pem, &why);
	} else {
		e = &r->tls[r->n_tls++];
		e->whose = str_dup(conf->cert_path);
		e->held = (struct held_tls_key){.key = key, .whose = str_of(e->whose)};
		before = old == NULL ? NULL : keyring_find_tls(old, tls_key_id(key));
		if (before != NULL)
			e->held.tally = before->tally;
	}
	buf_free(&why);
}

static void
take_past_dkim(struct keyring *r, struct keyring *old)
{
	struct hash_node *next, *n = hash_walk(&old->dkim, NULL);

	for (; n != NULL; n = next) {
		struct dkim_entry *e = CONTAINER(n, struct dkim_entry, node);

		next = hash_walk(&old->dkim, n);
		if ((e->past && r->generation != old->generation) || find(r, str_of(e->domain), str_of(e->selector)) != NULL)
			continue;
		hash_remove(&old->dkim, n);
		e->past = true;
		r->n_past++;
		hash_put(&r->dkim, n, place_of(str_of(e->domain), str_of(e->selector)));
	}
}

static void
take_past_tls(struct keyring *r, struct keyring *old)
{
	for (size_t i = 0; i < old->n_tls; i++) {
		struct tls_entry *e = &old->tls[i];

		if ((e->past && r->generation != old->generation) ||
		    keyring_find_tls(r, tls_key_id(e->held.key)) != NULL)
			continue;
		r->tls[r->n_tls] = *e;
		r->tls[r->n_tls++].past = true;
		*e = old->tls[--old->n_tls];
		i--;
	}
}

struct keyring *
keyring_create(const struct config *c, struct keyring *old)
{
	struct keyring *r = mem_zero(sizeof *r);

	r->generation = c->generation;
	for (size_t i = 0; i < c->n_dkim; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys; k++)
			hold(r, c->dkim[i].domain, &c->dkim[i].keys[k], old);
	r->tls = mem_array(c->n_tls + (old == NULL ? 0 : old->n_tls), sizeof *r->tls);
	for (size_t i = 0; i < c->n_tls; i++)
		hold_tls(r, &c->tls[i], old);
	if (old != NULL) {
		take_past_dkim(r, old);
		take_past_tls(r, old);
	}
	return r;
}

void
keyring_destroy(struct keyring *r)
{
	struct hash_node *n;

	if (r == NULL)
		return;
	n = hash_walk(&r->dkim, NULL);
	while (n != NULL) {
		struct hash_node *next = hash_walk(&r->dkim, n);

		destroy_entry(CONTAINER(n, struct dkim_entry, node));
		n = next;
	}
	hash_free(&r->dkim);
	for (size_t i = 0; i < r->n_tls; i++) {
		tls_key_destroy(r->tls[i].held.key);
		free(r->tls[i].whose);
	}
	free(r->tls);
	free(r);
}

struct held_key *
keyring_find(const struct keyring *r, struct str domain, struct str selector)
{
	struct dkim_entry *e = find(r, domain, selector);

	return e == NULL ? NULL : &e->held;
}

struct held_tls_key *
keyring_find_tls(const struct keyring *r, struct str id)
{
	for (size_t i = 0; i < r->n_tls; i++)
		if (str_eq(tls_key_id(r->tls[i].held.key), id))
			return &r->tls[i].held;
	return NULL;
}

size_t
keyring_missing(const struct keyring *r)
{
	return r->n_missing;
}

/* False: it has not been used. */
static bool
add_tally(struct buf *rows, struct str whose, const struct tally *t)
{
	if (t->n_signed > 0) {
		buf_addz(rows, "signed:");
		buf_add(rows, whose);
		buf_addf(rows, " %llu\n", (unsigned long long)t->n_signed);
	}
	if (t->n_refused > 0) {
		buf_addz(rows, "refused:");
		buf_add(rows, whose);
		buf_addf(rows, " %llu\n", (unsigned long long)t->n_refused);
	}
	return t->n_signed > 0 || t->n_refused > 0;
}

void
keyring_stats(const struct keyring *r, struct buf *rows)
{
	struct hash_node *n;
	size_t            told = 0;

	buf_addf(rows, "keys %zu\ntls_keys %zu\n", r->dkim.n - r->n_past, r->n_tls);
	for (size_t i = 0; i < r->n_tls && told < TELL_MAX; i++)
		told += add_tally(rows, r->tls[i].held.whose, &r->tls[i].held.tally);
	for (n = hash_walk(&r->dkim, NULL); n != NULL && told < TELL_MAX; n = hash_walk(&r->dkim, n)) {
		const struct held_key *h = &CONTAINER(n, struct dkim_entry, node)->held;

		told += add_tally(rows, h->whose, &h->tally);
	}
}
