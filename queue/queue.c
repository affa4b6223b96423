/* SPDX-License-Identifier: ISC */
#include "queue/queue.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/proc/role.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"
#include "queue/store_disk.h"

enum {
	DRAIN_MS = 20 * 1000,
	DRAIN_POLL_MS = 50,
	REOPEN_MS = 5 * 1000,
	BUFFERS_MAX = 64 * 1024 * 1024,
};

struct schedule
queue_schedule(const struct queue *q)
{
	return (struct schedule){
		.retry_ms = q->config->retry_ms,
		.n_retry = q->config->n_retry,
		.expire_ms = q->config->expire_ms,
		.delay_notice_ms = q->config->delay_notice_ms,
	};
}

/* ---- what the store says ---- */

static void
on_work(void *arg, struct str lane, int64_t due_ms)
{
	struct queue *q = arg;

	(void)due_ms;
	if (q->dispatch != NULL)
		dispatch_work(q->dispatch, lane);
}

static void
on_room(void *arg)
{
	(void)arg; /* smtpd's clients come again by themselves after their 451 */
}

static void
on_state(void *arg, enum store_state state, const char *why)
{
	struct queue *q = arg;

	q->state = state;
	snprintf(q->state_why, sizeof q->state_why, "%s", why);
	if (q->role == NULL) {
		q->ready = true;
		return;
	}
	if (state == STORE_OPEN)
		log_info(ev("intake"), kv("state", "open"));
	else
		log_error(ev("intake"), kv("state", state == STORE_BROKEN ? "broken" : "full"),
		          kv("msg", why));
	role_trouble(q->role, why);
	if (!q->ready) {
		q->ready = true;
		role_ready(q->role);
	}
	intake_state(q->intake);
}

static void
on_change(void *arg, uint64_t id, const char *what, struct str why)
{
	struct queue *q = arg;
	struct buf    text = BUF(ID_TEXT + 3);

	if (q->role == NULL)
		return;
	id_format(&text, id);
	if (strcmp(what, "deleted") == 0)
		log_info(ev("deleted"), kv("id", buf_str(&text)), kv("msg", why));
	buf_free(&text);
}

static const struct store_events events = {
	.work = on_work,
	.room = on_room,
	.state = on_state,
	.change = on_change,
};

/* ---- life of the role ---- */

static bool
start(void *self, struct role *r, struct buf *why)
{
	struct queue *q = self;

	(void)why;
	q->role = r;
	q->loop = role_loop(r);
	q->dispatch = dispatch_create(q);
	q->intake = intake_create(q);
	return true;
}

static void
set_config(void *self, struct config *c)
{
	struct queue *q = self;

	config_unref(q->config);
	q->config = c;
}

static void
spool(void *self, int dirfd)
{
	struct queue *q = self;

	if (q->dirfd >= 0)
		close(q->dirfd);
	q->dirfd = dirfd;
}

static void
peer(void *self, enum role_id who, unsigned index, int fd)
{
	struct queue *q = self;

	if (who == ROLE_SMTPD && q->intake != NULL)
		intake_peer(q->intake, index, fd);
	else if (who == ROLE_DELIVERY && q->dispatch != NULL)
		dispatch_peer(q->dispatch, index, fd);
	else
		close(fd);
}

static size_t
least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static bool
open_store(struct queue *q, bool read_only, struct buf *why)
{
	uint64_t memory = q->config != NULL ? q->config->memory : 0; /* none: offline */

	if (q->dirfd < 0) {
		buf_addz(why, "the supervisor gave no spool directory");
		return false;
	}
	q->store = store_disk_open(
		&(struct store_disk_conf){
			.loop = q->loop,
			.dirfd = fcntl(q->dirfd, F_DUPFD_CLOEXEC, 0),
			.read_only = read_only,
			.lease_ms = LEASE_MS,
			.warm_bytes = least(memory / 4, BUFFERS_MAX),
			.queue_bytes = least(memory / 4, BUFFERS_MAX),
			.index_bytes = memory / 2,
		},
		&events, q, why);
	if (q->store == NULL)
		return false;
	paces_init(&q->paces);
	pauses_init(&q->pauses, q->dirfd);
	(void)pauses_load(&q->pauses);
	return true;
}

static void
be_broken(struct queue *q, struct buf *why)
{
	char text[sizeof q->state_why];

	snprintf(text, sizeof text, "%s", buf_z(why));
	if (q->state == STORE_BROKEN && strcmp(q->state_why, text) == 0)
		return;
	log_error(ev("spool-open"), kv("msg", buf_str(why)));
	q->state = STORE_BROKEN;
	memcpy(q->state_why, text, sizeof text);
	role_trouble(q->role, text);
	if (!q->ready) {
		q->ready = true;
		role_ready(q->role);
	}
	intake_state(q->intake);
}

static void
reread_pauses(void *arg)
{
	struct queue *q = arg;

	if (!q->pauses.unknown)
		return;
	if (pauses_load(&q->pauses))
		dispatch_resumed(q->dispatch);
	else
		timer_set(q->reread, REOPEN_MS);
}

/* Without a spool there is nothing to be: the role says why and stays, refusing mail, and tries again. */
static void
try_open(void *arg)
{
	struct queue *q = arg;
	struct buf    why = BUF(512);

	if (q->draining)
		return;
	if (!open_store(q, false, &why)) {
		be_broken(q, &why);
		timer_set(q->reopen, REOPEN_MS);
	} else if (q->pauses.unknown) {
		timer_set(q->reread, REOPEN_MS);
	}
	buf_free(&why);
}

static void
go(void *self)
{
	struct queue *q = self;

	q->going = true;
	q->reopen = timer_create_on(q->loop, try_open, q);
	q->reread = timer_create_on(q->loop, reread_pauses, q);
	try_open(q);
}

/* ---- the end ---- */

static void
closed(void *arg)
{
	struct queue *q = arg;

	q->store = NULL;
	role_done(q->role);
}

static bool
is_busy(const struct queue *q)
{
	return q->store != NULL &&
	       (dispatch_active(q->dispatch) > 0 || q->settling.n > 0 || intake_is_busy(q->intake));
}

/* Deliveries on their way may finish; then the store writes what it has in memory. */
static void
drain_step(void *arg)
{
	struct queue *q = arg;

	if (is_busy(q) && time_mono_ms() < q->drain_until_ms) {
		timer_set(q->drain_end, DRAIN_POLL_MS);
		return;
	}
	q->closing = true;
	requests_end(q);
	imports_end(q);
	dispatch_destroy(q->dispatch);
	q->dispatch = NULL;
	if (q->store == NULL) {
		role_done(q->role);
	} else {
		store_stats(q->store, &q->last);
		store_close(q->store, closed, q);
	}
}

static void
drain(void *self)
{
	struct queue *q = self;

	q->draining = true;
	q->drain_until_ms = time_mono_ms() + DRAIN_MS;
	q->drain_end = timer_create_on(q->loop, drain_step, q);
	timer_set(q->drain_end, 0);
}

static void
control(void *self, struct str request, int fd)
{
	request_start(self, request, fd);
}

static void
stats(void *self, struct buf *rows)
{
	struct queue      *q = self;
	struct store_stats s;

	/* A closed store has what it had last: the supervisor's last line tells how much stays. */
	if (q->store != NULL)
		store_stats(q->store, &q->last);
	s = q->last;
	buf_addf(
		rows,
		"queue_messages %llu\nqueue_recipients %llu\nqueue_ready %llu\nqueue_deferred %llu\n",
		(unsigned long long)s.messages, (unsigned long long)s.recipients,
		(unsigned long long)s.ready, (unsigned long long)s.deferred);
	buf_addf(rows, "queue_held %llu\nqueue_active %llu\nqueue_damaged %llu\nqueue_bytes %llu\n",
	         (unsigned long long)s.held, (unsigned long long)s.active,
	         (unsigned long long)s.damaged, (unsigned long long)s.bytes);
	buf_addf(rows, "spool_free_bytes %llu\nspool_syncs %llu\nspool_batches %llu\n",
	         (unsigned long long)s.free_bytes, (unsigned long long)s.syncs,
	         (unsigned long long)s.commits);
	buf_addf(rows,
	         "accepted_messages %llu\ndelivered_recipients %llu\ndeferred_attempts %llu\n",
	         (unsigned long long)q->n_accepted, (unsigned long long)q->n_delivered,
	         (unsigned long long)q->n_deferred);
	buf_addf(rows, "bounced_recipients %llu\nexpired_recipients %llu\n",
	         (unsigned long long)q->n_bounced, (unsigned long long)q->n_expired);
	if (q->dispatch != NULL)
		dispatch_stats(q->dispatch, rows);
}

static const struct role_hooks hooks = {
	.start = start,
	.config = set_config,
	.spool = spool,
	.peer = peer,
	.go = go,
	.drain = drain,
	.control = control,
	.stats = stats,
};

static void
destroy(struct queue *q)
{
	dispatch_destroy(q->dispatch);
	intake_destroy(q->intake);
	timer_destroy(q->drain_end);
	timer_destroy(q->reopen);
	timer_destroy(q->reread);
	if (q->dirfd >= 0)
		close(q->dirfd);
	gated_free(&q->gated);
	pauses_free(&q->pauses);
	paces_free(&q->paces);
	config_unref(q->config);
	free(q);
}

int
queue_main(unsigned index)
{
	struct queue *q = mem_zero(sizeof *q);
	int           code;

	q->dirfd = -1;
	list_init(&q->requests);
	list_init(&q->imports);
	code = role_run(ROLE_QUEUE, index, &hooks, q);
	requests_end(q);
	imports_end(q);
	if (q->store == NULL)
		destroy(q);
	return code;
}

/* ---- without a daemon ---- */

static void
offline_closed(void *arg)
{
	struct queue *q = arg;

	q->store = NULL;
	loop_stop(q->loop);
}

int
queue_offline(int dirfd, const char *request, int fd)
{
	struct queue *q = mem_zero(sizeof *q);
	struct buf    why = BUF(512);
	int           code = 1;

	list_init(&q->requests);
	list_init(&q->imports);
	q->dirfd = dirfd;
	q->loop = loop_create();
	if (open_store(q, !str_starts(str_of(request), STR("queue put")), &why)) {
		request_start(q, str_of(request), fd);
		loop_run(q->loop);
		store_close(q->store, offline_closed, q);
		loop_run(q->loop);
		pauses_free(&q->pauses);
		paces_free(&q->paces);
		code = 0;
	} else {
		log_error(ev("spool-open"), kv("msg", buf_str(&why)));
		close(fd);
	}
	loop_destroy(q->loop);
	buf_free(&why);
	close(q->dirfd);
	free(q);
	return code;
}
