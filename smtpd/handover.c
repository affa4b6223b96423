/* SPDX-License-Identifier: ISC */
#include "smtpd/handover.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { WHY_MAX = 300 };

struct handover {
	struct loop    *loop;
	struct channel *queue; /* NULL: none at the moment */
	void (*lost)(enum role_id who, unsigned index);
	struct hash     jobs;
	/* all have the same patience, so the first is the next to run out */
	struct list     waiting;
	struct timer   *timer;
	uint8_t         state;
	struct buf      why;
	bool            heard; /* the queue has said its state, at least once */
	void (*on_word)(void *arg);
	void           *on_word_arg;
};

static struct handover_job *
find(const struct handover *h, uint64_t id, enum handover_ask asked)
{
	for (struct hash_node *n = hash_first(&h->jobs, hash_u64(id)); n != NULL;
	     n = hash_more(n)) {
		struct handover_job *job = CONTAINER(n, struct handover_job, node);

		if (job->id == id && job->asked == asked)
			return job;
	}
	return NULL;
}

static void
forget(struct handover *h, struct handover_job *job)
{
	hash_remove(&h->jobs, &job->node);
	list_remove(&h->waiting, &job->link);
	job->asked = ASKED_NOTHING;
}

/* The timer runs on while jobs come and go; when it fires too early it is set again. */
static void
set_timer(struct handover *h)
{
	struct link       *first = list_first(&h->waiting);
	struct handover_job *job;
	int64_t            left;

	if (first == NULL)
		return;
	job = CONTAINER(first, struct handover_job, link);
	left = job->deadline_ms - time_mono_ms();
	timer_set(h->timer, left > 0 ? left : 0);
}

static void
fail(struct handover *h, struct handover_job *job, struct reply r)
{
	enum handover_ask asked = job->asked;

	forget(h, job);
	if (asked == ASKED_STORE)
		job->stored(job, r);
	else
		job->opened(job, -1);
}

static void
on_timer(void *arg)
{
	struct handover *h = arg;
	struct link   *first;
	int64_t        now = time_mono_ms();

	while ((first = list_first(&h->waiting)) != NULL) {
		struct handover_job *job = CONTAINER(first, struct handover_job, link);

		if (job->deadline_ms > now)
			break;
		fail(h, job, REPLY(451, 4, 3, 0, "the queue does not answer: try again"));
	}
	set_timer(h);
}

/* Without a queue the request fails at once, but not from inside the call. */
static void
begin(struct handover *h, struct handover_job *job, enum handover_ask asked)
{
	bool    was_idle = list_empty(&h->waiting);
	int64_t now = time_mono_ms();

	assert(job->asked == ASKED_NOTHING);
	job->asked = asked;
	job->deadline_ms = h->queue != NULL ? now + HANDOVER_WAIT_MS : now;
	hash_put(&h->jobs, &job->node, hash_u64(job->id));
	if (h->queue != NULL)
		list_push(&h->waiting, &job->link);
	else
		list_push_front(&h->waiting, &job->link);
	if (h->queue == NULL)
		timer_set(h->timer, 0);
	else if (was_idle && !timer_is_set(h->timer))
		timer_set(h->timer, HANDOVER_WAIT_MS);
}

static void
on_opened(struct handover *h, const struct wire_spilled *m, int fd)
{
	struct handover_job *job = find(h, m->id, ASKED_OPEN);

	if (job == NULL || fd < 0 || m->ok == 0) {
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	/* Later than we waited: the queue must not keep the file until we die. */
	if (job == NULL && m->ok != 0)
		channel_send(h->queue, WIRE_DROP, &(const struct wire_drop){m->id}, -1);
	if (job == NULL)
		return;
	forget(h, job);
	job->spilled = fd >= 0;
	job->opened(job, fd);
}

static void
on_stored(struct handover *h, const struct wire_stored *m)
{
	struct handover_job *job = find(h, m->id, ASKED_STORE);
	struct reply       r = {m->code, {0}, m->text};

	if (job == NULL)
		return;
	forget(h, job);
	job->spilled = false;
	if (m->code == 250)
		r = REPLY(250, 2, 0, 0, "stored");
	else if (m->code == 452)
		r.status[0] = 4, r.status[1] = 3, r.status[2] = 1;
	else if (m->code == WIRE_STORED_QUOTA)
		r = (struct reply){452, {4, 7, 0}, m->text};
	else
		r = (struct reply){451, {4, 3, 0}, m->text};
	if (r.text.n == 0)
		r.text = STR("the queue could not store it: try again");
	job->stored(job, r);
}

static void
tell_word(struct handover *h)
{
	void (*fn)(void *arg) = h->on_word;

	h->on_word = NULL;
	if (fn != NULL)
		fn(h->on_word_arg);
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct handover *h = arg;

	if (id == WIRE_STORED) {
		on_stored(h, msg);
	} else if (id == WIRE_SPILLED) {
		on_opened(h, msg, fd);
		return;
	} else if (id == WIRE_INTAKE) {
		const struct wire_intake *m = msg;

		h->state = m->state;
		buf_clear(&h->why);
		buf_add(&h->why, str_sub(m->why, 0, WHY_MAX));
		h->heard = true;
		tell_word(h);
	}
	if (fd >= 0)
		close(fd);
}

static void
lose(struct handover *h, const char *why)
{
	struct link *first;

	/* The supervisor tells of the death itself; this line is about who was waiting. */
	if (!list_empty(&h->waiting))
		log_warn(ev("role-lost"), kv("peer", "queue"), kv("waiting", h->waiting.n),
		         kv("why", why));
	channel_close(h->queue);
	h->queue = NULL;
	h->state = INTAKE_BROKEN;
	while ((first = list_first(&h->waiting)) != NULL)
		fail(h, CONTAINER(first, struct handover_job, link),
		     REPLY(451, 4, 3, 0, "the queue is restarting: try again"));
}

static void
on_gone(void *arg, const char *why)
{
	struct handover *h = arg;

	if (h->lost != NULL)
		h->lost(ROLE_QUEUE, 0);
	lose(h, why);
}

struct handover *
handover_create(struct loop *l)
{
	struct handover *h = mem_zero(sizeof *h);

	h->loop = l;
	h->state = INTAKE_BROKEN;
	buf_init(&h->why, WHY_MAX);
	list_init(&h->waiting);
	h->timer = timer_create_on(l, on_timer, h);
	return h;
}

void
handover_destroy(struct handover *h)
{
	if (h == NULL)
		return;
	channel_close(h->queue);
	timer_destroy(h->timer);
	hash_free(&h->jobs);
	buf_free(&h->why);
	free(h);
}

void
handover_attach(struct handover *h, int fd)
{
	static const struct channel_hooks hooks = {on_message, on_gone};

	if (h->queue != NULL)
		lose(h, "replaced");
	h->queue = channel_open(h->loop, fd, ROLE_SMTPD, ROLE_QUEUE, &hooks, h);
}

void
handover_on_lost(struct handover *h, void (*fn)(enum role_id who, unsigned index))
{
	h->lost = fn;
}

void
handover_on_word(struct handover *h, void (*fn)(void *arg), void *arg)
{
	h->on_word = fn;
	h->on_word_arg = arg;
	if (h->heard)
		tell_word(h);
}

bool
handover_is_open(const struct handover *h, struct reply *refusal)
{
	if (h->queue != NULL && h->state == INTAKE_OPEN)
		return true;
	if (h->queue != NULL && h->state == INTAKE_FULL)
		*refusal = REPLY(452, 4, 3, 1, "the spool is full: try again later");
	else
		*refusal = REPLY(451, 4, 3, 0, "the queue takes no mail now: try again");
	if (h->queue != NULL && h->why.n > 0)
		refusal->text = buf_str(&h->why);
	return false;
}

size_t
handover_unsent(const struct handover *h)
{
	return h->queue != NULL ? channel_unsent(h->queue) : 0;
}

void
handover_spill(struct handover *h, struct handover_job *job, uint64_t hint_bytes)
{
	const struct wire_spill m = {job->id, hint_bytes};

	begin(h, job, ASKED_OPEN);
	if (h->queue != NULL)
		channel_send(h->queue, WIRE_SPILL, &m, -1);
}

void
handover_put(struct handover *h, struct handover_job *job, const struct handover_message *m)
{
	const struct wire_put put = {job->id, job->spilled, m->size, m->envelope, m->body};

	begin(h, job, ASKED_STORE);
	if (h->queue != NULL)
		channel_send(h->queue, WIRE_PUT, &put, -1);
}

void
handover_cancel(struct handover *h, struct handover_job *job)
{
	const struct wire_drop m = {job->id};
	bool                   put = job->asked == ASKED_STORE;

	/* A file asked for and not yet opened is dropped too: SPILLED would find nobody. */
	if (h->queue != NULL && !put && (job->spilled || job->asked == ASKED_OPEN))
		channel_send(h->queue, WIRE_DROP, &m, -1);
	if (job->asked != ASKED_NOTHING)
		forget(h, job);
	job->spilled = false;
}
