/* SPDX-License-Identifier: ISC */
#include "lib/proc/role.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/memory.h"
#include "lib/proc/sandbox.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum {
	SUPERVISOR_FD = 3,
	STATS_MAX = 32 * 1024,
	LAST_WORDS_MS = 1000,
	EXIT_BROKEN = 70, /* the supervisor tries again */
	EXIT_USAGE = 2,
};

struct role {
	enum role_id             id;
	unsigned                 index;
	const struct role_hooks *hooks;
	void                    *self;
	struct loop             *loop;
	struct channel          *up; /* to the supervisor; NULL when it is gone */
	struct buf               trouble;
	struct deferred          settle; /* when what made it ready has been freed, too */
	struct sandbox           sandbox;
	uint32_t                 generation;
	struct deferred          log_turn;
	int                      memory_fd; /* opened while it can be */
	int                      exit_code;
	bool                     configured, inside, going, ready, draining, done;
};

/* Reached from here to the end: what the role frees after role_run() still needs loop and channel. */
static struct role *running;

static void
end(struct role *r, int code)
{
	if (code != 0 && r->exit_code == 0)
		r->exit_code = code;
	r->done = true;
	loop_stop(r->loop);
}

static void
fail(struct role *r, struct buf *why, int code)
{
	log_error(ev("role-failed"), kv("index", r->index), kv("why", buf_str(why)));
	buf_free(why);
	end(r, code);
}

static void
say_ready(struct role *r)
{
	if (r->up != NULL)
		channel_send(r->up, WIRE_READY, &(struct wire_ready){.generation = r->generation},
		             -1);
	loop_defer(r->loop, &r->settle);
}

static void
settle(void *arg UNUSED)
{
	memory_settle();
}

/* The directory is the last thing that is opened for the role from outside; -1 if it has none. */
static void
enter(struct role *r, int folder)
{
	struct buf why = BUF(1024);

	if (r->inside || r->done)
		return;
	r->inside = true;
	r->sandbox.folder = folder;
	if (!sandbox_enter(&r->sandbox, &why))
		fail(r, &why, ROLE_EXIT_CONFIG);
	buf_free(&why);
}

/* The first configuration has the account's name: from then on the role is inside. */
static void
first_config(struct role *r, const struct config *c)
{
	r->configured = true;
	r->sandbox.account = (struct str){str_dup(c->user_account), c->user_account.n};
	if (r->hooks->spool == NULL)
		enter(r, -1);
}

static void
take_config(struct role *r, const struct wire_config *m)
{
	struct config *c = config_read(m->text, m->generation);
	struct buf     why = BUF(1024);

	if (c == NULL) {
		buf_addz(&why, "the supervisor's configuration cannot be read");
		fail(r, &why, EXIT_BROKEN);
		return;
	}
	r->generation = m->generation;
	log_setup(role_name(r->id), c->log_json ? LOG_JSON : LOG_LOGFMT, c->debug);
	config_ref(c);
	if (r->hooks->config != NULL)
		r->hooks->config(r->self, c);
	else
		config_unref(c);
	if (!r->configured && !r->done)
		first_config(r, c);
	config_unref(c);
	if (r->ready)
		say_ready(r);
}

static void
send_stats(struct role *r)
{
	struct buf rows = BUF(STATS_MAX);
	uint64_t   kib;

	if (r->up == NULL)
		return;
	if (memory_pss_kib(r->memory_fd, &kib))
		buf_addf(&rows, "pss_kib %u\n", (unsigned)kib);
	buf_addz(&rows, "sandbox ");
	buf_add(&rows, buf_str(&r->sandbox.in_force));
	buf_addc(&rows, '\n');
	if (r->hooks->stats != NULL)
		r->hooks->stats(r->self, &rows);
	channel_send(r->up, WIRE_STATS, &(struct wire_stats){.rows = buf_str(&rows)}, -1);
	buf_free(&rows);
}

static void
drain(struct role *r)
{
	if (r->draining)
		return;
	r->draining = true;
	if (r->hooks->drain != NULL && r->going)
		r->hooks->drain(r->self);
	else
		role_done(r);
}

static void
go(struct role *r)
{
	if (!r->configured || r->going)
		return;
	enter(r, -1); /* no directory came */
	if (r->done)
		return;
	r->going = true;
	if (r->hooks->go != NULL)
		r->hooks->go(r->self);
	else
		role_ready(r);
}

static void
take_spool(struct role *r, int fd)
{
	if (r->configured)
		enter(r, fd);
	r->hooks->spool(r->self, fd);
}

/* Messages with a descriptor. One that nobody takes is closed. */
static void
take_fd(struct role *r, enum wire_id id, const void *msg, int fd)
{
	const struct wire_listener *listener = msg;
	const struct wire_control  *control = msg;
	const struct wire_peer     *peer = msg;
	const struct role_hooks    *h = r->hooks;

	if (fd < 0)
		log_error(ev("descriptor-lost"), kv("message", wire_name(id)));
	else if (id == WIRE_LISTENER && h->listener != NULL)
		h->listener(r->self, listener->index, fd);
	else if (id == WIRE_SPOOL && h->spool != NULL)
		take_spool(r, fd);
	else if (id == WIRE_SHARED && h->shared != NULL)
		h->shared(r->self, msg, fd);
	else if (id == WIRE_PEER && h->peer != NULL && peer->who < ROLE_COUNT)
		h->peer(r->self, (enum role_id)peer->who, peer->index, fd);
	else if (id == WIRE_CONTROL && h->control != NULL)
		h->control(r->self, control->request, fd);
	else
		close(fd);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct role *r = arg;

	if (r->done) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (wire_has_fd(id))
		take_fd(r, id, msg, fd);
	else if (id == WIRE_CONFIG)
		take_config(r, msg);
	else if (id == WIRE_GO)
		go(r);
	else if (id == WIRE_DRAIN)
		drain(r);
	else if (id == WIRE_ASK_STATS)
		send_stats(r);
	else if (r->hooks->told != NULL && (id == WIRE_GATES || id == WIRE_EXAMINE))
		r->hooks->told(r->self, id, msg);
}

static void
gone(void *arg, const char *why)
{
	struct role *r = arg;

	log_debug(ev("supervisor-gone"), kv("why", why));
	channel_close(r->up);
	r->up = NULL;
	end(r, 0);
}

static const struct channel_hooks channel_hooks = {message, gone};

/* The supervisor alone decides when roles end; Ctrl-C reaches all processes of the terminal. */
static void
ignore_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
}

static void
flush_log(void *arg)
{
	(void)arg;
	log_send();
}

/* The lines of one turn of the loop go out together. */
static void
log_soon(void *arg)
{
	struct role *r = arg;

	loop_defer(r->loop, &r->log_turn);
}

static void
set_name(enum role_id id)
{
	struct buf name = BUF(64);

	buf_addf(&name, "postern-%s", role_name(id));
	(void)prctl(PR_SET_NAME, buf_z(&name), 0, 0, 0);
	buf_free(&name);
}

/*
 * Whoever wakes a role goes on with what it does, where it would otherwise be put aside at
 * once: several frames, replies and messages are then there to be dealt with together. The queue alone does
 * not stand behind others: all of them wait for it. A kernel that refuses serves as well, a little slower.
 */
static void
prefer_batches(enum role_id id)
{
	if (id != ROLE_QUEUE)
		(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
}

static bool
start(struct role *r)
{
	struct buf why = BUF(4096);

	if (r->hooks->start == NULL || r->hooks->start(r->self, r, &why)) {
		buf_free(&why);
		return true;
	}
	fail(r, &why, ROLE_EXIT_CONFIG);
	return false;
}

int
role_run(enum role_id id, unsigned index, const struct role_hooks *hooks, void *self)
{
	struct role *r = mem_zero(sizeof *r);
	int          type;
	socklen_t    n = sizeof type;

	running = r;
	if (getsockopt(SUPERVISOR_FD, SOL_SOCKET, SO_TYPE, &type, &n) != 0) {
		fputs("postern: --role is for the daemon's own use: start it with `postern run`\n",
		      stderr);
		return EXIT_USAGE;
	}
	(void)fcntl(SUPERVISOR_FD, F_SETFD, FD_CLOEXEC);
	ignore_signals();
	prefer_batches(id);
	set_name(id);
	log_setup(role_name(id), LOG_LOGFMT, false);
	r->id = id;
	r->index = index;
	r->hooks = hooks;
	r->self = self;
	buf_init(&r->trouble, 1024);
	r->settle.fn = settle;
	r->sandbox = (struct sandbox){.role = id, .folder = -1};
	buf_init(&r->sandbox.in_force, 256);
	r->memory_fd = memory_open();
	r->loop = loop_create();
	r->log_turn = (struct deferred){.fn = flush_log};
	log_gather(log_soon, r);
	r->up = channel_open(r->loop, SUPERVISOR_FD, id, ROLE_SUPERVISOR, &channel_hooks, r);
	if (start(r))
		loop_run(r->loop);
	if (r->up != NULL)
		(void)channel_finish(r->up, LAST_WORDS_MS);
	return r->exit_code;
}

struct loop *
role_loop(struct role *r)
{
	return r->loop;
}

unsigned
role_index(const struct role *r)
{
	return r->index;
}

void
role_ready(struct role *r)
{
	if (r->ready)
		return;
	r->ready = true;
	say_ready(r);
}

void
role_done(struct role *r)
{
	if (r->done)
		return;
	if (r->draining)
		send_stats(r);
	end(r, 0);
}

void
role_tell(struct role *r, enum wire_id id, const void *msg)
{
	if (r->up != NULL)
		channel_send(r->up, id, msg, -1);
}

void
role_in_force(struct role *r, const char *word)
{
	if (r->sandbox.in_force.n > 0)
		buf_addc(&r->sandbox.in_force, ',');
	buf_addz(&r->sandbox.in_force, word);
}

void
role_lost(enum role_id who, unsigned index)
{
	if (running != NULL && running->up != NULL && !running->done)
		channel_send(running->up, WIRE_LOST,
		             &(struct wire_peer){.who = (uint8_t)who, .index = index}, -1);
}

void
role_trouble(struct role *r, const char *what)
{
	struct str s = str_sub(str_of(what), 0, r->trouble.limit);

	if (str_eq(s, buf_str(&r->trouble)))
		return;
	buf_clear(&r->trouble);
	buf_add(&r->trouble, s);
	if (r->up != NULL)
		channel_send(r->up, WIRE_TROUBLE, &(struct wire_trouble){.what = s}, -1);
}
