/* SPDX-License-Identifier: ISC */
#include "delivery/signer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dkim/choose.h"
#include "dkim/sign.h"
#include "lib/mail/header.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	KEPT_MAX = 512,        /* about 1.5 KiB each */
	KEYS_MAX = 16,         /* of a domain */
	LIMIT_MS = 10 * 1000,
	HEAD_MAX = 1024 * 1024, /* keyd takes no more */
	FIELDS_MAX = 64 * 1024,
	PIECE = 64 * 1024,
};

/* One message's signature: in the making, or kept. */
struct entry {
	struct hash_node  by_id, by_number;
	struct link       age;
	struct list      *in;   /* signer.pending, ready or kept */
	struct signer    *signer;
	uint64_t          id, number;
	unsigned          generation; /* of the configuration that chose the keys */
	struct dkim_sign *sign;
	struct channel   *asked;   /* this keyd */
	size_t            missing; /* signatures still owed by it */
	bool              done, ok, keep, waits;
	int64_t           deadline_ms;
	struct buf        fields, dkim, why;
	struct list       waiters;
};

struct signing {
	struct link   place; /* in entry.waiters */
	struct entry *entry;
	void (*fn)(void *arg, const struct signature *sig);
	void *arg;
};

struct signer {
	struct loop     *loop;
	struct channel  *keyd;
	struct hash      by_id, by_number;
	struct list      pending, ready, kept;
	struct timer    *limit;
	struct deferred  hand_out;
	struct bodyhash *hash;
	uint64_t         number;
};

static void
move(struct entry *e, struct list *to)
{
	if (e->in != NULL)
		list_remove(e->in, &e->age);
	e->in = to;
	if (to != NULL)
		list_push(to, &e->age);
}

static void
entry_free(struct entry *e)
{
	struct link *k;

	move(e, NULL);
	while ((k = list_pop(&e->waiters)) != NULL)
		free(CONTAINER(k, struct signing, place));
	hash_remove(&e->signer->by_id, &e->by_id);
	hash_remove(&e->signer->by_number, &e->by_number);
	dkim_sign_destroy(e->sign);
	buf_free(&e->fields);
	buf_free(&e->dkim);
	buf_free(&e->why);
	free(e);
}

/* An entry that nobody waits for any more: kept for the other parts, or dropped. */
static void
rest(struct entry *e)
{
	struct signer *s = e->signer;

	if (!e->ok || !e->keep) {
		entry_free(e);
		return;
	}
	move(e, &s->kept);
	if (s->kept.n > KEPT_MAX)
		entry_free(CONTAINER(list_first(&s->kept), struct entry, age));
}

static void
finish(struct entry *e, bool ok, const char *why)
{
	struct signer *s = e->signer;

	e->done = true;
	e->ok = ok;
	buf_addz(&e->why, why);
	dkim_sign_destroy(e->sign);
	e->sign = NULL;
	move(e, &s->ready);
	loop_defer(s->loop, &s->hand_out);
}

static void
wait_for_key(struct entry *e, const char *why)
{
	e->waits = true;
	finish(e, false, why);
}

/* Waiters may start and cancel from their callbacks; so every turn looks anew. */
static void
hand_out(void *arg)
{
	struct signer *s = arg;
	struct link   *first;

	while ((first = list_first(&s->ready)) != NULL) {
		struct entry    *e = CONTAINER(first, struct entry, age);
		struct link     *k = list_pop(&e->waiters);
		struct signing  *w;
		struct signature sig = {.ok = e->ok, .fields = buf_str(&e->fields),
		                        .dkim = buf_str(&e->dkim), .why = buf_str(&e->why),
		                        .waits = e->waits};

		if (k == NULL) {
			rest(e);
			continue;
		}
		w = CONTAINER(k, struct signing, place);
		w->fn(w->arg, &sig);
		free(w);
	}
}

static void
expired(void *arg)
{
	struct signer *s = arg;
	struct link   *first;
	int64_t        now = time_mono_ms();

	while ((first = list_first(&s->pending)) != NULL) {
		struct entry *e = CONTAINER(first, struct entry, age);

		if (e->deadline_ms > now) {
			timer_set(s->limit, e->deadline_ms - now);
			return;
		}
		finish(e, false, "the key holder did not sign in time");
	}
}

struct signer *
signer_create(struct loop *l)
{
	struct signer *s = mem_zero(sizeof *s);

	s->loop = l;
	list_init(&s->pending);
	list_init(&s->ready);
	list_init(&s->kept);
	s->limit = timer_create_on(l, expired, s);
	s->hand_out = (struct deferred){.fn = hand_out, .arg = s};
	return s;
}

static void
free_list(struct list *l)
{
	struct link *k;

	while ((k = list_first(l)) != NULL)
		entry_free(CONTAINER(k, struct entry, age));
}

void
signer_destroy(struct signer *s)
{
	if (s == NULL)
		return;
	loop_defer_cancel(s->loop, &s->hand_out);
	timer_destroy(s->limit);
	free_list(&s->pending);
	free_list(&s->ready);
	free_list(&s->kept);
	hash_free(&s->by_id);
	hash_free(&s->by_number);
	bodyhash_destroy(s->hash);
	free(s);
}

void
signer_keyd(struct signer *s, struct channel *keyd)
{
	s->keyd = keyd;
}

static struct entry *
find(const struct hash *h, uint64_t value, bool by_number)
{
	struct hash_node *n;

	for (n = hash_first(h, hash_u64(value)); n != NULL; n = hash_more(n)) {
		struct entry *e = by_number ? CONTAINER(n, struct entry, by_number)
		                            : CONTAINER(n, struct entry, by_id);

		if ((by_number ? e->number : e->id) == value)
			return e;
	}
	return NULL;
}

void
signer_answer(struct signer *s, const struct wire_signed *msg)
{
	struct entry *e = find(&s->by_number, msg->id / KEYS_MAX, true);
	size_t        i = msg->id % KEYS_MAX;

	if (e == NULL || e->done || i >= dkim_sign_count(e->sign))
		return; /* given up meanwhile */
	if (msg->ok != WIRE_SIGNED_OK) {
		buf_add(&e->why, msg->why);
		e->waits = msg->ok == WIRE_SIGNED_NO_KEY;
		finish(e, false, msg->why.n > 0 ? "" : "the key holder refuses");
		return;
	}
	dkim_sign_put(e->sign, i, msg->signature);
	if (--e->missing > 0)
		return;
	if (dkim_sign_finish(e->sign, &e->fields))
		finish(e, true, "");
	else
		finish(e, false, "the signature is not whole");
}

static bool
read_at(int fd, struct buf *to, uint64_t at, size_t n)
{
	char   *room = buf_room(to, n);
	ssize_t got;

	if (room == NULL)
		return false;
	do
		got = pread(fd, room, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return false;
	buf_commit(to, (size_t)got);
	return true;
}

/* Everything up to the empty line; what is longer than HEAD_MAX is no header to sign. */
static bool
read_head(const struct signer_request *r, struct buf *text, struct str *head)
{
	struct str body;

	if (r->fd < 0) {
		header_split(r->body, head, &body);
		return true;
	}
	while (text->n < r->size && str_find_str(buf_str(text), STR("\r\n\r\n")) < 0)
		if (!read_at(r->fd, text, text->n, PIECE))
			return false;
	header_split(buf_str(text), head, &body);
	return true;
}

static bool
hash_file(struct bodyhash *h, const struct signer_request *r, uint64_t at)
{
	struct buf piece = BUF(PIECE);
	bool       ok = true;

	while (ok && at < r->size) {
		buf_clear(&piece);
		ok = read_at(r->fd, &piece, at, PIECE);
		bodyhash_feed(h, buf_str(&piece));
		at += piece.n;
	}
	buf_free(&piece);
	return ok;
}

/* smtpd hashed the body as it came, usually in the form that is wanted. */
static bool
body_hash(struct signer *s, const struct signer_request *r, enum canon canon, struct buf *out,
          size_t head_n)
{
	enum canon have;

	if (r->env->bh.n > 0 && canon_parse(r->env->bh_canon, &have) && have == canon) {
		buf_add(out, r->env->bh);
		return true;
	}
	if (s->hash == NULL)
		s->hash = bodyhash_create(canon);
	bodyhash_restart(s->hash, canon);
	if (r->fd < 0) {
		struct str head, body;

		header_split(r->body, &head, &body);
		bodyhash_feed(s->hash, body);
	} else if (!hash_file(s->hash, r, head_n + 2)) {
		return false;
	}
	bodyhash_finish_text(s->hash, out);
	return true;
}

static struct dkim_sign *
prepare(struct signer *s, const struct signer_request *r, const struct dkim_conf *conf)
{
	struct buf        text = BUF(HEAD_MAX + PIECE), hash = BUF(BODYHASH_TEXT);
	struct str        head;
	struct dkim_sign *sign = NULL;

	if (read_head(r, &text, &head) && body_hash(s, r, dkim_body_canon(conf), &hash, head.n))
		sign = dkim_sign_start(head, conf, buf_str(&hash), r->env->accepted_ms / 1000);
	buf_free(&text);
	buf_free(&hash);
	return sign;
}

static void
ask_keyd(struct entry *e)
{
	e->asked = e->signer->keyd;
	e->missing = dkim_sign_count(e->sign);
	buf_clear(&e->dkim);
	for (size_t i = 0; i < e->missing; i++) {
		struct wire_sign ask = {.id = e->number * KEYS_MAX + i,
		                        .domain = dkim_sign_domain(e->sign),
		                        .selector = dkim_sign_selector(e->sign, i),
		                        .fields = dkim_sign_fields(e->sign),
		                        .last = dkim_sign_last(e->sign, i)};

		buf_addz(&e->dkim, i == 0 ? "" : ",");
		buf_add(&e->dkim, i == 0 ? ask.domain : STR_NONE);
		buf_addz(&e->dkim, i == 0 ? "/" : "");
		buf_add(&e->dkim, ask.selector);
		channel_send(e->asked, WIRE_SIGN, &ask, -1);
	}
}

void
signer_keyd_gone(struct signer *s, const struct channel *keyd)
{
	struct entry *e;

	if (s->keyd == keyd)
		s->keyd = NULL;
	LIST_EACH(&s->pending, e, struct entry, age) {
		if (e->asked != keyd)
			continue;
		if (s->keyd != NULL)
			ask_keyd(e);
		else
			wait_for_key(e, "the key holder is not there");
	}
}

static void
start(struct entry *e, const struct signer_request *r)
{
	struct signer          *s = e->signer;
	struct buf              why = BUF(512);
	const struct dkim_conf *conf = r->keys;

	if (r->unsigned_why != NULL)
		buf_addz(&why, r->unsigned_why);
	else if (conf == NULL)
		conf = dkim_choose(r->config, r->env->header_from, &why);
	if (conf == NULL) {
		buf_addz(&e->dkim, "none why=");
		buf_add(&e->dkim, buf_str(&why));
		finish(e, true, "");
	} else if (s->keyd == NULL) {
		wait_for_key(e, "the key holder is not there");
	} else if ((e->sign = prepare(s, r, conf)) == NULL || dkim_sign_count(e->sign) > KEYS_MAX) {
		finish(e, false, "the message cannot be prepared for signing");
	} else {
		ask_keyd(e);
	}
	buf_free(&why);
}

static struct entry *
create(struct signer *s, const struct signer_request *r)
{
	struct entry *e = mem_zero(sizeof *e);

	e->signer = s;
	e->id = r->id;
	e->number = ++s->number;
	e->generation = r->config->generation;
	e->deadline_ms = time_mono_ms() + LIMIT_MS;
	e->fields = BUF(FIELDS_MAX);
	e->dkim = BUF(2048);
	e->why = BUF(1024);
	list_init(&e->waiters);
	hash_put(&s->by_id, &e->by_id, hash_u64(e->id));
	hash_put(&s->by_number, &e->by_number, hash_u64(e->number));
	move(e, &s->pending);
	if (!timer_is_set(s->limit))
		timer_set(s->limit, LIMIT_MS);
	start(e, r);
	return e;
}

struct signing *
signer_start(struct signer *s, const struct signer_request *r,
             void (*fn)(void *arg, const struct signature *sig), void *arg)
{
	struct entry   *e = find(&s->by_id, r->id, false);
	struct signing *w = mem_zero(sizeof *w);

	if (e == NULL || e->generation != r->config->generation || (e->done && !e->ok)) {
		e = create(s, r);
	} else if (e->done) {
		move(e, &s->ready);
		loop_defer(s->loop, &s->hand_out);
	}
	e->keep = e->keep || r->again;
	w->entry = e;
	w->fn = fn;
	w->arg = arg;
	list_push(&e->waiters, &w->place);
	return w;
}

void
signer_cancel(struct signing *w)
{
	if (w == NULL)
		return;
	list_remove(&w->entry->waiters, &w->place);
	free(w);
}
