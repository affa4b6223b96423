/* SPDX-License-Identifier: ISC */
/*
 * intake - mail from the smtpd roles: SPILL, PUT, DROP in; SPILLED, STORED, INTAKE out.
 *
 * An id is the sender's choice, so it is only ever looked for among those of the
 * same channel: one smtpd cannot touch another's messages.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/address.h"
#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"

enum {
	SPILLS_MAX = 4096,
	PACE_LOOK = 1024, /* `pace` follows `from`, which is the first */
};

#define OVER_RATE "over-rate"

struct source {
	struct link     link;
	struct intake  *in;
	unsigned        index;
	struct channel *channel; /* NULL: gone; the source ends with its last message */
	struct list     spills;
	size_t          n_taking;
};

/* A message that grows over WIRE_INLINE_MAX and is not put yet. */
struct spill {
	struct link       link;
	uint64_t          id;
	struct store_put *put;
};

/* A message on its way to the disk. */
struct taking {
	struct link    link;
	struct source *source;
	uint64_t       id;
};

struct intake {
	struct queue *q;
	struct list   sources, takings;
};

/* ---- parts ---- */

struct grouping {
	struct envelope    e;
	struct buf        *names; /* of each recipient's lane */
	struct store_part *parts;
	struct store_rcpt *rcpts;
	size_t             n_parts;
	uint32_t          *next, *part_of; /* chains through recipients of one part */
	uint32_t          *slots;          /* hash of lanes, 0: free, else part + 1 */
	size_t             n_slots;
};

static bool
lane_of(struct str to, struct buf *out)
{
	struct address a;

	*out = BUF(DOMAIN_MAX + 16);
	if (address_parse(to, &a) == ADDRESS_OK && domain_canonical(out, a.domain) && !out->over)
		return true;
	/* What policy let pass and yet has no domain still gets a lane, and fails there with a reply. */
	buf_clear(out);
	buf_add(out, STR("invalid"));
	return true;
}

static uint32_t
part_for(struct grouping *g, struct str lane)
{
	size_t at = (size_t)hash_str(lane) & (g->n_slots - 1);

	while (g->slots[at] != 0 && !str_eq(g->parts[g->slots[at] - 1].lane, lane))
		at = (at + 1) & (g->n_slots - 1);
	if (g->slots[at] == 0) {
		g->parts[g->n_parts].lane = lane;
		g->slots[at] = (uint32_t)++g->n_parts;
	}
	return g->slots[at] - 1;
}

/* Recipients of each part end up side by side in `rcpts`, in the envelope's order. */
static void
group(struct grouping *g)
{
	size_t n = g->e.n_rcpts, at = 0;

	for (g->n_slots = 4; g->n_slots < 2 * n; g->n_slots *= 2)
		;
	g->slots = mem_array(g->n_slots, sizeof *g->slots);
	g->names = mem_array(n, sizeof *g->names);
	g->parts = mem_array(n, sizeof *g->parts);
	g->rcpts = mem_array(n, sizeof *g->rcpts);
	g->part_of = mem_array(n, sizeof *g->part_of);
	for (size_t i = 0; i < n; i++) {
		(void)lane_of(g->e.rcpts[i].to, &g->names[i]);
		g->part_of[i] = part_for(g, buf_str(&g->names[i]));
		g->parts[g->part_of[i]].n_rcpts++;
	}
	for (size_t p = 0; p < g->n_parts; p++) {
		g->parts[p].rcpts = g->rcpts + at;
		at += g->parts[p].n_rcpts;
		g->parts[p].n_rcpts = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct store_part *p = &g->parts[g->part_of[i]];

		p->rcpts[p->n_rcpts++].index = (uint32_t)i;
	}
}

static void
grouping_free(struct grouping *g)
{
	if (g->names != NULL)
		for (size_t i = 0; i < g->e.n_rcpts; i++)
			buf_free(&g->names[i]);
	free(g->names);
	free(g->parts);
	free(g->rcpts);
	free(g->part_of);
	free(g->slots);
	envelope_free(&g->e);
}

bool
intake_put(struct queue *q, struct store_put *p, const struct intake_mail *mail,
           store_commit_fn *fn, void *arg)
{
	struct grouping g = {0};

	(void)q;
	if (p == NULL || !envelope_parse(&g.e, mail->envelope) || g.e.n_rcpts == 0)
		return false;
	group(&g);
	for (size_t i = 0; i < g.n_parts; i++) {
		g.parts[i].hold = g.e.hold;
		g.parts[i].why = g.e.hold ? g.e.hold_why : mail->why;
	}
	store_commit(p,
	             &(struct store_message){
			     .envelope = mail->envelope,
			     .size = mail->size,
			     .derived = mail->derived,
			     .due_ms = mail->due_ms,
			     .parts = g.parts,
			     .n_parts = g.n_parts,
			     .accepted_ms = g.e.accepted_ms > 0 ? g.e.accepted_ms : time_wall_ms(),
		     },
	             fn, arg);
	grouping_free(&g);
	return true;
}

/* ---- answers ---- */

static void
source_check(struct source *s)
{
	if (s->channel != NULL || s->n_taking > 0)
		return;
	list_remove(&s->in->sources, &s->link);
	free(s);
}

static void
answer(struct source *s, uint64_t id, uint16_t code, struct str text)
{
	if (s->channel != NULL)
		channel_send(s->channel, WIRE_STORED,
		             &(struct wire_stored){.id = id, .code = code, .text = text}, -1);
}

static void
say_stored(struct source *s, uint64_t id, enum store_result result)
{
	static const struct {
		uint16_t    code;
		const char *text;
	} answers[] = {
		[STORE_OK] = {250, ""},
		[STORE_STALE] = {451, "internal error"},
		[STORE_AGAIN] = {451, "the queue cannot be written now"},
		[STORE_FULL] = {452, "the queue has no room left"},
		[STORE_UNKNOWN] = {451, "writing to the queue failed"},
		[STORE_BAD] = {451, "the queue cannot take this message"},
	};

	answer(s, id, answers[result].code, str_of(answers[result].text));
}

static void
stored(void *arg, enum store_result result, const struct store_lease *leases, size_t n)
{
	struct taking *t = arg;
	struct source *s = t->source;
	struct queue  *q = s->in->q;

	s->n_taking--;
	list_remove(&s->in->takings, &t->link);
	/* The number was in use, by another mail (a clock that stepped back): this one is not here. */
	if (result == STORE_OK && leases == NULL)
		result = STORE_AGAIN;
	say_stored(s, t->id, result);
	if (result == STORE_OK)
		q->n_accepted++;
	for (size_t i = 0; i < n; i++)
		dispatch_offer(q->dispatch, &leases[i]);
	free(t);
	source_check(s);
}

/* ---- requests ---- */

static struct spill *
find_spill(const struct source *s, uint64_t id)
{
	struct spill *sp;

	LIST_EACH(&s->spills, sp, struct spill, link)
		if (sp->id == id)
			return sp;
	return NULL;
}

static void
spill(struct source *s, const struct wire_spill *m)
{
	struct queue *q = s->in->q;
	struct spill *sp;
	int           fd = -1;

	if (s->spills.n < SPILLS_MAX && q->store != NULL && find_spill(s, m->id) == NULL) {
		sp = mem_zero(sizeof *sp);
		sp->id = m->id;
		sp->put = store_put(q->store, m->id, &fd);
		if (fd >= 0) {
			list_push(&s->spills, &sp->link);
		} else {
			store_abort(sp->put);
			free(sp);
		}
	}
	channel_send(s->channel, WIRE_SPILLED, &(struct wire_spilled){.id = m->id, .ok = fd >= 0},
	             fd);
}

static void
drop(struct source *s, struct spill *sp)
{
	if (sp == NULL)
		return;
	list_remove(&s->spills, &sp->link);
	if (s->in->q->store != NULL)
		store_abort(sp->put);
	free(sp);
}

static void
held(const struct source *s, const struct wire_put *m)
{
	struct envelope e;
	char            room[ID_TEXT + 3];
	struct buf      id = BUF(sizeof room);

	(void)s;
	if (!envelope_parse(&e, m->envelope))
		return;
	if (e.hold) {
		id_format(&id, m->id);
		log_info(ev("held"), kv("id", buf_str(&id)),
		         kv("from", e.from.n > 0 ? e.from : STR("<>")), kv("why", e.hold_why));
	}
	buf_free(&id);
	envelope_free(&e);
}

static void
log_later(const struct wire_put *m, const struct envelope *e, int64_t wait_ms)
{
	char       room[ID_TEXT + 3];
	struct buf id = BUF(sizeof room);

	id_format(&id, m->id);
	log_info(ev("deferred"), kv("id", buf_str(&id)),
	         kv("from", e->from.n > 0 ? e->from : STR("<>")), kv("rcpts", e->n_rcpts),
	         kv("client", e->client), kv("user", e->login), kv("why", OVER_RATE),
	         kv_ms("next", wait_ms));
	buf_free(&id);
}

/*
 * Who sends more than he may (pace.h). False: refused, and told so. Few have limits, and the
 * line stands near the top: looking for it as text spares the others a second reading.
 */
static bool
keep_pace(struct source *s, const struct wire_put *m, struct intake_mail *mail)
{
	struct queue    *q = s->in->q;
	struct envelope  e;
	struct buf       why = BUF(600);
	struct pace_mail counted;
	int64_t          wait_ms;
	bool             ok;

	if (str_find_str(str_sub(m->envelope, 0, PACE_LOOK), STR("\npace: ")) < 0 ||
	    !envelope_parse(&e, m->envelope))
		return true;
	counted = (struct pace_mail){e.n_rcpts, time_mono_ms(), q->config->expire_ms};
	ok = e.hold || pace_take(&q->paces, e.pace, &counted, &wait_ms, &why);
	if (!ok) {
		answer(s, m->id, WIRE_STORED_QUOTA, buf_str(&why));
	} else if (!e.hold && wait_ms > 0) {
		mail->due_ms = time_wall_ms() + wait_ms;
		mail->why = STR(OVER_RATE);
		log_later(m, &e, wait_ms);
	}
	envelope_free(&e);
	buf_free(&why);
	return ok;
}

static struct store_put *
put_for(struct source *s, const struct wire_put *m)
{
	struct store     *store = s->in->q->store;
	struct spill     *sp;
	struct store_put *p;

	if (m->spilled != 0) {
		if ((sp = find_spill(s, m->id)) == NULL)
			return NULL;
		p = sp->put;
		list_remove(&s->spills, &sp->link);
		free(sp);
		return p;
	}
	p = store_put(store, m->id, NULL);
	if (p != NULL && !store_write(p, m->body)) {
		store_abort(p);
		p = NULL;
	}
	return p;
}

static void
put(struct source *s, const struct wire_put *m)
{
	struct queue      *q = s->in->q;
	struct intake_mail mail = {.envelope = m->envelope, .size = m->size};
	struct taking     *t;
	struct store_put  *p;
	bool               hold;

	if (q->store == NULL || q->closing || (p = put_for(s, m)) == NULL) {
		say_stored(s, m->id, STORE_AGAIN);
		return;
	}
	if (!keep_pace(s, m, &mail)) {
		store_abort(p);
		return;
	}
	t = mem_zero(sizeof *t);
	t->source = s;
	t->id = m->id;
	list_push(&s->in->takings, &t->link);
	/* Held mail is the rare case; asking the text first spares the others a second reading. */
	hold = str_find_str(m->envelope, STR("\nhold")) >= 0;
	s->n_taking++;
	if (!intake_put(q, p, &mail, stored, t)) {
		s->n_taking--;
		list_remove(&s->in->takings, &t->link);
		free(t);
		store_abort(p);
		say_stored(s, m->id, STORE_BAD);
		return;
	}
	if (hold)
		held(s, m);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct source *s = arg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_SPILL)
		spill(s, msg);
	else if (id == WIRE_PUT)
		put(s, msg);
	else if (id == WIRE_DROP)
		drop(s, find_spill(s, ((const struct wire_drop *)msg)->id));
}

static void
leave(struct source *s)
{
	struct spill *sp;

	LIST_EACH(&s->spills, sp, struct spill, link)
		drop(s, sp);
	channel_close(s->channel);
	s->channel = NULL;
	source_check(s);
}

static void
gone(void *arg, const char *why)
{
	struct source *s = arg;

	if (s->spills.n > 0 || s->n_taking > 0)
		log_warn(ev("peer-gone"), kv("peer", "smtpd"), kv("index", s->index),
		         kv("spills", s->spills.n), kv("why", why));
	leave(s);
}

/* Nothing before there is something to say: smtpd takes no connections until then. */
static void
say_state(struct source *s)
{
	const struct queue *q = s->in->q;
	struct wire_intake  m = {.state = INTAKE_OPEN, .why = str_of(q->state_why)};

	if (s->channel == NULL || !(q->ready || q->closing))
		return;
	if (q->closing || q->state == STORE_BROKEN)
		m.state = INTAKE_BROKEN;
	else if (q->state == STORE_NO_ROOM)
		m.state = INTAKE_FULL;
	channel_send(s->channel, WIRE_INTAKE, &m, -1);
}

void
intake_state(struct intake *in)
{
	struct source *s;

	LIST_EACH(&in->sources, s, struct source, link)
		say_state(s);
}

void
intake_peer(struct intake *in, unsigned index, int fd)
{
	static const struct channel_hooks hooks = {message, gone};
	struct source                    *s;

	LIST_EACH(&in->sources, s, struct source, link)
		if (s->index == index && s->channel != NULL)
			leave(s);
	s = mem_zero(sizeof *s);
	s->in = in;
	s->index = index;
	list_init(&s->spills);
	s->channel = channel_open(in->q->loop, fd, ROLE_QUEUE, ROLE_SMTPD, &hooks, s);
	list_push(&in->sources, &s->link);
	say_state(s);
}

bool
intake_is_busy(const struct intake *in)
{
	struct source *s;

	LIST_EACH(&in->sources, s, struct source, link)
		if (s->n_taking > 0)
			return true;
	return false;
}

struct intake *
intake_create(struct queue *q)
{
	struct intake *in = mem_zero(sizeof *in);

	in->q = q;
	list_init(&in->sources);
	list_init(&in->takings);
	return in;
}

/* The store is closed by then: nothing is being taken any more. */
void
intake_destroy(struct intake *in)
{
	struct source *s;
	struct link   *k;

	if (in == NULL)
		return;
	while ((k = list_pop(&in->takings)) != NULL)
		free(CONTAINER(k, struct taking, link));
	LIST_EACH(&in->sources, s, struct source, link) {
		s->n_taking = 0;
		if (s->channel != NULL)
			leave(s);
		else
			source_check(s);
	}
	free(in);
}
