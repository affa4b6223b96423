/* SPDX-License-Identifier: ISC */
#include "lib/proc/rejoin.h"

#include <stdlib.h>

#include "lib/net/loop.h"
#include "lib/proc/crew.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { WAIT_FIRST_MS = 500, WAIT_MOST_MS = 10 * 1000, HEALTHY_MS = 60 * 1000 };

struct pair {
	struct link     link;
	struct rejoins *owner;
	struct member  *a, *b;
	pid_t           pid_a, pid_b; /* when it was told */
	struct timer   *timer;
	int64_t         wait_ms, joined_ms;
};

void
rejoins_init(struct rejoins *js, struct loop *l, void (*join)(struct member *a, struct member *b))
{
	*js = (struct rejoins){.loop = l, .join = join};
	list_init(&js->pairs);
}

void
rejoins_free(struct rejoins *js)
{
	struct link *k;

	while ((k = list_first(&js->pairs)) != NULL) {
		struct pair *p = CONTAINER(k, struct pair, link);

		list_remove(&js->pairs, k);
		timer_destroy(p->timer);
		free(p);
	}
}

/* The same process as then, and nobody has told it to go. */
static bool
lives(const struct member *m, pid_t pid)
{
	return m->pid == pid && pid > 0 && !m->reaped && m->up != NULL &&
	       m->state != MEMBER_DRAINING;
}

static void
on_time(void *arg)
{
	struct pair *p = arg;

	if (!lives(p->a, p->pid_a) || !lives(p->b, p->pid_b))
		return;
	log_warn(ev("channel-renewed"), kv("who", role_name(p->a->id)), kv("index", p->a->index),
	         kv("peer", role_name(p->b->id)), kv("peer_index", p->b->index));
	p->joined_ms = time_mono_ms();
	p->owner->join(p->a, p->b);
}

static struct pair *
find_or_make(struct rejoins *js, struct member *a, struct member *b)
{
	struct pair *p;

	LIST_EACH(&js->pairs, p, struct pair, link)
		if ((p->a == a && p->b == b) || (p->a == b && p->b == a))
			return p;
	p = mem_zero(sizeof *p);
	p->owner = js;
	p->a = a;
	p->b = b;
	p->timer = timer_create_on(js->loop, on_time, p);
	list_push(&js->pairs, &p->link);
	return p;
}

void
rejoins_lost(struct rejoins *js, struct member *a, struct member *b)
{
	struct pair *p = find_or_make(js, a, b);

	if (timer_is_set(p->timer))
		return;
	if (p->joined_ms != 0 && time_mono_ms() - p->joined_ms >= HEALTHY_MS)
		p->wait_ms = 0;
	p->wait_ms = p->wait_ms == 0 ? WAIT_FIRST_MS : p->wait_ms * 2;
	if (p->wait_ms > WAIT_MOST_MS)
		p->wait_ms = WAIT_MOST_MS;
	p->pid_a = p->a->pid;
	p->pid_b = p->b->pid;
	timer_set(p->timer, p->wait_ms);
}
