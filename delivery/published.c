/* SPDX-License-Identifier: ISC */
#include "delivery/published.h"

#include <stdlib.h>

#include "dkim/record.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/util/encode.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	SECOND = 1000,
	LIMIT_MS = 5 * SECOND,   /* so long a mail waits for the first answer */
	LEAST_MS = 60 * SECOND,  /* a good answer is kept so long at least ... */
	MOST_MS = 3600 * SECOND, /* ... and at most */
	AGAIN_MS = 30 * SECOND,  /* a bad one */
	SILENT_MS = 10 * SECOND, /* no answer */
	SEEN_MS = 7 * 24 * 3600 *
	          SECOND,          /* without an answer a key that was seen is good so long */
	SETTLE_MS = 35 * SECOND, /* longer than the resolver remembers that there is no record */
	WANTED_MS = 3600 * SECOND, /* keys are asked for by themselves while mail waits for them */
	TICK_MS = 5 * SECOND,
	KEYS_MAX = 4096,
	NAME_ROOM = 600,
	WHY_MAX = 256,
	HALF_MAX = 8192,
	TAIL = 32,
};

struct entry {
	struct hash_node  node;
	struct link       all;
	struct published *of;
	char             *selector, *domain, *half;
	enum key_type     type;
	enum key_state    state;
	struct buf        why;
	struct dns_query *query;
	int64_t           asked_ms, until_ms, seen_ms, wanted_ms; /* mono; seen 0: never */
	int64_t           settle_ms; /* mono; until then its absence is not believed; 0: it is */
};

/* A line "NAME KEY" of what others have seen. */
struct seen {
	struct link link;
	char       *line;
};

struct published {
	struct loop    *loop;
	struct dns     *dns;
	published_fn   *changed;
	void           *arg;
	struct hash     table;
	struct list     all, waiting, seen;
	struct timer   *tick;
	struct deferred wake;
};

static void
entry_free(struct entry *e)
{
	dns_cancel(e->query);
	hash_remove(&e->of->table, &e->node);
	list_remove(&e->of->all, &e->all);
	free(e->selector);
	free(e->domain);
	free(e->half);
	buf_free(&e->why);
	free(e);
}

struct str
published_tail(struct str half)
{
	return str_skip(half, half.n > TAIL ? half.n - TAIL : 0);
}

static void
add_name(struct buf *out, const struct entry *e)
{
	buf_addf(out, "%s._domainkey.%s", e->selector, e->domain);
}

static void
set_state(struct entry *e, enum key_state state, const char *why)
{
	bool news = e->state != state || !str_eq(buf_str(&e->why), str_of(why));

	e->state = state;
	if (!news)
		return;
	buf_clear(&e->why);
	buf_addz(&e->why, why);
	if (state != KEY_ASKED) {
		struct buf name = BUF(NAME_ROOM);

		add_name(&name, e);
		e->of->changed(e->of->arg, buf_str(&name), published_tail(str_of(e->half)),
		               buf_str(&e->why));
		buf_free(&name);
	}
	loop_defer(e->of->loop, &e->of->wake);
}

/* ---- answers ---- */

/* What is wrong with the record; nothing appended if it is ours. */
static void
judge(const struct entry *e, struct str txt, struct buf *why)
{
	struct dkim_record r;
	struct buf         own = BUF(HALF_MAX);

	if (dkim_record_parse(&r, txt, why)) {
		if (r.revoked)
			buf_addz(why, "its record says that the key is revoked");
		else if (r.no_sha256 || r.no_email)
			buf_addz(why, "its record does not allow mail signed with SHA-256");
		else if (r.type != e->type || !base64_decode(&own, str_of(e->half)) ||
		         !str_eq(buf_str(&own), buf_str(&r.key)))
			buf_addz(why, "DNS has another key");
	}
	dkim_record_free(&r);
	buf_free(&own);
}

/*
 * The first key of a domain has appeared: its owner is publishing, and the records of one paste do
 * not show at the same instant. The others are looked for once more before mail goes
 * without their signatures.
 */
static void
await_siblings(const struct entry *first)
{
	struct entry *e;
	int64_t       now = time_mono_ms();

	LIST_EACH(&first->of->all, e, struct entry, all)
		if (e->state == KEY_PUBLISHED && e != first &&
		    str_eq(str_of(e->domain), str_of(first->domain)))
			return;
	LIST_EACH(&first->of->all, e, struct entry, all)
		if (e->state == KEY_UNPUBLISHED && str_eq(str_of(e->domain), str_of(first->domain))) {
			e->settle_ms = now + SETTLE_MS;
			e->until_ms = now;
		}
}

static void
found(struct entry *e, uint32_t ttl_s)
{
	int64_t now = time_mono_ms(), keep = (int64_t)ttl_s * SECOND;
	bool    appeared = e->state == KEY_UNPUBLISHED;

	if (keep < LEAST_MS)
		keep = LEAST_MS;
	if (keep > MOST_MS)
		keep = MOST_MS;
	e->seen_ms = now;
	e->until_ms = now + keep;
	e->settle_ms = 0;
	set_state(e, KEY_PUBLISHED, "");
	if (appeared)
		await_siblings(e);
}

static void
not_found(struct entry *e, const char *why)
{
	e->until_ms = time_mono_ms() + (e->settle_ms != 0 ? TICK_MS : AGAIN_MS);
	e->seen_ms = 0;
	set_state(e, KEY_UNPUBLISHED, why);
}

/* No answer says nothing about the key: one that was seen goes on. */
static void
no_answer(struct entry *e, const char *reason)
{
	int64_t    now = time_mono_ms();
	struct buf why = BUF(WHY_MAX);

	e->until_ms = now + SILENT_MS;
	if (e->seen_ms != 0 && now - e->seen_ms < SEEN_MS)
		return;
	buf_addz(&why, "DNS does not say whether it is published: ");
	buf_addz(&why, reason);
	set_state(e, KEY_SILENT, buf_z(&why));
	buf_free(&why);
}

static void
answered(void *arg, const struct dns_answer *a)
{
	struct entry *e = arg;
	struct buf    why = BUF(WHY_MAX);

	e->query = NULL;
	if (a->status == DNS_TEMPFAIL || a->status == DNS_BOGUS) {
		no_answer(e, a->why != NULL ? a->why : "no answer");
		return;
	}
	if (a->status != DNS_OK || a->n == 0)
		buf_addz(&why, "it is not published");
	else if (a->n > 1)
		buf_addf(&why, "there are %zu records of its name", a->n);
	else
		judge(e, a->records[0].data, &why);
	if (why.n == 0)
		found(e, a->records[0].ttl_s);
	else
		not_found(e, buf_z(&why));
	buf_free(&why);
}

static void
ask(struct entry *e)
{
	struct published *p = e->of;
	struct buf        name = BUF(NAME_ROOM);

	e->asked_ms = time_mono_ms();
	e->until_ms = e->asked_ms + AGAIN_MS;
	add_name(&name, e);
	if (p->dns != NULL && !name.over)
		e->query = dns_ask(p->dns, buf_str(&name), DNS_TXT, answered, e);
	else
		no_answer(e, "there is no resolver");
	buf_free(&name);
}

/* ---- time ---- */

static void
tick(void *arg)
{
	struct published *p = arg;
	struct entry     *e;
	int64_t           now = time_mono_ms();
	bool              again = false;

	LIST_EACH(&p->all, e, struct entry, all) {
		if (e->state == KEY_ASKED && now - e->asked_ms >= LIMIT_MS)
			no_answer(e, "no answer in time");
		if (e->settle_ms != 0 && now >= e->settle_ms) {
			e->settle_ms = 0;
			loop_defer(p->loop, &p->wake);
		}
		if (e->state == KEY_PUBLISHED || now - e->wanted_ms >= WANTED_MS)
			continue;
		again = true;
		if (e->query == NULL && now >= e->until_ms)
			ask(e);
	}
	if (again)
		timer_set(p->tick, TICK_MS);
}

static void
wake(void *arg)
{
	struct published *p = arg;
	struct link      *k;
	size_t n = p->waiting.n; /* those who come back from the call have another turn */

	while (n-- > 0 && (k = list_pop(&p->waiting)) != NULL) {
		struct published_wait *w = CONTAINER(k, struct published_wait, link);

		w->fn(w->arg);
	}
}

/* ---- the outside ---- */

struct published *
published_create(struct loop *l, published_fn *changed, void *arg)
{
	struct published *p = mem_zero(sizeof *p);

	p->loop = l;
	p->changed = changed;
	p->arg = arg;
	list_init(&p->all);
	list_init(&p->waiting);
	list_init(&p->seen);
	p->tick = timer_create_on(l, tick, p);
	p->wake = (struct deferred){.fn = wake, .arg = p};
	return p;
}

void
published_destroy(struct published *p)
{
	struct link *k;

	if (p == NULL)
		return;
	loop_defer_cancel(p->loop, &p->wake);
	timer_destroy(p->tick);
	while ((k = list_first(&p->all)) != NULL)
		entry_free(CONTAINER(k, struct entry, all));
	published_forget(p);
	hash_free(&p->table);
	free(p);
}

void
published_resolver(struct published *p, struct dns *dns)
{
	struct entry *e;

	p->dns = dns;
	LIST_EACH(&p->all, e, struct entry, all) {
		bool asked = e->query != NULL;

		dns_cancel(e->query);
		e->query = NULL;
		if (asked)
			ask(e);
	}
}

static uint64_t
hash_of(struct str selector, struct str domain)
{
	return hash_u64(hash_str(selector)) ^ hash_str(domain);
}

static struct entry *
find(const struct published *p, struct str selector, struct str domain)
{
	struct hash_node *n;

	for (n = hash_first(&p->table, hash_of(selector, domain)); n != NULL; n = hash_more(n)) {
		struct entry *e = CONTAINER(n, struct entry, node);

		if (str_eq(str_of(e->selector), selector) && str_eq(str_of(e->domain), domain))
			return e;
	}
	return NULL;
}

static bool
was_seen(const struct entry *e)
{
	struct buf   line = BUF(2 * NAME_ROOM);
	struct seen *s;
	bool         is = false;

	add_name(&line, e);
	buf_addc(&line, ' ');
	buf_add(&line, published_tail(str_of(e->half)));
	LIST_EACH(&e->of->seen, s, struct seen, link)
		is = is || str_eq(str_of(s->line), buf_str(&line));
	buf_free(&line);
	return is;
}

/* New, or under a name that another key had: nothing is known of it. */
static struct entry *
add(struct published *p, struct str domain, const struct dkim_key_conf *k)
{
	struct entry *e = find(p, k->selector, domain);

	if (e != NULL)
		entry_free(e);
	if (p->all.n >= KEYS_MAX)
		entry_free(CONTAINER(list_first(&p->all), struct entry, all));
	e = mem_zero(sizeof *e);
	e->of = p;
	e->selector = str_dup(k->selector);
	e->domain = str_dup(domain);
	e->half = str_dup(k->half);
	e->type = k->type;
	e->why = BUF(WHY_MAX);
	hash_put(&p->table, &e->node, hash_of(k->selector, domain));
	list_push(&p->all, &e->all);
	ask(e);
	if (was_seen(e)) {
		e->seen_ms = time_mono_ms();
		set_state(e, KEY_PUBLISHED, "");
	}
	return e;
}

enum key_state
published_look(struct published *p, struct str domain, const struct dkim_key_conf *k,
               struct str *why)
{
	struct entry *e = find(p, k->selector, domain);
	int64_t       now = time_mono_ms();

	*why = STR_NONE;
	if (e == NULL || !str_eq(str_of(e->half), k->half))
		e = add(p, domain, k);
	else if (e->query == NULL && now >= e->until_ms)
		ask(e);
	e->wanted_ms = now;
	if (e->state != KEY_PUBLISHED && !timer_is_set(p->tick))
		timer_set(p->tick, TICK_MS);
	*why = buf_str(&e->why);
	return e->state == KEY_UNPUBLISHED && e->settle_ms != 0 ? KEY_ASKED : e->state;
}

void
published_forget(struct published *p)
{
	struct link *k;

	while ((k = list_pop(&p->seen)) != NULL) {
		struct seen *s = CONTAINER(k, struct seen, link);

		free(s->line);
		free(s);
	}
}

void
published_seen(struct published *p, struct str line)
{
	struct seen  *s;
	struct entry *e;

	if (p->seen.n >= KEYS_MAX || line.n > 2 * NAME_ROOM)
		return;
	s = mem_zero(sizeof *s);
	s->line = str_dup(line);
	list_push(&p->seen, &s->link);
	LIST_EACH(&p->all, e, struct entry, all)
		if (e->state != KEY_PUBLISHED && was_seen(e))
			found(e, 0);
}

void
published_wait(struct published *p, struct published_wait *w)
{
	list_push(&p->waiting, &w->link);
}

void
published_leave(struct published *p, struct published_wait *w)
{
	if (p != NULL)
		list_remove(&p->waiting, &w->link);
}
