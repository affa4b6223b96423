/* SPDX-License-Identifier: ISC */
#include "dkim/keyd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dkim/key.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/role.h"
#include "lib/util/hash.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum {
	SIGNS_A_TURN = 8, /* answers leave between two of these, while the rest is being signed */
	WAITING_MAX = 16384, /* requests of all peers; more than all deliveries have leases */
	DIGEST = 32,
	SIGNATURE_MAX = 2048,
};

struct keyd {
	struct role    *role;
	struct list     peers;
	struct list     waiting; /* requests, oldest first */
	struct deferred work;
	struct hash     keys;
	uint64_t        n_signed, n_refused;
	bool            draining;
};

struct held_key {
	struct hash_node node;
	char            *domain, *selector;
	struct key      *key;
};

struct peer {
	struct link     link;
	struct keyd    *keyd;
	struct channel *channel;
};

struct request {
	struct link  link;
	struct peer *peer;
	uint64_t     id;
	char        *domain, *selector;
	char         digest[DIGEST];
};

/* Keys */

static uint64_t
place_of(struct str domain, struct str selector)
{
	return hash_u64(hash_str(domain) + 31 * hash_str(selector));
}

static void
destroy_held(struct held_key *h)
{
	key_destroy(h->key);
	free(h->domain);
	free(h->selector);
	free(h);
}

static void
drop_keys(struct hash *keys)
{
	struct hash_node *n = hash_walk(keys, NULL);

	while (n != NULL) {
		struct hash_node *next = hash_walk(keys, n);

		destroy_held(CONTAINER(n, struct held_key, node));
		n = next;
	}
	hash_free(keys);
}

static struct key *
find_key(const struct keyd *d, struct str domain, struct str selector)
{
	struct hash_node *n = hash_first(&d->keys, place_of(domain, selector));

	for (; n != NULL; n = hash_more(n)) {
		struct held_key *h = CONTAINER(n, struct held_key, node);

		if (str_eq(str_of(h->domain), domain) && str_eq(str_of(h->selector), selector))
			return h->key;
	}
	return NULL;
}

/*
 * The supervisor has checked the key before, with this very library: what fails here is memory, and
 * OpenSSL, having once failed to set itself up, would fail from now on. A new process has both.
 */
static void
hold_key(struct hash *keys, struct str domain, const struct dkim_key_conf *conf)
{
	struct buf       why = BUF(1024);
	struct key      *key = key_load(conf->pem, &why);
	struct held_key *h;

	if (key == NULL) {
		log_error(ev("key-unusable"), kv("domain", domain), kv("selector", conf->selector),
		          kv("why", buf_str(&why)));
		if (conf->pem.n > 0)
			abort();
	} else {
		h = mem_zero(sizeof *h);
		h->key = key;
		h->domain = str_dup(domain);
		h->selector = str_dup(conf->selector);
		hash_put(keys, &h->node, place_of(domain, conf->selector));
	}
	buf_free(&why);
}

static void
take_config(void *self, struct config *c)
{
	struct keyd *d = self;
	struct hash  fresh = {0};

	for (size_t i = 0; i < c->n_dkim; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys; k++)
			hold_key(&fresh, c->dkim[i].domain, &c->dkim[i].keys[k]);
	drop_keys(&d->keys);
	d->keys = fresh;
	config_unref(c);
}

/* Requests */

static void
answer(struct peer *p, uint64_t id, struct str signature, const char *why)
{
	struct wire_signed m = {
		.id = id, .ok = why == NULL, .signature = signature, .why = str_of(why)};

	p->keyd->n_signed += why == NULL;
	p->keyd->n_refused += why != NULL;
	channel_send(p->channel, WIRE_SIGNED, &m, -1);
}

static void
destroy_request(struct keyd *d, struct request *r)
{
	list_remove(&d->waiting, &r->link);
	free(r->domain);
	free(r->selector);
	free(r);
}

static void
serve(struct keyd *d, const struct request *r)
{
	struct buf  signature = BUF(SIGNATURE_MAX);
	struct key *key = find_key(d, str_of(r->domain), str_of(r->selector));

	if (key == NULL)
		answer(r->peer, r->id, STR_NONE, "there is no such key");
	else if (!key_sign(key, (struct str){r->digest, DIGEST}, &signature))
		answer(r->peer, r->id, STR_NONE, "signing failed");
	else
		answer(r->peer, r->id, buf_str(&signature), NULL);
	buf_free(&signature);
}

static void
work(void *arg)
{
	struct keyd *d = arg;

	for (size_t i = 0; i < SIGNS_A_TURN && !list_empty(&d->waiting); i++) {
		struct request *r = CONTAINER(list_first(&d->waiting), struct request, link);

		serve(d, r);
		destroy_request(d, r);
	}
	if (!list_empty(&d->waiting))
		loop_defer(role_loop(d->role), &d->work);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct peer            *p = arg;
	struct keyd            *d = p->keyd;
	const struct wire_sign *m = msg;
	struct request         *r;

	if (fd >= 0)
		close(fd);
	if (id != WIRE_SIGN)
		return;
	if (m->digest.n != DIGEST) {
		answer(p, m->id, STR_NONE, "the digest has not 32 octets");
		return;
	}
	if (d->waiting.n >= WAITING_MAX) {
		answer(p, m->id, STR_NONE, "too many requests wait");
		return;
	}
	r = mem_zero(sizeof *r);
	r->peer = p;
	r->id = m->id;
	r->domain = str_dup(m->domain);
	r->selector = str_dup(m->selector);
	memcpy(r->digest, m->digest.p, DIGEST);
	list_push(&d->waiting, &r->link);
	loop_defer(role_loop(d->role), &d->work);
}

/* Deliveries must finish what they have before the last of them lets go of us. */
static void
end_if_drained(struct keyd *d)
{
	if (d->draining && list_empty(&d->peers))
		role_done(d->role);
}

static void
gone(void *arg, const char *why)
{
	struct peer    *p = arg;
	struct keyd    *d = p->keyd;
	struct request *r;

	log_debug(ev("peer-gone"), kv("why", why));
	LIST_EACH(&d->waiting, r, struct request, link)
		if (r->peer == p)
			destroy_request(d, r);
	list_remove(&d->peers, &p->link);
	channel_close(p->channel);
	free(p);
	end_if_drained(d);
}

static const struct channel_hooks channel_hooks = {message, gone};

static void
take_peer(void *self, enum role_id who, unsigned index UNUSED, int fd)
{
	struct keyd *d = self;
	struct peer *p;

	if (who != ROLE_DELIVERY) {
		close(fd);
		return;
	}
	p = mem_zero(sizeof *p);
	p->keyd = d;
	p->channel = channel_open(role_loop(d->role), fd, ROLE_KEYD, who, &channel_hooks, p);
	list_push(&d->peers, &p->link);
}

/* The role */

/*
 * Keys must reach neither a core file nor the swap space. Locking is only tried
 * where no limit stands in the way: under one, memory that is asked for later would
 * be refused, and a server without keys in swap but without keys at all is of no use.
 */
static bool
start(void *self, struct role *r, struct buf *why UNUSED)
{
	struct keyd  *d = self;
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	d->role = r;
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return true;
}

static void
drain(void *self)
{
	struct keyd *d = self;

	d->draining = true;
	end_if_drained(d);
}

static void
stats(void *self, struct buf *rows)
{
	const struct keyd *d = self;

	buf_addf(rows, "keys %zu\nsigned %llu\nrefused %llu\n", d->keys.n,
	         (unsigned long long)d->n_signed, (unsigned long long)d->n_refused);
}

static void
go(void *self)
{
	struct keyd *d = self;

	role_ready(d->role);
}

static const struct role_hooks hooks = {
	.start = start,
	.config = take_config,
	.peer = take_peer,
	.go = go,
	.drain = drain,
	.stats = stats,
};

int
keyd_main(unsigned index)
{
	struct keyd d = {.work = {.fn = work, .arg = &d}};
	int         code;

	list_init(&d.peers);
	list_init(&d.waiting);
	code = role_run(ROLE_KEYD, index, &hooks, &d);
	drop_keys(&d.keys);
	return code;
}
