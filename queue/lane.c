/* SPDX-License-Identifier: ISC */
/* lane - one destination: whether mail may go there now, its rest after failures, its probes. */
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/lane.h"

enum { SWEEP = 64, SETTLING_MAX = 1000 };

struct str
lane_name(const struct dispatch_lane *l)
{
	return (struct str){l->name, l->n};
}

struct dispatch_lane *
lane_find(const struct dispatch *d, struct str name)
{
	uint64_t value = hash_str(name);

	for (struct hash_node *n = hash_first(&d->lanes, value); n != NULL; n = hash_more(n)) {
		struct dispatch_lane *l = CONTAINER(n, struct dispatch_lane, node);

		if (str_eq(lane_name(l), name))
			return l;
	}
	return NULL;
}

struct dispatch_lane *
lane_get(struct dispatch *d, struct str name)
{
	struct dispatch_lane *l = lane_find(d, name);

	if (l != NULL)
		return l;
	l = mem_zero(sizeof *l + name.n);
	l->d = d;
	l->n = name.n;
	memcpy(l->name, name.p, name.n);
	l->last = BUF(REPLY_TEXT_MAX + 64);
	hash_put(&d->lanes, &l->node, hash_str(name));
	return l;
}

void
lane_destroy(struct dispatch *d, struct dispatch_lane *l)
{
	hash_remove(&d->lanes, &l->node);
	heap_remove(&d->resting, &l->until);
	list_remove(&d->ring, &l->turn);
	buf_free(&l->last);
	free(l);
}

/* Lanes exist only while there is something to know about them. */
void
lane_check(struct dispatch *d, struct dispatch_lane *l)
{
	if (!l->work && l->n_out == 0 && !l->asking && !l->sweeping && l->failures == 0)
		lane_destroy(d, l);
}

void
dispatch_pump_soon(struct dispatch *d)
{
	if (d->q->store != NULL && !d->q->draining)
		loop_defer(d->q->loop, &d->pump);
}

void
lane_turn(struct dispatch *d, struct dispatch_lane *l)
{
	if (l->turn.next == NULL && l->work)
		list_push(&d->ring, &l->turn);
	dispatch_pump_soon(d);
}

static bool
lane_may_send(const struct dispatch *d, const struct dispatch_lane *l)
{
	if (pauses_has(&d->q->pauses, lane_name(l)))
		return false;
	return l->failures == 0 || (l->n_out == 0 && l->until.key <= time_wall_ms());
}

size_t
dispatch_room(const struct dispatch *d)
{
	size_t used = d->n_out + d->n_asked;

	return used >= d->capacity ? 0 : d->capacity - used;
}

/* How many more parts of this lane may go out now. */
size_t
lane_allowance(const struct dispatch *d, const struct dispatch_lane *l)
{
	size_t left = dispatch_room(d);

	if (left == 0 || !lane_may_send(d, l))
		return 0;
	if (l->failures > 0)
		return 1;
	if (l->n_out >= left)
		return l->n_out == 0 ? 1 : 0;
	return left - l->n_out;
}

void
dispatch_give_back(struct dispatch *d, uint64_t id, uint32_t part, uint64_t token)
{
	store_settle(d->q->store, &(struct store_lease){.id = id, .part = part, .token = token},
	             &(struct store_outcome){.verdict = STORE_RELEASE}, NULL, NULL);
}

static void
set_wake(struct dispatch *d)
{
	struct heap_node *first = heap_min(&d->resting);
	int64_t           wait;

	if (first == NULL) {
		timer_clear(d->wake);
		return;
	}
	wait = first->key - time_wall_ms();
	timer_set(d->wake, wait < 1 ? 1 : wait);
}

/* The rest of a lane is over: its next part is a probe. */
void
lane_wake(void *arg)
{
	struct dispatch  *d = arg;
	struct heap_node *first;
	int64_t           now = time_wall_ms();

	while ((first = heap_min(&d->resting)) != NULL && first->key <= now) {
		heap_remove(&d->resting, first);
		lane_turn(d, CONTAINER(first, struct dispatch_lane, until));
	}
	set_wake(d);
}

void
dispatch_retry(struct dispatch *d, struct str lane)
{
	for (struct hash_node *n = hash_walk(&d->lanes, NULL); n != NULL;
	     n = hash_walk(&d->lanes, n)) {
		struct dispatch_lane *l = CONTAINER(n, struct dispatch_lane, node);

		if (lane.n > 0 && !str_eq(lane, lane_name(l)))
			continue;
		heap_remove(&d->resting, &l->until);
		l->until.key = 0;
		lane_turn(d, l);
	}
	set_wake(d);
}

/* ---- health of lanes ---- */

static void sweep(struct dispatch *d, struct dispatch_lane *l);

static void
swept(void *arg, const struct store_lease *l)
{
	struct dispatch_lane *lane = arg;
	struct dispatch      *d = lane->d;
	struct attempt       *a;
	struct reply          last;

	if (l == NULL) {
		lane->sweeping = false;
		/* A full basket: there is more, and its senders need not wait for the next probe. */
		if (lane->swept == SWEEP && lane->failures > 0 && d->q->state == STORE_OPEN &&
		    d->q->settling.n < SETTLING_MAX)
			sweep(d, lane);
		lane_check(d, lane);
		return;
	}
	a = attempt_create(l);
	if (a == NULL || !reply_parse(buf_str(&lane->last), &last)) {
		free(a);
		dispatch_give_back(d, l->id, l->part, l->token);
		return;
	}
	lane->swept++;
	outcome_sweep(d->q, a, last);
}

/*
 * Nothing else goes out while a lane rests, so here is where its waiting mail
 * expires, and where senders are told of the delay.
 */
static void
sweep(struct dispatch *d, struct dispatch_lane *l)
{
	struct schedule   s = queue_schedule(d->q);
	struct store_wish w = {.lane = lane_name(l), .max = SWEEP, .lease_ms = LEASE_MS};

	if (l->sweeping || d->q->store == NULL)
		return;
	l->sweeping = true;
	l->swept = 0;
	w.accepted_before_ms = time_wall_ms() - s.expire_ms;
	/* In turns: what has expired, and what is late and nobody has been told. */
	if (l->failures % 2 == 0 && s.delay_notice_ms > 0 && s.delay_notice_ms < s.expire_ms) {
		w.accepted_before_ms = time_wall_ms() - s.delay_notice_ms;
		w.skip_noticed = true;
	}
	/* The store knows whole seconds: what it gives is old enough for certain. */
	w.accepted_before_ms -= 1000;
	if (w.accepted_before_ms <= 0)
		w.accepted_before_ms = 1;
	store_lease(d->q->store, &w, swept, l);
}

void
lane_failed(struct dispatch *d, struct dispatch_lane *l, struct reply r)
{
	struct schedule s = queue_schedule(d->q);
	int64_t         now = time_wall_ms();

	/* Those that were out together with the first one say nothing new. */
	if (l->failures > 0 && now < l->until.key)
		return;
	l->failures++;
	buf_clear(&l->last);
	reply_format(&l->last, r);
	heap_put(&d->resting, &l->until, now + schedule_lane_rest(&s, l->failures));
	set_wake(d);
	sweep(d, l);
}

/* Filter and number live as long as the operation. */
struct missed {
	struct store_filter filter;
	uint64_t            id;
};

static void
found(void *arg, enum store_result result UNUSED, size_t n UNUSED)
{
	free(arg);
}

void
dispatch_waits(struct dispatch *d, struct str lane, uint64_t id)
{
	const struct dispatch_lane *l = d == NULL ? NULL : lane_find(d, lane);
	struct missed              *m;

	if (d == NULL || d->q->store == NULL || (l != NULL && l->failures > 0))
		return;
	m = mem_zero(sizeof *m);
	m->id = id;
	m->filter = (struct store_filter){.exact = &m->id, .n_exact = 1, .status = STATUS_DEFERRED};
	store_act(d->q->store, &m->filter, ACT_RETRY, found, m);
}

static void
released(void *arg, enum store_result result, size_t n)
{
	(void)arg;
	(void)result;
	(void)n;
}

void
lane_works(struct dispatch *d, struct dispatch_lane *l)
{
	if (l->failures == 0)
		return;
	l->failures = 0;
	heap_remove(&d->resting, &l->until);
	l->work = true;
	store_act(d->q->store,
	          &(struct store_filter){.lane = lane_name(l), .status = STATUS_DEFERRED},
	          ACT_RETRY, released, NULL);
	lane_turn(d, l);
}
