/* SPDX-License-Identifier: ISC */
#include "dkim/keyd.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dkim/key.h"
#include "dkim/keyring.h"
#include "dkim/sign.h"
#include "dkim/warrant.h"
#include "lib/net/loop.h"
#include "lib/net/tls_key.h"
#include "lib/proc/channel.h"
#include "lib/proc/role.h"
#include "lib/proc/vault.h"
#include "lib/util/list.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	SIGNS_A_TURN = 8, /* answers leave between two of these, while the rest is being signed */
	WAITING_MAX = 16384, /* requests of all peers; more than all deliveries have leases */
	SIGNATURE_MAX = 2048,
};

struct keyd {
	struct role    *role;
	struct list     peers;
	struct list     urgent;  /* peers in the middle of a handshake */
	struct list     waiting; /* requests, oldest first */
	struct deferred work;
	struct keyring *keys;
	struct tally    unknown; /* keys that nobody has */
	bool            told_unlocked;
	uint64_t        n_signed, n_refused, n_tls_signed, n_tls_refused;
	bool            draining;
};

static const char no_key[] = "there is no such key";

/* What a handshake waits for: at most one of each smtpd, which waits for it. */
struct handshake {
	struct link link; /* in keyd.urgent */
	bool        waits;
	unsigned    scheme;
	struct buf  key, content;
};

struct peer {
	struct link      link;
	struct keyd     *keyd;
	struct channel  *channel;
	enum role_id     who;
	unsigned         index;
	struct handshake handshake;
};

struct request {
	struct link   link;
	struct peer  *peer;
	uint64_t      id;
	char         *domain, *selector;
	unsigned char digest[DKIM_DIGEST];
};

/* Said once: at the start, and once more if the keys outgrow what is locked. */
static void
check_vault(struct keyd *d)
{
	const char *why;

	if (vault_is_locked(&why) || d->told_unlocked)
		return;
	d->told_unlocked = true;
	role_in_force(d->role, "no-memlock");
	log_warn(ev("keys-unlocked"), kv("why", why));
}

/* The supervisor has logged why, and tries again. */
static void
tell_missing(struct keyd *d)
{
	struct buf what = BUF(1024);
	size_t     n = keyring_missing(d->keys);

	if (n > 0)
		buf_addf(&what, "%zu private key%s could not be read: what needs %s waits (key-unusable in the log)",
		         n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
	role_trouble(d->role, buf_z(&what));
	buf_free(&what);
}

/* Mail may wait for a key that is here now. */
static void
tell_deliveries(const struct keyd *d)
{
	const struct peer *p;

	LIST_EACH(&d->peers, p, const struct peer, link)
		if (p->who == ROLE_DELIVERY)
			channel_send(p->channel, WIRE_KEYS, &(struct wire_empty){0}, -1);
}

static void
take_config(void *self, struct config *c)
{
	struct keyd    *d = self;
	struct keyring *old = d->keys;

	d->keys = keyring_create(c, old);
	tell_missing(d);
	if (old != NULL)
		tell_deliveries(d);
	keyring_destroy(old);
	check_vault(d);
	config_unref(c);
}

/* Requests */

static void
answer(struct peer *p, uint64_t id, struct str signature, const char *why)
{
	struct wire_signed m = {
		.id = id, .ok = why == NULL, .signature = signature, .why = str_of(why)};

	if (why == no_key)
		m.ok = WIRE_SIGNED_NO_KEY;
	p->keyd->n_signed += why == NULL;
	p->keyd->n_refused += why != NULL;
	channel_send(p->channel, WIRE_SIGNED, &m, -1);
}

/* `h` is NULL if there is no such key. */
static void
refuse(struct peer *p, const struct wire_sign *m, struct held_key *h, const char *why)
{
	struct buf whose = BUF(1024);

	buf_add(&whose, m->domain);
	buf_addc(&whose, '/');
	buf_add(&whose, m->selector);
	tally_refused(h != NULL ? &h->tally : &p->keyd->unknown, buf_str(&whose), p->index, why,
	              time_mono_ms());
	buf_free(&whose);
	answer(p, m->id, STR_NONE, why);
}

static void
destroy_request(struct keyd *d, struct request *r)
{
	list_remove(&d->waiting, &r->link);
	free(r->domain);
	free(r->selector);
	free(r);
}

/* The key may have gone since the request came. */
static void
serve(struct keyd *d, const struct request *r)
{
	struct buf       signature = BUF(SIGNATURE_MAX);
	struct held_key *h = keyring_find(d->keys, str_of(r->domain), str_of(r->selector));
	struct str       digest = {(const char *)r->digest, sizeof r->digest};

	if (h == NULL) {
		answer(r->peer, r->id, STR_NONE, no_key);
	} else if (!key_sign(h->key, digest, &signature)) {
		answer(r->peer, r->id, STR_NONE, "signing failed");
	} else {
		answer(r->peer, r->id, buf_str(&signature), NULL);
		tally_signed(&h->tally, h->whose, time_mono_ms());
	}
	buf_free(&signature);
}

/* Refused or not, it is answered: a whole process waits. */
static void
serve_handshake(struct peer *p)
{
	struct keyd         *d = p->keyd;
	struct handshake    *s = &p->handshake;
	struct held_tls_key *h = keyring_find_tls(d->keys, buf_str(&s->key));
	struct buf           signature = BUF(TLS_SIGNATURE_MAX);
	const char          *why = no_key;

	s->waits = false;
	list_remove(&d->urgent, &s->link);
	if (h != NULL)
		why = tls_key_sign(h->key, s->scheme, buf_str(&s->content), &signature);
	if (why == NULL)
		tally_signed(&h->tally, h->whose, time_mono_ms());
	else
		tally_refused(h != NULL ? &h->tally : &d->unknown, h != NULL ? h->whose : STR("tls"),
		              p->index, why, time_mono_ms());
	d->n_tls_signed += why == NULL;
	d->n_tls_refused += why != NULL;
	channel_send(p->channel, WIRE_TLS_SIGNED,
	             &(struct wire_signed){.ok = why == NULL,
	                                   .signature = buf_str(&signature),
	                                   .why = str_of(why)},
	             -1);
	buf_free(&signature);
}

static void
work(void *arg)
{
	struct keyd *d = arg;

	while (!list_empty(&d->urgent))
		serve_handshake(CONTAINER(list_first(&d->urgent), struct peer, handshake.link));
	for (size_t i = 0; i < SIGNS_A_TURN && !list_empty(&d->waiting); i++) {
		struct request *r = CONTAINER(list_first(&d->waiting), struct request, link);

		serve(d, r);
		destroy_request(d, r);
	}
	if (!list_empty(&d->waiting))
		loop_defer(role_loop(d->role), &d->work);
}

/* It is read now, and only its digest waits: what it costs to keep is the same for all. */
static void
take_sign(struct peer *p, const struct wire_sign *m)
{
	struct keyd     *d = p->keyd;
	struct held_key *h = keyring_find(d->keys, m->domain, m->selector);
	struct warrant   w;
	struct request  *r;
	const char      *why = h == NULL ? no_key : NULL;

	if (why == NULL) {
		w = (struct warrant){h->domain, h->ascii, key_type(h->key)};
		why = warrant_check(&w, m->fields, m->last);
	}
	if (why == NULL && d->waiting.n >= WAITING_MAX)
		why = "too many requests wait";
	if (why != NULL) {
		refuse(p, m, h, why);
		return;
	}
	r = mem_zero(sizeof *r);
	r->peer = p;
	r->id = m->id;
	r->domain = str_dup(m->domain);
	r->selector = str_dup(m->selector);
	dkim_digest(m->fields, m->last, r->digest);
	list_push(&d->waiting, &r->link);
	loop_defer(role_loop(d->role), &d->work);
}

/* Who asks again before the answer has not waited for it: no smtpd of ours. False: he goes. */
static bool
take_tls_sign(struct peer *p, const struct wire_tls_sign *m)
{
	struct handshake *s = &p->handshake;

	if (s->waits)
		return false;
	buf_clear(&s->key);
	buf_clear(&s->content);
	buf_add(&s->key, m->key);
	buf_add(&s->content, m->content);
	s->scheme = m->scheme;
	s->waits = true;
	list_push(&p->keyd->urgent, &s->link);
	loop_defer(role_loop(p->keyd->role), &p->keyd->work);
	return true;
}

static void gone(void *arg, const char *why);

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct peer *p = arg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_SIGN)
		take_sign(p, msg);
	else if (id == WIRE_TLS_SIGN && !take_tls_sign(p, msg))
		gone(p, "asks twice at once");
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
	if (p->handshake.waits)
		list_remove(&d->urgent, &p->handshake.link);
	list_remove(&d->peers, &p->link);
	channel_close(p->channel);
	buf_free(&p->handshake.key);
	buf_free(&p->handshake.content);
	free(p);
	end_if_drained(d);
}

static const struct channel_hooks channel_hooks = {message, gone};

static void
take_peer(void *self, enum role_id who, unsigned index, int fd)
{
	struct keyd *d = self;
	struct peer *p;

	if (who != ROLE_DELIVERY && who != ROLE_SMTPD) {
		close(fd);
		return;
	}
	p = mem_zero(sizeof *p);
	p->keyd = d;
	p->who = who;
	p->index = index;
	buf_init(&p->handshake.key, TLS_KEY_ID);
	buf_init(&p->handshake.content, TLS_CONTENT_MAX);
	p->channel = channel_open(role_loop(d->role), fd, ROLE_KEYD, who, &channel_hooks, p);
	list_push(&d->peers, &p->link);
}

/* The role */

/* Keys must reach neither a core file nor the swap space. */
static bool
start(void *self, struct role *r, struct buf *why UNUSED)
{
	struct keyd *d = self;
	const char  *unused;

	d->role = r;
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (vault_is_locked(&unused))
		role_in_force(r, "memlock");
	check_vault(d);
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

	buf_addf(rows, "signed %llu\nrefused %llu\ntls_signed %llu\ntls_refused %llu\n",
	         (unsigned long long)d->n_signed, (unsigned long long)d->n_refused,
	         (unsigned long long)d->n_tls_signed, (unsigned long long)d->n_tls_refused);
	if (d->keys != NULL)
		keyring_stats(d->keys, rows);
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

	vault_open();
	list_init(&d.peers);
	list_init(&d.urgent);
	list_init(&d.waiting);
	code = role_run(ROLE_KEYD, index, &hooks, &d);
	keyring_destroy(d.keys);
	return code;
}
