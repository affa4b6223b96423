/* SPDX-License-Identifier: ISC */
/* dispatch - gives parts to the delivery roles and takes their outcomes; lane.h has the rules of turns. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/lane.h"

enum {
	QUANTUM = 16,                 /* leases asked for at a lane's turn */
	UNSENT_MAX = 8 * 1024 * 1024, /* octets a worker has not read yet */
	RENEW_MS = 60 * 1000,
	ATTEMPT_MAX_MS = 60 * 60 * 1000, /* no delivery takes that long: the worker has lost it */
	CAPACITY_MAX = 100000,
};

/* ---- attempts ---- */

static uint64_t
attempt_hash(uint64_t id, uint32_t part)
{
	return hash_u64(id ^ (uint64_t)part << 40);
}

static struct attempt *
attempt_find(const struct dispatch *d, uint64_t id, uint32_t part)
{
	for (struct hash_node *n = hash_first(&d->attempts, attempt_hash(id, part)); n != NULL;
	     n = hash_more(n)) {
		struct attempt *a = CONTAINER(n, struct attempt, node);

		if (a->id == id && a->part == part)
			return a;
	}
	return NULL;
}

static void
unblock(struct dispatch *d)
{
	struct link *k;

	while ((k = list_pop(&d->blocked)) != NULL)
		list_push(&d->ring, k);
	dispatch_pump_soon(d);
}

/* The attempt leaves its worker: there is room again. */
static void
detach(struct dispatch *d, struct attempt *a)
{
	if (a->worker == NULL)
		return;
	list_remove(&a->worker->attempts, &a->link);
	hash_remove(&d->attempts, &a->node);
	a->worker = NULL;
	d->n_out--;
	a->lane->n_out--;
	lane_turn(d, a->lane);
	unblock(d);
}

void
dispatch_end(struct dispatch *d, struct attempt *a)
{
	detach(d, a);
	free(a);
}

/* ---- sending ---- */

static bool
worker_has_room(const struct worker *w)
{
	return w->attempts.n < w->capacity && channel_unsent(w->channel) < UNSENT_MAX;
}

/*
 * All parts of a message go to one worker, whose signature then serves them all. A
 * message with one part goes to its worker by preference, or to the one with most room.
 */
static struct worker *
choose_worker(const struct dispatch *d, const struct store_lease *l)
{
	struct worker *w, *best = NULL;
	size_t         skip;

	if (d->workers.n == 0)
		return NULL;
	skip = (size_t)(attempt_hash(l->id, 0) % d->workers.n);
	LIST_EACH(&d->workers, w, struct worker, link) {
		if (skip-- == 0 && worker_has_room(w))
			return w;
		if (worker_has_room(w) &&
		    (best == NULL ||
		     w->capacity - w->attempts.n > best->capacity - best->attempts.n))
			best = w;
	}
	return l->n_parts == 1 ? best : NULL;
}

static void
format_places(const struct attempt *a, struct buf *out)
{
	for (size_t i = 0; i < a->n_rcpts; i++) {
		if (i > 0)
			buf_addc(out, ' ');
		buf_addn(out, a->rcpts[i].index);
	}
}

static void
send_lease(struct dispatch *d, struct worker *w, struct attempt *a, const struct store_lease *l)
{
	struct buf places = BUF(1024 * 1024);

	a->worker = w;
	a->lane = lane_get(d, l->lane);
	a->lane->n_out++;
	d->n_out++;
	list_push(&w->attempts, &a->link);
	hash_put(&d->attempts, &a->node, attempt_hash(a->id, a->part));
	format_places(a, &places);
	channel_send(w->channel, WIRE_LEASE,
	             &(struct wire_lease){
			     .id = l->id,
			     .part = l->part,
			     .token = l->token,
			     .attempt = l->tries + 1,
			     .lane = l->lane,
			     .rcpts = buf_str(&places),
			     .envelope = l->envelope,
			     .size = l->size,
			     .body = l->fd >= 0 ? STR_NONE : l->body,
		     },
	             l->fd);
	buf_free(&places);
	if (!timer_is_set(d->renew))
		timer_set(d->renew, RENEW_MS);
}

static bool
is_loop(const struct store_lease *l)
{
	struct envelope e;
	bool            loop;

	if (l->tries > 0 || !envelope_parse(&e, l->envelope))
		return false;
	loop = e.hops > HOPS_MAX;
	envelope_free(&e);
	return loop;
}

static void
drop_fd(const struct store_lease *l)
{
	if (l->fd >= 0)
		close(l->fd);
}

static void
refuse_loop(struct dispatch *d, struct attempt *a)
{
	struct reply *replies = mem_array(a->n_rcpts, sizeof *replies);

	for (size_t i = 0; i < a->n_rcpts; i++)
		replies[i] = REPLY(
			554, 5, 4, 6,
			"the message has passed more than 50 servers: this is a mail loop");
	a->lane = NULL;
	outcome_apply(d->q, a, &(struct outcome){.replies = replies, .scope = SCOPE_MESSAGE});
	free(replies);
}

/* False: no worker has room for it; it is the store's again. */
static bool
take(struct dispatch *d, const struct store_lease *l)
{
	struct worker  *w = choose_worker(d, l);
	struct attempt *a;

	if (w == NULL || (a = attempt_create(l)) == NULL || a->n_rcpts == 0) {
		/* An envelope that no longer reads would come back for ever: better seen than circling. */
		if (w != NULL) {
			struct store_lease key = *l;

			store_settle(d->q->store, &key,
			             &(struct store_outcome){
					     .verdict = STORE_HOLD,
					     .why = STR("its envelope cannot be read"),
				     },
			             NULL, NULL);
			drop_fd(l);
			return true;
		}
		dispatch_give_back(d, l->id, l->part, l->token);
		drop_fd(l);
		return false;
	}
	if (is_loop(l)) {
		drop_fd(l);
		refuse_loop(d, a);
		return true;
	}
	send_lease(d, w, a, l);
	return true;
}

void
dispatch_offer(struct dispatch *d, const struct store_lease *l)
{
	struct dispatch_lane *lane = lane_find(d, l->lane);

	/* What waits longer goes first; the store tells us of this one in its turn. */
	if (d->q->draining || dispatch_room(d) == 0 ||
	    (lane == NULL && pauses_has(&d->q->pauses, l->lane)) ||
	    (lane != NULL && (lane->work || lane_allowance(d, lane) == 0))) {
		dispatch_give_back(d, l->id, l->part, l->token);
		drop_fd(l);
		return;
	}
	take(d, l);
}

/* ---- the ring ---- */

static void
leased(void *arg, const struct store_lease *l)
{
	struct dispatch_lane *lane = arg;
	struct dispatch      *d = lane->d;

	if (l != NULL) {
		d->n_asked -= d->n_asked > 0 ? 1 : 0;
		lane->got++;
		if (d->q->draining) {
			dispatch_give_back(d, l->id, l->part, l->token);
			drop_fd(l);
		} else if (!take(d, l) && lane->turn.next == NULL) {
			list_push(&d->blocked, &lane->turn);
		}
		return;
	}
	d->n_asked -= lane->asked - lane->got;
	lane->asking = false;
	lane->work = lane->got == lane->asked;
	if (lane->work)
		lane_turn(d, lane);
	else
		list_remove(&d->ring, &lane->turn);
	lane_check(d, lane);
}

static void
ask(struct dispatch *d, struct dispatch_lane *l, size_t n)
{
	l->asking = true;
	l->asked = (unsigned)(n < QUANTUM ? n : QUANTUM);
	l->got = 0;
	d->n_asked += l->asked;
	store_lease(d->q->store,
	            &(struct store_wish){
			    .lane = lane_name(l),
			    .max = l->asked,
			    .lease_ms = LEASE_MS,
			    .body = true,
		    },
	            leased, l);
}

/* A lane that cannot send now leaves the ring; what changes that puts it back. */
static void
pump(void *arg)
{
	struct dispatch *d = arg;

	if (d->q->store == NULL || d->q->draining)
		return;
	for (size_t n = d->ring.n; n > 0 && dispatch_room(d) > 0; n--) {
		struct dispatch_lane *l = CONTAINER(list_pop(&d->ring), struct dispatch_lane, turn);
		size_t                may = l->asking ? 0 : lane_allowance(d, l);

		if (may > 0)
			ask(d, l, may);
	}
}

void
dispatch_work(struct dispatch *d, struct str lane)
{
	struct dispatch_lane *l = lane_get(d, lane);

	l->work = true;
	lane_turn(d, l);
}

/* ---- workers ---- */

static size_t
count_lines(struct str s)
{
	size_t n = s.n > 0 ? 1 : 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

/* A line that is no reply means that delivery is broken; the mail is tried again later. */
static void
parse_replies(struct str text, struct reply *out, size_t n)
{
	struct str line;

	for (size_t i = 0; i < n; i++)
		if (!str_cut(&text, '\n', &line) || !reply_parse(line, &out[i]))
			out[i] = REPLY(451, 4, 3, 0,
			               "internal error: no outcome for this recipient");
}

static void
take_outcome(struct worker *w, const struct wire_outcome *m)
{
	struct dispatch *d = w->d;
	struct attempt  *a = attempt_find(d, m->id, m->part);
	struct reply    *replies;
	bool             temporary = true;

	if (a == NULL || a->worker != w || a->token != m->token ||
	    count_lines(m->replies) > a->n_rcpts) {
		d->n_stale++;
		return;
	}
	replies = mem_array(a->n_rcpts, sizeof *replies);
	parse_replies(m->replies, replies, a->n_rcpts);
	for (size_t i = 0; i < a->n_rcpts; i++)
		temporary = temporary && reply_is_temporary(replies[i]);
	if (m->scope == SCOPE_LANE && temporary)
		lane_failed(d, a->lane, replies[0]);
	else if (m->scope != SCOPE_GATE && (m->scope != SCOPE_MESSAGE || !temporary || m->mta.n > 0))
		lane_works(d, a->lane);
	/* Else no host was asked, as when a message cannot be signed: that says nothing of the lane either. */
	detach(d, a);
	lane_check(d, a->lane);
	a->lane = NULL;
	outcome_apply(d->q, a,
	              &(struct outcome){
			      .replies = replies,
			      .scope = m->scope,
			      .relayed_dsn = m->relayed_dsn != 0,
			      .mta = m->mta,
			      .facts = m->facts,
			      .dkim = m->dkim,
		      });
	free(replies);
}

static void
set_capacity(struct worker *w, size_t capacity)
{
	w->d->capacity -= w->capacity;
	w->capacity = capacity < CAPACITY_MAX ? capacity : CAPACITY_MAX;
	w->d->capacity += w->capacity;
	unblock(w->d);
}

static void
worker_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct worker *w = arg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_CAPACITY)
		set_capacity(w, ((const struct wire_capacity *)msg)->leases);
	else if (id == WIRE_OUTCOME && w->d->q->store != NULL)
		take_outcome(w, msg);
	else if (id == WIRE_RETRY)
		gated_retry(w->d->q);
}

/* Its leases were never tried to the end: they are due at once, and no attempt is counted. */
static void
worker_destroy(struct worker *w)
{
	struct dispatch *d = w->d;
	struct attempt  *a;

	set_capacity(w, 0);
	list_remove(&d->workers, &w->link);
	LIST_EACH(&w->attempts, a, struct attempt, link) {
		struct dispatch_lane *l = a->lane;

		if (d->q->store != NULL)
			dispatch_give_back(d, a->id, a->part, a->token);
		dispatch_end(d, a);
		lane_check(d, l);
	}
	channel_close(w->channel);
	free(w);
}

static void
worker_gone(void *arg, const char *why)
{
	struct worker *w = arg;

	/* That a role died is the supervisor\'s to say; here only what it costs. */
	if (w->attempts.n > 0)
		log_warn(ev("peer-gone"), kv("peer", "delivery"), kv("index", w->index),
		         kv("active", w->attempts.n), kv("why", why));
	worker_destroy(w);
}

void
dispatch_peer(struct dispatch *d, unsigned index, int fd)
{
	static const struct channel_hooks hooks = {worker_message, worker_gone};
	struct worker                    *w;

	LIST_EACH(&d->workers, w, struct worker, link)
		if (w->index == index)
			worker_destroy(w);
	w = mem_zero(sizeof *w);
	w->d = d;
	w->index = index;
	list_init(&w->attempts);
	w->channel = channel_open(d->q->loop, fd, ROLE_QUEUE, ROLE_DELIVERY, &hooks, w);
	list_push(&d->workers, &w->link);
}

/* ---- leases that last ---- */

static void
renew(void *arg)
{
	struct dispatch *d = arg;
	struct worker   *w;
	struct attempt  *a;
	int64_t          now = time_mono_ms();

	LIST_EACH(&d->workers, w, struct worker, link)
		for (struct link *k = list_first(&w->attempts), *next; k != NULL; k = next) {
			next = list_next(&w->attempts, k);
			a = CONTAINER(k, struct attempt, link);
			if (now - a->since_ms < ATTEMPT_MAX_MS) {
				store_renew(d->q->store, a->id, a->part, a->token, LEASE_MS);
				continue;
			}
			log_warn(ev("lease-lost"), kv("index", w->index), kv("dom", a->lane_name));
			dispatch_give_back(d, a->id, a->part, a->token);
			dispatch_end(d, a);
		}
	if (d->n_out > 0)
		timer_set(d->renew, RENEW_MS);
}

/* ---- the whole ---- */

struct dispatch *
dispatch_create(struct queue *q)
{
	struct dispatch *d = mem_zero(sizeof *d);

	d->q = q;
	list_init(&q->settling);
	list_init(&q->reports);
	list_init(&d->workers);
	list_init(&d->ring);
	list_init(&d->blocked);
	d->pump = (struct deferred){.fn = pump, .arg = d};
	d->wake = timer_create_on(q->loop, lane_wake, d);
	d->renew = timer_create_on(q->loop, renew, d);
	return d;
}

void
dispatch_destroy(struct dispatch *d)
{
	struct link *k;

	if (d == NULL)
		return;
	d->q->draining = true;
	while ((k = list_first(&d->workers)) != NULL)
		worker_destroy(CONTAINER(k, struct worker, link));
	outcomes_end(d->q);
	for (struct hash_node *n = hash_walk(&d->lanes, NULL), *next; n != NULL; n = next) {
		next = hash_walk(&d->lanes, n);
		lane_destroy(d, CONTAINER(n, struct dispatch_lane, node));
	}
	hash_free(&d->lanes);
	hash_free(&d->attempts);
	heap_free(&d->resting);
	loop_defer_cancel(d->q->loop, &d->pump);
	timer_destroy(d->wake);
	timer_destroy(d->renew);
	free(d);
}

void
dispatch_resumed(struct dispatch *d)
{
	for (struct hash_node *n = hash_walk(&d->lanes, NULL); n != NULL;
	     n = hash_walk(&d->lanes, n))
		lane_turn(d, CONTAINER(n, struct dispatch_lane, node));
}

size_t
dispatch_active(const struct dispatch *d)
{
	return d->n_out;
}

int64_t
dispatch_lane_rest(const struct dispatch *d, struct str lane, struct str *why)
{
	const struct dispatch_lane *l = d == NULL ? NULL : lane_find(d, lane);

	*why = STR_NONE;
	if (l == NULL || l->failures == 0)
		return 0;
	*why = buf_str(&l->last);
	return l->until.key;
}

void
dispatch_stats(const struct dispatch *d, struct buf *rows)
{
	buf_addf(rows,
	         "delivery_workers %zu\ndelivery_capacity %zu\nlanes %zu\nlanes_resting %zu\n",
	         d->workers.n, d->capacity, d->lanes.n, d->resting.n);
}
