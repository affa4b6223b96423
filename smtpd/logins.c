/* SPDX-License-Identifier: ISC */
#include "smtpd/logins.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { MECHS_MAX = 400 };

/* One auth role. */
struct desk {
	struct logins  *owner;
	struct channel *channel;
	unsigned        index;
};

struct logins {
	struct loop  *loop;
	/* the last one is nobody: exchanges that lost their role */
	struct desk   desks[LOGINS_MAX + 1];
	unsigned      next; /* round robin */
	uint64_t      last_id;
	struct hash   open;
	struct list   waiting;
	struct timer *timer;
	struct buf    plain, tls;
	void (*lost)(enum role_id who, unsigned index);
};

static struct login *
find(const struct logins *ls, uint64_t id)
{
	for (struct hash_node *n = hash_first(&ls->open, hash_u64(id)); n != NULL;
	     n = hash_more(n)) {
		struct login *lg = CONTAINER(n, struct login, node);

		if (lg->id == id)
			return lg;
	}
	return NULL;
}

static void
stop_waiting(struct logins *ls, struct login *lg)
{
	list_remove(&ls->waiting, &lg->link);
	lg->waiting = false;
}

static void
finish(struct logins *ls, struct login *lg)
{
	stop_waiting(ls, lg);
	hash_remove(&ls->open, &lg->node);
	lg->open = false;
}

static void
fail(struct logins *ls, struct login *lg)
{
	const struct wire_auth_done result = {.id = lg->id, .code = 454};

	finish(ls, lg);
	lg->done(lg, &result);
}

static void
set_timer(struct logins *ls)
{
	struct link *first = list_first(&ls->waiting);
	int64_t      left;

	if (first == NULL)
		return;
	left = CONTAINER(first, struct login, link)->deadline_ms - time_mono_ms();
	timer_set(ls->timer, left > 0 ? left : 0);
}

static void
on_timer(void *arg)
{
	struct logins *ls = arg;
	struct link   *first;
	int64_t        now = time_mono_ms();

	while ((first = list_first(&ls->waiting)) != NULL) {
		struct login *lg = CONTAINER(first, struct login, link);

		if (lg->deadline_ms > now)
			break;
		login_cancel(ls, lg);
		lg->done(lg, &(const struct wire_auth_done){.id = lg->id, .code = 454});
	}
	set_timer(ls);
}

static void
wait_for(struct logins *ls, struct login *lg)
{
	bool there = ls->desks[lg->at].channel != NULL;

	lg->waiting = true;
	lg->deadline_ms = time_mono_ms() + (there ? LOGIN_WAIT_MS : 0);
	if (there)
		list_push(&ls->waiting, &lg->link);
	else
		list_push_front(&ls->waiting, &lg->link);
	set_timer(ls);
}

static void
on_mechs(struct logins *ls, const struct wire_mechs *m)
{
	buf_clear(&ls->plain);
	buf_add(&ls->plain, m->plain);
	buf_clear(&ls->tls);
	buf_add(&ls->tls, m->tls);
}

/* An answer counts only from the role that was asked. */
static struct login *
expected(const struct desk *d, uint64_t id)
{
	struct login *lg = find(d->owner, id);

	return lg != NULL && lg->waiting && lg->at == d->index ? lg : NULL;
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct desk  *d = arg;
	struct login *lg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_MECHS) {
		on_mechs(d->owner, msg);
	} else if (id == WIRE_AUTH_MORE) {
		const struct wire_auth_more *m = msg;

		if ((lg = expected(d, m->id)) == NULL)
			return;
		stop_waiting(d->owner, lg);
		lg->more(lg, m->challenge);
	} else if (id == WIRE_AUTH_DONE) {
		const struct wire_auth_done *m = msg;

		if ((lg = expected(d, m->id)) == NULL)
			return;
		finish(d->owner, lg);
		lg->done(lg, m);
	}
}

static void
lose(struct desk *d, const char *why)
{
	struct logins     *ls = d->owner;
	struct hash_node  *n, *next;

	/* The supervisor tells of the death itself; this line is about who was waiting. */
	if (!list_empty(&ls->waiting))
		log_warn(ev("role-lost"), kv("peer", "auth"), kv("waiting", ls->waiting.n),
		         kv("why", why));
	channel_close(d->channel);
	d->channel = NULL;
	for (n = hash_walk(&ls->open, NULL); n != NULL; n = next) {
		struct login *lg = CONTAINER(n, struct login, node);

		next = hash_walk(&ls->open, n);
		if (lg->at != d->index)
			continue;
		/* Who waits for his client hears of it at his next step. */
		lg->at = LOGINS_MAX;
		if (lg->waiting) {
			fail(ls, lg);
			next = hash_walk(&ls->open, NULL);
		}
	}
}

static void
on_gone(void *arg, const char *why)
{
	struct desk *d = arg;

	if (d->owner->lost != NULL)
		d->owner->lost(ROLE_AUTH, d->index);
	lose(d, why);
}

struct logins *
logins_create(struct loop *l)
{
	struct logins *ls = mem_zero(sizeof *ls);

	ls->loop = l;
	list_init(&ls->waiting);
	ls->timer = timer_create_on(l, on_timer, ls);
	buf_init(&ls->plain, MECHS_MAX);
	buf_init(&ls->tls, MECHS_MAX);
	for (unsigned i = 0; i < LOGINS_MAX; i++)
		ls->desks[i] = (struct desk){.owner = ls, .index = i};
	return ls;
}

void
logins_destroy(struct logins *ls)
{
	if (ls == NULL)
		return;
	for (unsigned i = 0; i < LOGINS_MAX; i++)
		channel_close(ls->desks[i].channel);
	timer_destroy(ls->timer);
	hash_free(&ls->open);
	buf_free(&ls->plain);
	buf_free(&ls->tls);
	free(ls);
}

void
logins_attach(struct logins *ls, unsigned index, int fd)
{
	static const struct channel_hooks hooks = {on_message, on_gone};
	struct desk                      *d;

	if (index >= LOGINS_MAX) {
		if (fd >= 0)
			close(fd);
		return;
	}
	d = &ls->desks[index];
	if (d->channel != NULL)
		lose(d, "replaced");
	d->channel = channel_open(ls->loop, fd, ROLE_SMTPD, ROLE_AUTH, &hooks, d);
}

void
logins_on_lost(struct logins *ls, void (*fn)(enum role_id who, unsigned index))
{
	ls->lost = fn;
}

static bool
is_any_there(const struct logins *ls)
{
	for (unsigned i = 0; i < LOGINS_MAX; i++)
		if (ls->desks[i].channel != NULL)
			return true;
	return false;
}

struct str
logins_mechs(const struct logins *ls, bool tls)
{
	if (!is_any_there(ls))
		return STR_NONE;
	return buf_str(tls ? &ls->tls : &ls->plain);
}

void
login_start(struct logins *ls, struct login *lg, struct wire_auth_start start)
{
	assert(!lg->open);
	for (unsigned i = 0; i < LOGINS_MAX; i++) {
		ls->next = (ls->next + 1) % LOGINS_MAX;
		if (ls->desks[ls->next].channel != NULL)
			break;
	}
	lg->at = ls->next;
	lg->id = start.id = ++ls->last_id;
	lg->open = true;
	hash_put(&ls->open, &lg->node, hash_u64(lg->id));
	wait_for(ls, lg);
	if (ls->desks[lg->at].channel != NULL)
		channel_send(ls->desks[lg->at].channel, WIRE_AUTH_START, &start, -1);
}

void
login_step(struct logins *ls, struct login *lg, struct str response)
{
	const struct wire_auth_step step = {lg->id, response};

	assert(lg->open && !lg->waiting);
	wait_for(ls, lg);
	if (ls->desks[lg->at].channel != NULL)
		channel_send(ls->desks[lg->at].channel, WIRE_AUTH_STEP, &step, -1);
}

void
login_cancel(struct logins *ls, struct login *lg)
{
	const struct wire_auth_id cancel = {lg->id};

	if (!lg->open)
		return;
	finish(ls, lg);
	if (ls->desks[lg->at].channel != NULL)
		channel_send(ls->desks[lg->at].channel, WIRE_AUTH_CANCEL, &cancel, -1);
}
