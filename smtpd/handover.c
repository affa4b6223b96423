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
	struct hash     jobs;
	/* all have the same patience, so the first is the next to run out */
	struct list     waiting;
	struct timer   *timer;
	uint8_t         state;
	struct buf      why;
};

static struct handover_job *
find(const struct handover *in, uint64_t id, enum handover_ask asked)
{
	for (struct hash_node *n = hash_first(&in->jobs, hash_u64(id)); n != NULL;
	     n = hash_more(n)) {
		struct handover_job *job = CONTAINER(n, struct handover_job, node);

		if (job->id == id && job->asked == asked)
			return job;
	}
	return NULL;
}

static void
forget(struct handover *in, struct handover_job *job)
{
	hash_remove(&in->jobs, &job->node);
	list_remove(&in->waiting, &job->link);
	job->asked = ASKED_NOTHING;
}

/* The timer runs on while jobs come and go; when it fires too early it is set again. */
static void
set_timer(struct handover *in)
{
	struct link       *first = list_first(&in->waiting);
	struct handover_job *job;
	int64_t            left;

	if (first == NULL)
		return;
	job = CONTAINER(first, struct handover_job, link);
	left = job->deadline_ms - time_mono_ms();
	timer_set(in->timer, left > 0 ? left : 0);
}

static void
fail(struct handover *in, struct handover_job *job, struct reply r)
{
	enum handover_ask asked = job->asked;

	forget(in, job);
	if (asked == ASKED_STORE)
		job->stored(job, r);
	else
		job->opened(job, -1);
}

static void
on_timer(void *arg)
{
	struct handover *in = arg;
	struct link   *first;
	int64_t        now = time_mono_ms();

	while ((first = list_first(&in->waiting)) != NULL) {
		struct handover_job *job = CONTAINER(first, struct handover_job, link);

		if (job->deadline_ms > now)
			break;
		fail(in, job, REPLY(451, 4, 3, 0, "the queue does not answer: try again"));
	}
	set_timer(in);
}

/* Without a queue the request fails at once, but not from inside the call. */
static void
begin(struct handover *in, struct handover_job *job, enum handover_ask asked)
{
	bool    was_idle = list_empty(&in->waiting);
	int64_t now = time_mono_ms();

	assert(job->asked == ASKED_NOTHING);
	job->asked = asked;
	job->deadline_ms = in->queue != NULL ? now + HANDOVER_WAIT_MS : now;
	hash_put(&in->jobs, &job->node, hash_u64(job->id));
	if (in->queue != NULL)
		list_push(&in->waiting, &job->link);
	else
		list_push_front(&in->waiting, &job->link);
	if (in->queue == NULL)
		timer_set(in->timer, 0);
	else if (was_idle && !timer_is_set(in->timer))
		timer_set(in->timer, HANDOVER_WAIT_MS);
}

static void
on_opened(struct handover *in, const struct wire_spilled *m, int fd)
{
	struct handover_job *job = find(in, m->id, ASKED_OPEN);

	if (job == NULL || fd < 0 || m->ok == 0) {
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (job == NULL)
		return;
	forget(in, job);
	job->spilled = fd >= 0;
	job->opened(job, fd);
}

static void
on_stored(struct handover *in, const struct wire_stored *m)
{
	struct handover_job *job = find(in, m->id, ASKED_STORE);
	struct reply       r = {m->code, {0}, m->text};

	if (job == NULL)
		return;
	forget(in, job);
	job->spilled = false;
	if (m->code == 250)
		r = REPLY(250, 2, 0, 0, "stored");
	else if (m->code == 452)
		r.status[0] = 4, r.status[1] = 3, r.status[2] = 1;
	else
		r = (struct reply){451, {4, 3, 0}, m->text};
	if (r.text.n == 0)
		r.text = STR("the queue could not store it: try again");
	job->stored(job, r);
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct handover *in = arg;

	if (id == WIRE_STORED) {
		on_stored(in, msg);
	} else if (id == WIRE_SPILLED) {
		on_opened(in, msg, fd);
		return;
	} else if (id == WIRE_INTAKE) {
		const struct wire_intake *m = msg;

		in->state = m->state;
		buf_clear(&in->why);
		buf_add(&in->why, str_sub(m->why, 0, WHY_MAX));
	}
	if (fd >= 0)
		close(fd);
}

static void
on_gone(void *arg, const char *why)
{
	struct handover *in = arg;
	struct link   *first;

	/* The supervisor tells of the death itself; this line is about who was waiting. */
	if (!list_empty(&in->waiting))
		log_warn(ev("role-lost"), kv("peer", "queue"), kv("waiting", in->waiting.n),
		         kv("why", why));
	channel_close(in->queue);
	in->queue = NULL;
	in->state = INTAKE_BROKEN;
	while ((first = list_first(&in->waiting)) != NULL)
		fail(in, CONTAINER(first, struct handover_job, link),
		     REPLY(451, 4, 3, 0, "the queue is restarting: try again"));
}

struct handover *
handover_create(struct loop *l)
{
	struct handover *in = mem_zero(sizeof *in);

	in->loop = l;
	in->state = INTAKE_BROKEN;
	buf_init(&in->why, WHY_MAX);
	list_init(&in->waiting);
	in->timer = timer_create_on(l, on_timer, in);
	return in;
}

void
handover_destroy(struct handover *in)
{
	if (in == NULL)
		return;
	channel_close(in->queue);
	timer_destroy(in->timer);
	hash_free(&in->jobs);
	buf_free(&in->why);
	free(in);
}

void
handover_attach(struct handover *in, int fd)
{
	static const struct channel_hooks hooks = {on_message, on_gone};

	if (in->queue != NULL)
		on_gone(in, "replaced");
	in->queue = channel_open(in->loop, fd, ROLE_SMTPD, ROLE_QUEUE, &hooks, in);
}

bool
handover_is_open(const struct handover *in, struct reply *refusal)
{
	if (in->queue != NULL && in->state == INTAKE_OPEN)
		return true;
	if (in->queue != NULL && in->state == INTAKE_FULL)
		*refusal = REPLY(452, 4, 3, 1, "the spool is full: try again later");
	else
		*refusal = REPLY(451, 4, 3, 0, "the queue takes no mail now: try again");
	if (in->queue != NULL && in->why.n > 0)
		refusal->text = buf_str(&in->why);
	return false;
}

void
handover_spill(struct handover *in, struct handover_job *job, uint64_t hint_bytes)
{
	const struct wire_spill m = {job->id, hint_bytes};

	begin(in, job, ASKED_OPEN);
	if (in->queue != NULL)
		channel_send(in->queue, WIRE_SPILL, &m, -1);
}

void
handover_put(struct handover *in, struct handover_job *job, const struct handover_message *m)
{
	const struct wire_put put = {job->id, job->spilled, m->size, m->envelope, m->body};

	begin(in, job, ASKED_STORE);
	if (in->queue != NULL)
		channel_send(in->queue, WIRE_PUT, &put, -1);
}

void
handover_cancel(struct handover *in, struct handover_job *job)
{
	const struct wire_drop m = {job->id};
	bool                   put = job->asked == ASKED_STORE;

	/* A file asked for and not yet opened is dropped too: SPILLED would find nobody. */
	if (in->queue != NULL && !put && (job->spilled || job->asked == ASKED_OPEN))
		channel_send(in->queue, WIRE_DROP, &m, -1);
	if (job->asked != ASKED_NOTHING)
		forget(in, job);
	job->spilled = false;
}
