/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake/fake_inner.h"

struct channel {
	struct link                 link;
	struct loop                *loop;
	enum role_id                me, peer;
	const struct channel_hooks *hooks;
	void                       *arg;
	unsigned                    number;
	size_t                      unsent;
	uint64_t                    last_send; /* 0: none yet */
	bool                        broken;
	struct list                 inbox; /* frames for us */
	struct deferred             turn;
	bool                        busy, closed;
};

/* On its way in one direction or the other. */
struct frame {
	struct link  link;
	enum wire_id id;
	enum role_id to;
	unsigned     channel;
	struct buf   payload;
	int          fd;
	_Alignas(max_align_t) char msg[WIRE_STRUCT_MAX];
};

static struct frame *
frame_create(enum wire_id id, const void *msg, int fd)
{
	struct frame *f = mem_zero(sizeof *f);

	f->id = id;
	f->fd = fd;
	buf_init(&f->payload, wire_limit(id));
	wire_encode(&f->payload, id, msg);
	assert(!f->payload.over);
	if (!wire_decode(id, buf_str(&f->payload), f->msg))
		abort();
	return f;
}

static void
frame_destroy(struct frame *f)
{
	if (f->fd >= 0)
		close(f->fd);
	buf_free(&f->payload);
	free(f);
}

static void
clear(struct list *frames)
{
	struct link *k;

	while ((k = list_pop(frames)) != NULL)
		frame_destroy(CONTAINER(k, struct frame, link));
}

static void
turn(void *arg)
{
	struct channel *c = arg;
	struct link    *k;

	c->busy = true;
	while (!c->closed && (k = list_pop(&c->inbox)) != NULL) {
		struct frame *f = CONTAINER(k, struct frame, link);
		int           fd = f->fd;

		f->fd = -1;
		c->hooks->message(c->arg, f->id, f->msg, fd);
		frame_destroy(f);
	}
	if (c->broken && !c->closed)
		c->hooks->gone(c->arg, "the other side has ended");
	c->busy = false;
	if (c->closed)
		free(c);
}

struct channel *
channel_open(struct loop *l, int fd, enum role_id me, enum role_id peer,
             const struct channel_hooks *hooks, void *arg)
{
	struct channel *c = mem_zero(sizeof *c);

	if (fd >= 0)
		close(fd);
	c->loop = l;
	c->me = me;
	c->peer = peer;
	c->hooks = hooks;
	c->arg = arg;
	c->number = l->channels_made++;
	c->turn = (struct deferred){.fn = turn, .arg = c};
	list_init(&c->inbox);
	list_push(&l->channels, &c->link);
	return c;
}

void
channel_close(struct channel *c)
{
	if (c == NULL)
		return;
	list_remove(&c->loop->channels, &c->link);
	loop_defer_cancel(c->loop, &c->turn);
	clear(&c->inbox);
	c->closed = true;
	if (!c->busy)
		free(c);
}

void
channel_send(struct channel *c, enum wire_id id, const void *msg, int fd)
{
	struct frame *f;

	assert(wire_may_pass(id, c->me, c->peer));
	assert(fd < 0 || wire_has_fd(id));
	if (c->broken) {
		if (fd >= 0)
			close(fd);
		return;
	}
	f = frame_create(id, msg, fd);
	f->to = c->peer;
	f->channel = c->number;
	c->last_send = ++c->loop->sends;
	list_push(&c->loop->frames, &f->link);
}

size_t
channel_unsent(const struct channel *c)
{
	return c->unsent;
}

/* What was sent is with the other roles already. */
bool
channel_finish(struct channel *c, int64_t ms UNUSED)
{
	return !c->broken;
}

/* The other roles' side. */

const struct fake_frame *
fake_frame(struct loop *l)
{
	struct link  *first = list_first(&l->frames);
	struct frame *f;

	if (first == NULL)
		return NULL;
	f = CONTAINER(first, struct frame, link);
	l->shown = (struct fake_frame){.id = f->id, .msg = f->msg, .fd = f->fd, .to = f->to, .channel = f->channel};
	return &l->shown;
}

void
fake_frame_drop(struct loop *l)
{
	frame_destroy(CONTAINER(list_pop(&l->frames), struct frame, link));
}

void
fake_frames_destroy(struct loop *l)
{
	clear(&l->frames);
	assert(list_empty(&l->channels)); /* the code under test must close its channels */
}

static struct channel *
find(struct loop *l, enum wire_id id)
{
	struct channel *c, *best = NULL;

	LIST_EACH(&l->channels, c, struct channel, link)
		if (!c->broken && wire_may_pass(id, c->peer, c->me) &&
		    (best == NULL || c->last_send > best->last_send))
			best = c;
	return best;
}

static bool
hand_over(struct channel *c, enum wire_id id, const void *msg, int fd)
{
	if (c == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	list_push(&c->inbox, &frame_create(id, msg, fd)->link);
	loop_defer(c->loop, &c->turn);
	return true;
}

bool
fake_message(struct loop *l, enum wire_id id, const void *msg, int fd)
{
	return hand_over(find(l, id), id, msg, fd);
}

int
fake_channel(const struct loop *l, enum role_id peer, size_t nth)
{
	struct channel *c;

	LIST_EACH(&l->channels, c, struct channel, link)
		if (c->peer == peer && !c->broken && nth-- == 0)
			return (int)c->number;
	return -1;
}

bool
fake_message_on(struct loop *l, unsigned channel, enum wire_id id, const void *msg, int fd)
{
	struct channel *c, *found = NULL;

	LIST_EACH(&l->channels, c, struct channel, link)
		if (c->number == channel && !c->broken && wire_may_pass(id, c->peer, c->me))
			found = c;
	return hand_over(found, id, msg, fd);
}

static struct channel *
find_peer(struct loop *l, enum role_id peer)
{
	struct channel *c;

	LIST_EACH(&l->channels, c, struct channel, link)
		if (c->peer == peer && !c->broken)
			return c;
	return NULL;
}

bool
fake_gone(struct loop *l, enum role_id peer)
{
	struct channel *c = find_peer(l, peer);

	if (c == NULL)
		return false;
	c->broken = true;
	loop_defer(l, &c->turn);
	return true;
}

void
fake_clog(struct loop *l, enum role_id peer, size_t unsent)
{
	struct channel *c = find_peer(l, peer);

	assert(c != NULL);
	c->unsent = unsent;
}
