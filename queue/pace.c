/* SPDX-License-Identifier: ISC */
#include "queue/pace.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { KEY_MAX = 300, COUNT_MAX = 1000000000, US = 1000 };

/* A day in milliseconds is the longest time that a limit may name; a year is more than enough. */
static const uint64_t longest_per_ms = UINT64_C(366) * 86400 * 1000;

struct limit {
	uint64_t count; /* 0: none */
	int64_t  per_ms;
};

struct key {
	struct hash_node node;
	struct link      link;
	/*
	 * When the last recipient counted would leave if all went evenly, microseconds: a rate of 1000/s
	 * has no whole milliseconds.
	 */
	int64_t  full_us;
	int64_t  quota_from_ms; /* the first mail of this quota */
	uint64_t used;
	size_t   n;
	char     name[];
};

void
paces_init(struct paces *ps)
{
	*ps = (struct paces){0};
	list_init(&ps->order);
}

static void
drop(struct paces *ps, struct key *k)
{
	hash_remove(&ps->keys, &k->node);
	list_remove(&ps->order, &k->link);
	free(k);
}

void
paces_free(struct paces *ps)
{
	struct link *l;

	while ((l = list_first(&ps->order)) != NULL)
		drop(ps, CONTAINER(l, struct key, link));
	hash_free(&ps->keys);
}

static struct key *
find_or_make(struct paces *ps, struct str name)
{
	uint64_t    value = hash_str(name);
	struct key *k;

	for (struct hash_node *n = hash_first(&ps->keys, value); n != NULL; n = hash_more(n)) {
		k = CONTAINER(n, struct key, node);
		if (str_eq((struct str){k->name, k->n}, name))
			return k;
	}
	if (ps->order.n >= PACE_KEYS_MAX)
		drop(ps, CONTAINER(list_first(&ps->order), struct key, link));
	k = mem_zero(sizeof *k + name.n);
	k->n = name.n;
	memcpy(k->name, name.p, name.n);
	hash_put(&ps->keys, &k->node, value);
	list_push(&ps->order, &k->link);
	return k;
}

static bool
parse_limit(struct str word, struct limit *l)
{
	struct str count = STR_NONE;
	uint64_t   per;

	if (!str_cut(&word, '/', &count) || !str_number(count, COUNT_MAX, &l->count) ||
	    !str_number(word, longest_per_ms, &per) || (l->count > 0 && per == 0))
		return false;
	l->per_ms = (int64_t)per;
	return true;
}

static void
say_when(struct buf *why, int64_t wait_ms)
{
	int64_t minutes = (wait_ms + 59999) / 60000;

	buf_addf(why, "try again in %lld %s",
	         (long long)(minutes < 120 ? minutes : (minutes + 59) / 60),
	         minutes < 120 ? "min" : "h");
}

/* False: so many more are over the quota of the time that runs. */
static bool
fits_quota(const struct key *k, struct limit l, size_t n, int64_t now_ms, struct buf *why)
{
	bool fresh = now_ms - k->quota_from_ms >= l.per_ms || k->used == 0;

	if (l.count == 0 || (fresh ? 0 : k->used) + n <= l.count)
		return true;
	buf_addf(why, "over the quota of %llu recipients for ", (unsigned long long)l.count);
	buf_add(why, (struct str){k->name, k->n});
	buf_addz(why, ": ");
	say_when(why, fresh ? 0 : k->quota_from_ms + l.per_ms - now_ms);
	return false;
}

static void
use_quota(struct key *k, struct limit l, size_t n, int64_t now_ms)
{
	if (now_ms - k->quota_from_ms >= l.per_ms || k->used == 0) {
		k->quota_from_ms = now_ms;
		k->used = 0;
	}
	k->used += n;
}

/*
 * A bucket that holds as much as the rate gives in its time: who sends less than that never waits,
 * and what is over it leaves evenly.
 */
static int64_t
wait_us(const struct key *k, struct limit l, int64_t now_us)
{
	int64_t each = l.per_ms * US / (int64_t)l.count, burst = l.per_ms * US - each;

	return k->full_us - burst > now_us ? k->full_us - burst - now_us : 0;
}

static void
use_rate(struct key *k, struct limit l, size_t n, int64_t now_us)
{
	if (k->full_us < now_us)
		k->full_us = now_us;
	k->full_us += (int64_t)((uint64_t)(l.per_ms * US) * n / l.count);
}

bool
pace_take(struct paces *ps, struct str line, const struct pace_mail *m, int64_t *wait_ms,
          struct buf *why)
{
	struct limit rate, quota;
	struct key  *k;
	int64_t      wait = 0;

	*wait_ms = 0;
	if (!parse_limit(str_word(&line), &rate) || !parse_limit(str_word(&line), &quota) ||
	    (line = str_trim(line)).n == 0)
		return true;
	k = find_or_make(ps, str_sub(line, 0, KEY_MAX));
	list_remove(&ps->order, &k->link);
	list_push(&ps->order, &k->link);
	if (!fits_quota(k, quota, m->n_rcpts, m->now_ms, why))
		return false;
	if (rate.count > 0)
		wait = wait_us(k, rate, m->now_ms * US) / US;
	if (wait > m->longest_ms) {
		buf_addz(why, "mail over the rate of ");
		buf_add(why, (struct str){k->name, k->n});
		buf_addz(why, " waits for as long as \"expire\" allows: ");
		say_when(why, wait - m->longest_ms);
		return false;
	}
	if (rate.count > 0)
		use_rate(k, rate, m->n_rcpts, m->now_ms * US);
	use_quota(k, quota, m->n_rcpts, m->now_ms);
	*wait_ms = wait;
	return true;
}
