/* SPDX-License-Identifier: ISC */
#include "lib/proc/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/rejoin.h"
#include "lib/proc/role.h"
#include "lib/proc/spawn.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	WAIT_FIRST_MS = 100,
	WAIT_MOST_MS = 10 * 1000,
	HEALTHY_MS = 60 * 1000,
	REST_MS = 4000, /* for a role that is to rest to end by itself; a reload waits longer */
	TROUBLE_MAX = 4096,
	STATS_MAX = 64 * 1024,
	EXIT_NO_PROGRAM = 127,
};

/* Who talks to whom. */
static const struct {
	enum role_id a, b;
} wires[] = {
	{ROLE_SMTPD, ROLE_AUTH},    {ROLE_SMTPD, ROLE_QUEUE}, {ROLE_QUEUE, ROLE_DELIVERY},
	{ROLE_DELIVERY, ROLE_KEYD}, {ROLE_SMTPD, ROLE_KEYD},
};

struct crew {
	struct loop             *loop;
	const struct crew_hooks *hooks;
	void                    *arg;
	struct crew_plan         plan;
	struct rejoins           rejoins;
	struct member           *members;
	size_t                   n;
	unsigned                 leaving;   /* roles that are drained */
	unsigned                 resting;   /* roles that nothing needs now */
	bool                     was_ready; /* all of them, once */
	bool starting; /* the first start: wires and GO come when all processes are there */
};

static bool
in(unsigned roles, const struct member *m)
{
	return (roles >> m->id & 1) != 0;
}

/* No process of it is wanted. */
static bool
is_off(const struct member *m)
{
	return in(m->crew->leaving | m->crew->resting, m);
}

static void
tell(struct member *m, enum wire_id id)
{
	if (m->up != NULL)
		channel_send(m->up, id, &(struct wire_empty){0}, -1);
}

static void
log_member(const char *event, const struct member *m, const char *key, const char *why)
{
	log_warn(ev(event), kv("who", role_name(m->id)), kv("index", m->index), kv("pid", m->pid),
	         kv(key, why));
}

/* Joining */

static bool
are_wired(enum role_id x, enum role_id y)
{
	for (size_t i = 0; i < ARRAY_LEN(wires); i++)
		if ((wires[i].a == x && wires[i].b == y) || (wires[i].a == y && wires[i].b == x))
			return true;
	return false;
}

/* A handshake waits for its signature, so each smtpd has one keyd that it need not look for. */
static bool
is_other_keyd(const struct member *a, const struct member *b)
{
	unsigned n = a->crew->plan.count[ROLE_KEYD];

	if (a->id == ROLE_KEYD)
		return is_other_keyd(b, a);
	return a->id == ROLE_SMTPD && b->id == ROLE_KEYD && n > 0 && a->index % n != b->index;
}

static void
wire_up(struct member *a, struct member *b)
{
	int ends[2];

	if (a->up == NULL || b->up == NULL || !are_wired(a->id, b->id) || is_other_keyd(a, b))
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		/* Without each other they are of no use: this one tries again. */
		log_member("no-channel", a, "why", strerror(errno));
		kill(a->pid, SIGKILL);
		return;
	}
	channel_send(a->up, WIRE_PEER, &(struct wire_peer){(uint8_t)b->id, b->index}, ends[0]);
	channel_send(b->up, WIRE_PEER, &(struct wire_peer){(uint8_t)a->id, a->index}, ends[1]);
}

static void
begin(struct member *m)
{
	struct crew *cr = m->crew;

	for (size_t i = 0; i < cr->n; i++)
		if (&cr->members[i] != m)
			wire_up(m, &cr->members[i]);
	tell(m, WIRE_GO);
}

/* Each pair once, and GO behind all channels. */
static void
begin_all(struct crew *cr)
{
	for (size_t i = 0; i < cr->n; i++)
		for (size_t k = i + 1; k < cr->n; k++)
			wire_up(&cr->members[i], &cr->members[k]);
	for (size_t i = 0; i < cr->n; i++)
		tell(&cr->members[i], WIRE_GO);
}

/* Ending */

static void start(struct member *m);

static void
on_timer(void *arg)
{
	struct member *m = arg;

	if (m->state != MEMBER_DRAINING)
		start(m);
	else if (m->pid > 0 && !m->reaped)
		kill(m->pid, SIGKILL);
}

static void
describe_end(struct buf *out, int status)
{
	if (WIFSIGNALED(status))
		buf_addf(out, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
		         WCOREDUMP(status) ? ", core dumped" : "");
	else
		buf_addf(out, "exit code %d", WEXITSTATUS(status));
}

static void
schedule(struct member *m)
{
	if (m->ready_at_ms != 0 && time_mono_ms() - m->ready_at_ms >= HEALTHY_MS)
		m->wait_ms = 0;
	m->wait_ms = m->wait_ms == 0 ? WAIT_FIRST_MS : m->wait_ms * 2;
	if (m->wait_ms > WAIT_MOST_MS)
		m->wait_ms = WAIT_MOST_MS;
	m->restarts++;
	timer_set(m->timer, m->wait_ms);
}

/* The process is reaped and all it said is read. */
static void
leave(struct member *m)
{
	struct crew *cr = m->crew;
	bool         told = m->state == MEMBER_DRAINING;

	timer_clear(m->timer);
	m->state = MEMBER_DOWN;
	m->pid = 0;
	m->asked = false;
	buf_clear(&m->trouble);
	if (is_off(m))
		buf_clear(&m->stats);
	if (!is_off(m) && told)
		timer_set(m->timer, 0); /* it is needed again */
	else if (!is_off(m))
		schedule(m);
	m->ready_at_ms = 0;
	cr->hooks->left(cr->arg, m);
}

static void
reaped(struct member *m, int status)
{
	struct crew *cr = m->crew;
	struct buf   how = BUF(128);
	int          code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

	m->reaped = true;
	describe_end(&how, status);
	if (!is_off(m) || status != 0)
		log_member("role-died", m, "why", buf_z(&how));
	buf_free(&how);
	if (!cr->was_ready && !is_off(m) && (code == ROLE_EXIT_CONFIG || code == EXIT_NO_PROGRAM))
		cr->hooks->hopeless(cr->arg, m);
	if (m->up == NULL)
		leave(m);
}

static struct member *
find_pid(const struct crew *cr, pid_t pid)
{
	for (size_t i = 0; i < cr->n; i++)
		if (cr->members[i].pid == pid)
			return &cr->members[i];
	return NULL;
}

static void
on_child(void *arg, int signo UNUSED)
{
	struct crew *cr = arg;
	pid_t        pid;
	int          status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct member *m = find_pid(cr, pid);

		if (m != NULL)
			reaped(m, status);
		else
			cr->hooks->other(cr->arg, pid, status);
	}
}

/* Listening */

static void
became_ready(struct member *m, uint32_t generation)
{
	struct crew *cr = m->crew;

	m->generation = generation;
	if (m->state == MEMBER_STARTING) {
		m->state = MEMBER_READY;
		m->ready_at_ms = time_mono_ms();
	}
	if (!cr->was_ready && crew_is_ready(cr, ~0u, 0))
		cr->was_ready = true;
	cr->hooks->ready(cr->arg, m);
}

static void
set_trouble(struct member *m, struct str what)
{
	buf_clear(&m->trouble);
	buf_add(&m->trouble, what);
	log_member(what.n > 0 ? "trouble" : "trouble-over", m, "why", buf_z(&m->trouble));
}

/* Only of two that are meant to talk: a role must not reach others in this way. */
static void
lost(struct member *m, const struct wire_peer *to)
{
	struct crew *cr = m->crew;

	for (size_t i = 0; i < cr->n; i++)
		if (cr->members[i].id == (enum role_id)to->who &&
		    cr->members[i].index == to->index && are_wired(m->id, cr->members[i].id))
			rejoins_lost(&cr->rejoins, m, &cr->members[i]);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct member             *m = arg;
	const struct wire_ready   *ready = msg;
	const struct wire_stats   *stats = msg;
	const struct wire_trouble *trouble = msg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_LOST) {
		lost(m, msg);
	} else if (id == WIRE_READY) {
		became_ready(m, ready->generation);
	} else if (id == WIRE_STATS) {
		buf_clear(&m->stats);
		buf_add(&m->stats, stats->rows);
		m->asked = false;
		m->crew->hooks->stats(m->crew->arg, m);
	} else if (id == WIRE_TROUBLE) {
		set_trouble(m, trouble->what);
	} else {
		m->crew->hooks->told(m->crew->arg, m, id, msg);
	}
}

/* It has ended, or it talks nonsense and is ended here. */
static void
gone(void *arg, const char *why)
{
	struct member *m = arg;

	channel_close(m->up);
	m->up = NULL;
	if (m->reaped) {
		leave(m);
		return;
	}
	if (strcmp(why, "ended") != 0)
		log_member("channel-broken", m, "why", why);
	kill(m->pid, SIGKILL);
}

static const struct channel_hooks channel_hooks = {message, gone};

/* Starting */

static bool
spawn(struct member *m)
{
	struct crew *cr = m->crew;
	struct spawn s = {.program = cr->plan.program, .role = m->id, .index = m->index};
	int          ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
		return false;
	s.channel = ends[1];
	s.keep = m->id == ROLE_QUEUE ? cr->plan.keep_fd : -1;
	m->pid = spawn_role(&s);
	close(ends[1]);
	if (m->pid < 0) {
		close(ends[0]);
		m->pid = 0;
		return false;
	}
	m->up = channel_open(cr->loop, ends[0], ROLE_SUPERVISOR, m->id, &channel_hooks, m);
	return true;
}

static void
start(struct member *m)
{
	struct crew *cr = m->crew;

	m->reaped = false;
	m->generation = 0;
	if (!spawn(m)) {
		log_member("role-died", m, "why", strerror(errno));
		schedule(m);
		return;
	}
	m->state = MEMBER_STARTING;
	cr->hooks->outfit(cr->arg, m);
	if (!cr->starting)
		begin(m);
}

struct crew *
crew_start(struct loop *l, const struct crew_plan *plan, const struct crew_hooks *hooks, void *arg)
{
	struct crew *cr = mem_zero(sizeof *cr);
	size_t       total = 0;

	cr->loop = l;
	cr->plan = *plan;
	cr->resting = plan->resting;
	rejoins_init(&cr->rejoins, l, wire_up);
	cr->hooks = hooks;
	cr->arg = arg;
	for (unsigned id = 0; id < ROLE_COUNT; id++)
		total += plan->count[id];
	cr->members = mem_array(total, sizeof *cr->members);
	loop_signal(l, SIGCHLD, on_child, cr);
	for (unsigned id = 0; id < ROLE_COUNT; id++)
		for (unsigned i = 0; i < plan->count[id]; i++) {
			struct member *m = &cr->members[cr->n++];

			m->crew = cr;
			m->id = (enum role_id)id;
			m->index = i;
			m->timer = timer_create_on(l, on_timer, m);
			buf_init(&m->trouble, TROUBLE_MAX);
			buf_init(&m->stats, STATS_MAX);
		}
	cr->starting = true;
	for (size_t i = 0; i < cr->n; i++)
		if (!is_off(&cr->members[i]))
			start(&cr->members[i]);
	cr->starting = false;
	begin_all(cr);
	return cr;
}

void
crew_destroy(struct crew *cr)
{
	if (cr == NULL)
		return;
	for (size_t i = 0; i < cr->n; i++) {
		struct member *m = &cr->members[i];

		channel_close(m->up);
		timer_destroy(m->timer);
		if (m->pid > 0 && !m->reaped) {
			kill(m->pid, SIGKILL);
			(void)waitpid(m->pid, NULL, 0);
		}
		buf_free(&m->trouble);
		buf_free(&m->stats);
	}
	rejoins_free(&cr->rejoins);
	free(cr->members);
	free(cr);
}

static void
dismiss(struct member *m)
{
	timer_clear(m->timer);
	if (m->state != MEMBER_DOWN)
		m->state = MEMBER_DRAINING;
	tell(m, WIRE_DRAIN);
}

void
crew_drain(struct crew *cr, unsigned roles)
{
	cr->leaving |= roles;
	for (size_t i = 0; i < cr->n; i++)
		if (in(roles, &cr->members[i]))
			dismiss(&cr->members[i]);
}

void
crew_rest(struct crew *cr, unsigned roles)
{
	unsigned before = cr->resting;

	cr->resting = roles;
	for (size_t i = 0; i < cr->n; i++) {
		struct member *m = &cr->members[i];

		if (in(roles & ~before, m)) {
			dismiss(m);
			if (m->state == MEMBER_DRAINING)
				timer_set(m->timer, REST_MS);
		} else if (in(before & ~roles & ~cr->leaving, m) && m->state == MEMBER_DOWN) {
			start(m);
		}
	}
}

void
crew_kill(struct crew *cr, unsigned roles)
{
	for (size_t i = 0; i < cr->n; i++)
		if (in(roles, &cr->members[i]) && cr->members[i].pid > 0 && !cr->members[i].reaped)
			kill(cr->members[i].pid, SIGKILL);
}

unsigned
crew_alive(const struct crew *cr, unsigned roles)
{
	unsigned n = 0;

	for (size_t i = 0; i < cr->n; i++)
		n += in(roles, &cr->members[i]) && cr->members[i].pid > 0;
	return n;
}

bool
crew_is_ready(const struct crew *cr, unsigned roles, uint32_t generation)
{
	for (size_t i = 0; i < cr->n; i++) {
		const struct member *m = &cr->members[i];

		if (in(roles & ~cr->resting, m) &&
		    (m->state != MEMBER_READY || m->generation < generation))
			return false;
	}
	return true;
}

unsigned
crew_ask_stats(struct crew *cr)
{
	unsigned n = 0;

	for (size_t i = 0; i < cr->n; i++) {
		struct member *m = &cr->members[i];

		if (m->state != MEMBER_READY || m->up == NULL)
			continue;
		tell(m, WIRE_ASK_STATS);
		m->asked = true;
		n++;
	}
	return n;
}

struct member *
crew_next(struct crew *cr, struct member *after)
{
	size_t at = after == NULL ? 0 : (size_t)(after - cr->members) + 1;

	return at < cr->n ? &cr->members[at] : NULL;
}

bool
member_rests(const struct member *m)
{
	return in(m->crew->resting, m) && m->state == MEMBER_DOWN;
}

const char *
member_state_name(const struct member *m)
{
	static const char *const names[] = {
		[MEMBER_DOWN] = "down",
		[MEMBER_STARTING] = "starting",
		[MEMBER_READY] = "ready",
		[MEMBER_DRAINING] = "draining",
	};

	return names[m->state];
}
