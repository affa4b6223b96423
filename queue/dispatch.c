/* SPDX-License-Identifier: ISC */
/*
 * dispatch - which lane may send now, and through which delivery role.
 *
 * Lanes that have work stand in a ring and take turns. A lane may have at most as many parts
 * out as there is room left in all workers: one lane alone gets half of the
 * room, and however many slow lanes there are, a fresh one still finds some. A lane whose
 * host does not answer rests; then one part at a time goes out as a probe, and
 * the first that gets through releases all that waits.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"

enum {
	QUANTUM = 16,                 /* leases asked for at a lane's turn */
	UNSENT_MAX = 8 * 1024 * 1024, /* octets a worker has not read yet */
	RENEW_MS = 60 * 1000,
	ATTEMPT_MAX_MS = 60 * 60 * 1000, /* no delivery takes that long: the worker has lost it */
	SWEEP = 64,
	CAPACITY_MAX = 100000,
};

struct worker {
	struct link      link;
	struct dispatch *d;
	unsigned         index;
	struct channel  *channel;
	size_t           capacity;
	struct list      attempts;
};

struct dispatch_lane {
	struct hash_node  node;
	struct link       turn;  /* in dispatch.ring */
	struct heap_node  until; /* in dispatch.resting; key: wall clock */
	struct dispatch  *d;
	size_t            n_out;
	unsigned          failures; /* probes in a row that failed */
	bool              work;     /* the store has something, as far as we know */
	bool              asking;   /* a lease call is on its way */
	bool              sweeping;
	unsigned          asked, got;
	struct buf        last;     /* the reply that made it rest, reply_format() */
	size_t            n;
	char              name[];
};

struct dispatch {
	struct queue   *q;
	struct list     workers;
	struct hash     lanes, attempts;
	struct list     ring;
	struct list     blocked; /* lanes whose next part waits for one certain worker */
	struct heap     resting;
	size_t          capacity, n_out, n_asked;
	struct deferred pump;
	struct timer   *wake, *renew;
	uint64_t        n_stale;
};

/* ---- lanes ---- */

static struct str
name_of(const struct dispatch_lane *l)
{
	return (struct str){l->name, l->n};
}

static struct dispatch_lane *
lane_find(const struct dispatch *d, struct str name)
{
	uint64_t value = hash_str(name);

	for (struct hash_node *n = hash_first(&d->lanes, value); n != NULL; n = hash_more(n)) {
		struct dispatch_lane *l = CONTAINER(n, struct dispatch_lane, node);

		if (str_eq(name_of(l), name))
			return l;
	}
	return NULL;
}

static struct dispatch_lane *
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

static void
lane_destroy(struct dispatch *d, struct dispatch_lane *l)
{
	hash_remove(&d->lanes, &l->node);
	heap_remove(&d->resting, &l->until);
	list_remove(&d->ring, &l->turn);
	buf_free(&l->last);
	free(l);
}

/* Lanes exist only while there is something to know about them. */
static void
lane_check(struct dispatch *d, struct dispatch_lane *l)
{
	if (!l->work && l->n_out == 0 && !l->asking && !l->sweeping && l->failures == 0)
		lane_destroy(d, l);
}

static void
pump_soon(struct dispatch *d)
{
	if (d->q->store != NULL && !d->q->draining)
		loop_defer(d->q->loop, &d->pump);
}

static void
lane_turn(struct dispatch *d, struct dispatch_lane *l)
{
	if (l->turn.next == NULL && l->work)
		list_push(&d->ring, &l->turn);
	pump_soon(d);
}

static bool
lane_may_send(const struct dispatch *d, const struct dispatch_lane *l)
{
	if (pauses_has(&d->q->pauses, name_of(l)))
		return false;
	return l->failures == 0 || (l->n_out == 0 && l->until.key <= time_wall_ms());
}

static size_t
room(const struct dispatch *d)
{
	size_t used = d->n_out + d->n_asked;

	return used >= d->capacity ? 0 : d->capacity - used;
}

/* How many more parts of this lane may go out now. */
static size_t
allowance(const struct dispatch *d, const struct dispatch_lane *l)
{
	size_t left = room(d);

	if (left == 0 || !lane_may_send(d, l))
		return 0;
	if (l->failures > 0)
		return 1;
	if (l->n_out >= left)
		return l->n_out == 0 ? 1 : 0;
	return left - l->n_out;
}

/* ---- attempts ---- */

static uint64_t
attempt_hash(uint64_t id, uint32_t part)
{
	return hash_u64(id ^ (uint64_t)part << 40);
}

static struct attempt *
attempt_find(const struct dispatch *d, uint64_t id, uint32_t part)
{
	for (struct hash_node *n = hash_first(&d->attempts, attempt_hash(id, part)); n != NULL; n = hash_more(n)) {
		struct attempt *a = CONTAINER(n, struct attempt, node);

		if (a->id == id && a->part == part)
			return a;
	}
	return NULL;
}

static size_t
text_size(const struct store_lease *l, const struct envelope *e)
{
	size_t n = e->from.n + l->lane.n;

	for (size_t i = 0; i < l->n_rcpts; i++)
		if (l->rcpts[i].index < e->n_rcpts)
			n += e->rcpts[l->rcpts[i].index].to.n;
	return n;
}

static struct str
keep_text(char **at, struct str s)
{
	struct str kept = {*at, s.n};

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

struct attempt *
attempt_create(const struct store_lease *l)
{
	struct envelope e;
	struct attempt *a;
	char           *at;

	if (!envelope_parse(&e, l->envelope))
		return NULL;
	a = mem_zero(sizeof *a + l->n_rcpts * sizeof a->rcpts[0] + text_size(l, &e));
	at = (char *)&a->rcpts[l->n_rcpts];
	a->id = l->id;
	a->part = l->part;
	a->token = l->token;
	a->tries = l->tries;
	a->noticed = l->noticed;
	a->accepted_ms = e.accepted_ms;
	a->since_ms = time_mono_ms();
	a->size = l->size;
	a->from = keep_text(&at, e.from);
	a->lane_name = keep_text(&at, l->lane);
	for (size_t i = 0; i < l->n_rcpts; i++) {
		uint32_t index = l->rcpts[i].index;

		if (index >= e.n_rcpts)
			continue;
		a->rcpts[a->n_rcpts++] = (struct attempt_rcpt){
			.index = index, .notify = e.rcpts[index].notify, .to = keep_text(&at, e.rcpts[index].to),
		};
	}
	envelope_free(&e);
	return a;
}

struct store_lease
attempt_lease(const struct attempt *a)
{
	return (struct store_lease){.id = a->id, .part = a->part, .token = a->token, .fd = -1};
}

static void
give_back(struct dispatch *d, uint64_t id, uint32_t part, uint64_t token)
{
	store_settle(d->q->store, &(struct store_lease){.id = id, .part = part, .token = token},
	             &(struct store_outcome){.verdict = STORE_RELEASE}, NULL, NULL);
}

static void
unblock(struct dispatch *d)
{
	struct link *k;

	while ((k = list_pop(&d->blocked)) != NULL)
		list_push(&d->ring, k);
	pump_soon(d);
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
		    (best == NULL || w->capacity - w->attempts.n > best->capacity - best->attempts.n))
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
	channel_send(w->channel, WIRE_LEASE, &(struct wire_lease){
		.id = l->id, .part = l->part, .token = l->token, .attempt = l->tries + 1, .lane = l->lane,
		.rcpts = buf_str(&places), .envelope = l->envelope, .size = l->size,
		.body = l->fd >= 0 ? STR_NONE : l->body,
	}, l->fd);
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
		replies[i] = REPLY(554, 5, 4, 6, "the message has passed more than 50 servers: this is a mail loop");
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

			store_settle(d->q->store, &key, &(struct store_outcome){
				.verdict = STORE_HOLD, .why = STR("its envelope cannot be read"),
			}, NULL, NULL);
			drop_fd(l);
			return true;
		}
		give_back(d, l->id, l->part, l->token);
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
	if (d->q->draining || room(d) == 0 || (lane == NULL && pauses_has(&d->q->pauses, l->lane)) ||
	    (lane != NULL && (lane->work || allowance(d, lane) == 0))) {
		give_back(d, l->id, l->part, l->token);
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
			give_back(d, l->id, l->part, l->token);
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
	store_lease(d->q->store, &(struct store_wish){
		.lane = name_of(l), .max = l->asked, .lease_ms = LEASE_MS, .body = true,
	}, leased, l);
}

/* A lane that cannot send now leaves the ring; what changes that puts it back. */
static void
pump(void *arg)
{
	struct dispatch *d = arg;

	if (d->q->store == NULL || d->q->draining)
		return;
	for (size_t n = d->ring.n; n > 0 && room(d) > 0; n--) {
		struct dispatch_lane *l = CONTAINER(list_pop(&d->ring), struct dispatch_lane, turn);
		size_t                may = l->asking ? 0 : allowance(d, l);

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
static void
wake(void *arg)
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

/* ---- health of lanes ---- */

static void
swept(void *arg, const struct store_lease *l)
{
	struct dispatch_lane *lane = arg;
	struct dispatch      *d = lane->d;
	struct attempt       *a;
	struct reply          last;

	if (l == NULL) {
		lane->sweeping = false;
		lane_check(d, lane);
		return;
	}
	a = attempt_create(l);
	if (a == NULL || !reply_parse(buf_str(&lane->last), &last)) {
		free(a);
		give_back(d, l->id, l->part, l->token);
		return;
	}
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
	struct store_wish w = {.lane = name_of(l), .max = SWEEP, .lease_ms = LEASE_MS};

	if (l->sweeping || d->q->store == NULL)
		return;
	l->sweeping = true;
	w.accepted_before_ms = time_wall_ms() - s.expire_ms;
	/* In turns: what has expired, and what is late and nobody has been told. */
	if (l->failures % 2 == 0 && s.delay_notice_ms > 0 && s.delay_notice_ms < s.expire_ms) {
		w.accepted_before_ms = time_wall_ms() - s.delay_notice_ms;
		w.skip_noticed = true;
	}
	if (w.accepted_before_ms <= 0)
		w.accepted_before_ms = 1;
	store_lease(d->q->store, &w, swept, l);
}

static void
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

static void
released(void *arg, enum store_result result, size_t n)
{
	(void)arg;
	(void)result;
	(void)n;
}

static void
lane_works(struct dispatch *d, struct dispatch_lane *l)
{
	if (l->failures == 0)
		return;
	l->failures = 0;
	heap_remove(&d->resting, &l->until);
	l->work = true;
	store_act(d->q->store, &(struct store_filter){.lane = name_of(l), .status = STATUS_DEFERRED}, ACT_RETRY,
	          released, NULL);
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
			out[i] = REPLY(451, 4, 3, 0, "internal error: no outcome for this recipient");
}

static void
take_outcome(struct worker *w, const struct wire_outcome *m)
{
	struct dispatch *d = w->d;
	struct attempt  *a = attempt_find(d, m->id, m->part);
	struct reply    *replies;
	bool             lane_down = m->scope == SCOPE_LANE;

	if (a == NULL || a->worker != w || a->token != m->token || count_lines(m->replies) > a->n_rcpts) {
		d->n_stale++;
		return;
	}
	replies = mem_array(a->n_rcpts, sizeof *replies);
	parse_replies(m->replies, replies, a->n_rcpts);
	for (size_t i = 0; i < a->n_rcpts; i++)
		if (!reply_is_temporary(replies[i]))
			lane_down = false;
	if (lane_down)
		lane_failed(d, a->lane, replies[0]);
	else
		lane_works(d, a->lane);
	detach(d, a);
	lane_check(d, a->lane);
	a->lane = NULL;
	outcome_apply(d->q, a, &(struct outcome){
		.replies = replies, .scope = m->scope, .relayed_dsn = m->relayed_dsn != 0,
		.mta = m->mta, .facts = m->facts, .dkim = m->dkim,
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
			give_back(d, a->id, a->part, a->token);
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

	log_warn(ev("peer-gone"), kv("peer", "delivery"), kv("index", w->index), kv("active", w->attempts.n),
	         kv("why", why));
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
			give_back(d, a->id, a->part, a->token);
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
	list_init(&d->workers);
	list_init(&d->ring);
	list_init(&d->blocked);
	d->pump = (struct deferred){.fn = pump, .arg = d};
	d->wake = timer_create_on(q->loop, wake, d);
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
	for (struct hash_node *n = hash_walk(&d->lanes, NULL); n != NULL; n = hash_walk(&d->lanes, n))
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
	buf_addf(rows, "delivery_workers %zu\ndelivery_capacity %zu\nlanes %zu\nlanes_resting %zu\n",
	         d->workers.n, d->capacity, d->lanes.n, d->resting.n);
}
