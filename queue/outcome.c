/* SPDX-License-Identifier: ISC */
/*
 * outcome - from replies to what becomes of a part: done, deferred, bounced, expired.
 *
 * A report is made durable before the part is settled. Its id follows from the part's, so
 * a crash between the two makes the same report again, and that changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"
#include "queue/why.h"

enum { FACTS_MAX = 16, REPLY_LINE = REPLY_TEXT_MAX + 32 };

enum fate { FATE_SENT, FATE_WAIT, FATE_FAILED, FATE_EXPIRED };

/* A part on its way to its settlement, through up to three reports. */
struct settling {
	struct link         link;
	struct queue       *q;
	struct attempt     *a;
	struct store_rcpt  *states;
	struct report_rcpt *rcpts; /* the reply of each, texts in `texts` */
	enum fate          *fates;
	struct buf          texts;
	size_t              n;
	bool                relayed_dsn, attempted;
	bool                gated; /* no attempt has been made, but the replies count */
	bool                of_lane; /* it waits because the lane does */
	uint64_t            turn;  /* of the gates, when it was said */
	unsigned            stage;
	bool                told_delay;
	int64_t             now_ms;
};

/* ---- log ---- */

static const char *const fact_keys[] = {"mx", "ip", "tls", "tlsv", "dns", "conn", "tlsms", "send"};
enum { FACTS_FIRST = 4 };

/* Cut "key=value" or "key=\"a value\"" off. The value stays as the writer of facts escaped it. */
static bool
next_fact(struct str *rest, struct str *key, struct str *value)
{
	ptrdiff_t eq, end;

	*rest = str_trim(*rest);
	if ((eq = str_find(*rest, '=')) < 0)
		return false;
	*key = str_sub(*rest, 0, (size_t)eq);
	*rest = str_skip(*rest, (size_t)eq + 1);
	if (str_starts(*rest, STR("\""))) {
		*rest = str_skip(*rest, 1);
		end = str_find(*rest, '"');
	} else {
		end = str_find(*rest, ' ');
	}
	*value = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);
	*rest = end < 0 ? STR_NONE : str_skip(*rest, (size_t)end + 1);
	return true;
}

static void
read_facts(struct str facts, struct str values[])
{
	struct str key, value;

	for (unsigned n = 0; n < FACTS_MAX && next_fact(&facts, &key, &value); n++)
		for (size_t i = 0; i < ARRAY_LEN(fact_keys); i++)
			if (str_eq(key, str_of(fact_keys[i])))
				values[i] = value;
}

static const char *const fate_names[] = {
	[FATE_SENT] = "delivered",
	[FATE_WAIT] = "deferred",
	[FATE_FAILED] = "bounced",
	[FATE_EXPIRED] = "expired",
};

/* Attempts, this one included. */
static unsigned
tries(const struct settling *s)
{
	return s->a->tries + (s->attempted && !s->gated ? 1u : 0u);
}

static void
log_rcpt(const struct settling *s, size_t i, const struct outcome *o, int64_t due_ms)
{
	const struct attempt *a = s->a;
	struct reply          r = s->rcpts[i].reply;
	enum fate             fate = s->fates[i];
	struct str            values[ARRAY_LEN(fact_keys)] = {{0}};
	char                  room[ID_TEXT + 3], status_room[24];
	struct buf            id = BUF(sizeof room), status = BUF(sizeof status_room);
	struct kv             fields[32];
	size_t                n = 0;

	read_facts(o->facts, values);
	id_format(&id, a->id);
	reply_format_status(&status, r);
	fields[n++] = ev(fate_names[fate]);
	fields[n++] = kv("id", buf_str(&id));
	fields[n++] = kv("from", a->from.n > 0 ? a->from : STR("<>"));
	fields[n++] = kv("to", a->rcpts[i].to);
	fields[n++] = kv("dom", a->lane_name);
	for (size_t k = 0; k < FACTS_FIRST; k++)
		fields[n++] = kv(fact_keys[k], values[k]);
	fields[n++] = kv("code", r.code);
	fields[n++] = kv("dsn", buf_str(&status));
	fields[n++] = kv_ms("delay", s->now_ms - a->accepted_ms);
	for (size_t k = FACTS_FIRST; k < ARRAY_LEN(fact_keys); k++)
		fields[n++] = kv(fact_keys[k], values[k]);
	fields[n++] = kv("try", tries(s));
	fields[n++] = kv("size", a->size);
	if (fate == FATE_WAIT)
		fields[n++] = kv_ms("next", due_ms - s->now_ms);
	fields[n++] = kv("dkim", o->dkim);
	fields[n++] = kv("msg", r.text);
	if (fate != FATE_SENT)
		fields[n++] = kv("why", why_of(r));
	fields[n] = (struct kv){0};
	log_write(LEVEL_INFO, fields);
	if (s->q->n_watchers > 0)
		requests_tell(s->q, fields);
	buf_free(&id);
	buf_free(&status);
}

static void
count(struct queue *q, enum fate fate)
{
	q->n_delivered += fate == FATE_SENT;
	q->n_deferred += fate == FATE_WAIT;
	q->n_bounced += fate == FATE_FAILED;
	q->n_expired += fate == FATE_EXPIRED;
}

/* ---- settling ---- */

static void
destroy(struct settling *s)
{
	list_remove(&s->q->settling, &s->link);
	dispatch_end(s->q->dispatch, s->a);
	free(s->states);
	free(s->rcpts);
	free(s->fates);
	buf_free(&s->texts);
	free(s);
}

static void
settled(void *arg, enum store_result result)
{
	struct settling *s = arg;
	char             room[ID_TEXT + 3];
	struct buf       id = BUF(sizeof room);

	if (result == STORE_STALE) {
		id_format(&id, s->a->id);
		log_warn(
			ev("stale"), kv("id", buf_str(&id)), kv("dom", s->a->lane_name),
			kv("msg",
		           "the message was deleted or leased again while it was being delivered"));
		buf_free(&id);
	}
	if (s->gated && result == STORE_OK)
		gated_add(s->q, s->a->id, s->turn);
	if (s->of_lane && result == STORE_OK)
		dispatch_waits(s->q->dispatch, s->a->lane_name, s->a->id);
	destroy(s);
}

static size_t
count_fate(const struct settling *s, enum fate fate)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->fates[i] == fate ? 1u : 0u;
	return n;
}

static int64_t
due(const struct settling *s)
{
	struct schedule sch = queue_schedule(s->q);

	return schedule_due(&sch, tries(s), s->a->accepted_ms, s->now_ms);
}

/* The report could not be kept: nothing has been decided, the part is tried again. */
static void
postpone(struct settling *s)
{
	struct store_lease l = attempt_lease(s->a);

	store_settle(s->q->store, &l,
	             &(struct store_outcome){.verdict = STORE_DEFER, .due_ms = due(s)}, settled, s);
}

static void
settle(struct settling *s)
{
	struct store_outcome o = {.rcpts = s->states, .n_rcpts = s->n};
	struct store_lease   l = attempt_lease(s->a);

	if (count_fate(s, FATE_WAIT) == 0)
		o.verdict = STORE_DONE;
	else if (!s->attempted)
		o.verdict = s->told_delay ? STORE_NOTICED : STORE_RELEASE;
	else
		o.verdict = s->gated ? STORE_PUT_OFF : STORE_DEFER;
	o.noticed = s->told_delay;
	o.due_ms = s->attempted ? due(s) : 0;
	store_settle(s->q->store, &l, &o, settled, s);
}

/* ---- reports ---- */

/* RFC 3461 section 4.1: without NOTIFY failures are reported, and delays may be. */
static bool
wants(unsigned notify, enum report_kind kind)
{
	switch (kind) {
	case REPORT_FAILED:
		return notify == 0 || (notify & NOTIFY_FAILURE) != 0;
	case REPORT_DELAYED:
		return notify == 0 || (notify & NOTIFY_DELAY) != 0;
	case REPORT_RELAYED:
		return (notify & NOTIFY_SUCCESS) != 0;
	}
	return false;
}

static bool
belongs(const struct settling *s, size_t i, enum report_kind kind)
{
	enum fate fate = s->fates[i];

	if (!wants(s->a->rcpts[i].notify, kind))
		return false;
	switch (kind) {
	case REPORT_FAILED:
		return fate == FATE_FAILED || fate == FATE_EXPIRED;
	case REPORT_DELAYED:
		return fate == FATE_WAIT && s->told_delay;
	case REPORT_RELAYED:
		return fate == FATE_SENT && !s->relayed_dsn;
	}
	return false;
}

static void go_on(struct settling *s);

static void
reported(void *arg, bool ok)
{
	struct settling *s = arg;

	if (s->q->store == NULL)
		return;
	if (!ok && s->stage == REPORT_FAILED)
		postpone(s);
	else
		go_on(s);
}

/* Stage by stage through the three kinds; in the common case none applies and this is a short loop. */
static void
go_on(struct settling *s)
{
	while (++s->stage <= REPORT_RELAYED) {
		struct report_rcpt *list;
		size_t              n = 0;

		for (size_t i = 0; i < s->n && s->a->from.n > 0; i++)
			n += belongs(s, i, (enum report_kind)s->stage) ? 1u : 0u;
		if (n == 0)
			continue;
		list = mem_array(n, sizeof *list);
		n = 0;
		for (size_t i = 0; i < s->n; i++)
			if (belongs(s, i, (enum report_kind)s->stage))
				list[n++] = s->rcpts[i];
		report_send(s->q, s->a, (enum report_kind)s->stage, list, n, reported, s);
		free(list);
		return;
	}
	settle(s);
}

/* ---- the decision ---- */

static enum fate
judge(const struct settling *s, struct reply r)
{
	struct schedule sch = queue_schedule(s->q);

	if (reply_is_ok(r) && s->attempted)
		return FATE_SENT;
	if (reply_is_permanent(r) && s->attempted)
		return FATE_FAILED;
	return schedule_is_expired(&sch, s->a->accepted_ms, s->now_ms) ? FATE_EXPIRED : FATE_WAIT;
}

/* Texts go into one buffer; it must not move while others point into it, so its size is known before. */
static struct str
keep(struct buf *texts, struct str s)
{
	size_t at = texts->n;

	buf_add(texts, s);
	return (struct str){texts->p == NULL ? "" : texts->p + at, texts->n - at};
}

static void
decide(struct settling *s, size_t i, struct reply r, struct str mta)
{
	size_t at;

	s->fates[i] = judge(s, r);
	at = s->texts.n;
	reply_format(&s->texts, r);
	s->states[i] = (struct store_rcpt){
		.index = s->a->rcpts[i].index,
		.state = s->fates[i] == FATE_SENT   ? RCPT_SENT
	                 : s->fates[i] == FATE_WAIT ? RCPT_WAIT
	                                            : RCPT_FAILED,
		.reply = {s->texts.p + at, s->texts.n - at},
	};
	s->rcpts[i] = (struct report_rcpt){.index = s->a->rcpts[i].index, .reply = r, .mta = mta};
	s->rcpts[i].reply.text = keep(&s->texts, r.text);
}

static struct settling *
begin(struct queue *q, struct attempt *a, const struct outcome *o, bool attempted)
{
	struct settling *s = mem_zero(sizeof *s);
	size_t           room = o->mta.n + 1;
	struct str       mta;

	s->q = q;
	list_push(&q->settling, &s->link);
	s->a = a;
	s->n = a->n_rcpts;
	s->states = mem_array(s->n, sizeof *s->states);
	s->rcpts = mem_array(s->n, sizeof *s->rcpts);
	s->fates = mem_array(s->n, sizeof *s->fates);
	s->relayed_dsn = o->relayed_dsn;
	s->attempted = attempted;
	s->gated = o->scope == SCOPE_GATE;
	s->turn = q->gated.turn;
	s->now_ms = time_wall_ms();
	for (size_t i = 0; i < s->n; i++)
		room += 2 * o->replies[i].text.n + 32;
	s->texts = BUF(room);
	(void)buf_room(&s->texts, room);
	mta = keep(&s->texts, o->mta);
	for (size_t i = 0; i < s->n; i++)
		decide(s, i, o->replies[i], mta);
	s->of_lane = attempted && o->scope == SCOPE_LANE && count_fate(s, FATE_WAIT) == s->n;
	return s;
}

void
outcome_apply(struct queue *q, struct attempt *a, const struct outcome *o)
{
	struct settling *s = begin(q, a, o, true);
	struct schedule  sch = queue_schedule(q);
	int64_t          when = due(s);

	for (size_t i = 0; i < s->n; i++) {
		log_rcpt(s, i, o, when);
		count(q, s->fates[i]);
	}
	s->told_delay = count_fate(s, FATE_WAIT) > 0 &&
	                schedule_tells_delay(&sch, a->accepted_ms, s->now_ms, a->noticed);
	go_on(s);
}

void
outcome_sweep(struct queue *q, struct attempt *a, struct reply last)
{
	struct reply    *replies = mem_array(a->n_rcpts, sizeof *replies);
	struct outcome   o = {.replies = replies, .scope = SCOPE_LANE};
	struct schedule  sch = queue_schedule(q);
	struct settling *s;

	for (size_t i = 0; i < a->n_rcpts; i++)
		replies[i] = last;
	s = begin(q, a, &o, false);
	for (size_t i = 0; i < s->n; i++) {
		if (s->fates[i] != FATE_EXPIRED)
			continue;
		log_rcpt(s, i, &o, 0);
		count(q, FATE_EXPIRED);
	}
	s->told_delay = count_fate(s, FATE_WAIT) > 0 &&
	                schedule_tells_delay(&sch, a->accepted_ms, s->now_ms, a->noticed);
	go_on(s);
	free(replies);
}

void
outcomes_end(struct queue *q)
{
	struct link *k;

	reports_end(q);
	while ((k = list_first(&q->settling)) != NULL)
		destroy(CONTAINER(k, struct settling, link));
}
