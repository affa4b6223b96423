/* SPDX-License-Identifier: ISC */
#include "lib/proc/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/checkup.h"
#include "lib/proc/config.h"
#include "lib/proc/lock.h"
#include "lib/proc/memory.h"
#include "lib/proc/notify.h"
#include "lib/proc/panel.h"
#include "lib/proc/places.h"
#include "lib/proc/report.h"
#include "lib/proc/role.h"
#include "lib/proc/sandbox.h"
#include "lib/proc/shared.h"
#include "lib/proc/supervise_inner.h"
#include "lib/proc/unread.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"
#include "lib/util/time.h"

enum {
	REPORT_MAX = 1024 * 1024,
	LOCK_WAIT_MS = 2000, /* the queue of a killed supervisor needs a moment to notice */
	LOCK_TRY_MS = 50,
	TICK_MS = 5000,     /* files that config names are looked at this often */
	STATUS_TICKS = 12,  /* and systemd hears the depth of the queue each minute */
	KEYDS_MAX = 8,      /* delivery knows no more */
	SHARED_OCTETS = 4 * 1024 * 1024, /* for each smtpd: three rows of smtpd/limits.h for each of its sessions */
	EXIT_FAILED = 1,
};

#define ROLE(name) (1u << ROLE_##name)
#define ALL_ROLES  (ROLE(SMTPD) | ROLE(AUTH) | ROLE(QUEUE) | ROLE(DELIVERY) | ROLE(KEYD))

static const struct {
	unsigned roles;
	int64_t  limit_ms;
} phases[] = {
	[RUNNING] = {0, 0},
	[STOP_OUTSIDE] = {ROLE(SMTPD) | ROLE(DELIVERY), 22 * 1000},
	[STOP_QUEUE] = {ROLE(QUEUE), 4000},
	[STOP_REST] = {ROLE(AUTH) | ROLE(KEYD), 2000},
	[STOPPED] = {0, 0},
};

/* What roles are sent */

static void
send_text(const struct supervise *s, struct member *m, const struct buf *text)
{
	if (text->over)
		log_error(ev("config-error"), kv("who", role_name(m->id)), kv("why", "too large"));
	else if (m->up != NULL)
		channel_send(m->up, WIRE_CONFIG,
		             &(struct wire_config){s->generation, buf_str(text)}, -1);
}

/* False: it has no key that this keyd has missed so far. */
static bool
render_keys(const struct supervise *s, const struct member *keyd, struct buf *text)
{
	unread_begin(s->unread, keyd->index);
	config_render_keyd(s->config, text, unread_told, s->unread);
	return unread_end(s->unread);
}

void
supervise_send_config(const struct supervise *s, struct member *m)
{
	struct buf text = SECRET(WIRE_CONFIG_MAX - 64);

	if (m->id == ROLE_KEYD)
		(void)render_keys(s, m, &text);
	else
		config_render(s->config, m->id, &text);
	send_text(s, m, &text);
	buf_free(&text);
}

void
supervise_try_keys(const struct supervise *s, struct member *keyd)
{
	struct buf text = SECRET(WIRE_CONFIG_MAX - 64);

	if (render_keys(s, keyd, &text))
		send_text(s, keyd, &text);
	buf_free(&text);
}

static void
send_copy(struct member *m, enum wire_id id, const void *msg, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy >= 0 && m->up != NULL)
		channel_send(m->up, id, msg, copy);
	else if (copy >= 0)
		close(copy);
}

void
supervise_send_sockets(const struct supervise *s, struct member *m, bool fresh_only)
{
	for (size_t i = 0; i < s->sockets.n; i++)
		if (s->sockets.v[i].fresh || !fresh_only)
			send_copy(m, WIRE_LISTENER, &(struct wire_listener){(uint32_t)i},
			          s->sockets.v[i].fd);
}

static void
send_shared(const struct supervise *s, struct member *m)
{
	if (s->shared_fd >= 0)
		send_copy(m, WIRE_SHARED,
		          &(struct wire_shared){config_processes(s->first, ROLE_SMTPD), s->shared_secret},
		          s->shared_fd);
}

static void
send_gates(const struct supervise *s, struct member *m)
{
	struct buf text = BUF(WIRE_FRAME_MAX - 64);

	if (s->checkup != NULL)
		checkup_gates(s->checkup, &text);
	if (m->up != NULL && !text.over)
		channel_send(m->up, WIRE_GATES, &(struct wire_gates){buf_str(&text)}, -1);
	buf_free(&text);
}

static void
tell_gates(void *arg)
{
	const struct supervise *s = arg;

	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m))
		if (m->id == ROLE_DELIVERY)
			send_gates(s, m);
}

static void
outfit(void *arg, struct member *m)
{
	const struct supervise *s = arg;

	supervise_send_config(s, m);
	if (m->id == ROLE_DELIVERY)
		send_gates(s, m);
	if (m->id == ROLE_SMTPD) {
		send_shared(s, m);
		supervise_send_sockets(s, m, false);
	}
	if (m->id == ROLE_QUEUE)
		send_copy(m, WIRE_SPOOL, &(struct wire_empty){0}, s->spool_fd);
}

/* Stopping */

static void
finish(struct supervise *s, int exit_code)
{
	if (s->exit_code == 0)
		s->exit_code = exit_code;
	loop_stop(s->loop);
}

static void
enter_phase(struct supervise *s, enum phase next)
{
	s->phase = next;
	log_debug(ev("stop-phase"), kv("phase", (int)next));
	if (next == STOPPED) {
		finish(s, 0);
		return;
	}
	timer_set(s->phase_timer, phases[next].limit_ms);
	crew_drain(s->crew, phases[next].roles);
}

static void
go_down(struct supervise *s)
{
	while (s->phase != RUNNING && s->phase != STOPPED &&
	       crew_alive(s->crew, phases[s->phase].roles) == 0)
		enter_phase(s, (enum phase)(s->phase + 1));
}

static void
phase_over(void *arg)
{
	struct supervise *s = arg;

	log_warn(ev("stop-killed"), kv("count", crew_alive(s->crew, phases[s->phase].roles)),
	         kv("why", "did not finish in time"));
	crew_kill(s->crew, phases[s->phase].roles);
}

void
supervise_stop(struct supervise *s)
{
	if (s->phase != RUNNING)
		return;
	notify_send(STR("STOPPING=1\nSTATUS=finishing what has begun\n"));
	log_info(ev("stopping"));
	timer_clear(s->tick);
	checkup_destroy(s->checkup);
	s->checkup = NULL;
	/* New clients are refused at once, instead of waiting in a queue that nobody serves. */
	sockets_close(&s->sockets);
	enter_phase(s, STOP_OUTSIDE);
	go_down(s);
}

static void
on_stop_signal(void *arg, int signo)
{
	struct supervise *s = arg;

	if (s->phase == RUNNING) {
		supervise_stop(s);
		return;
	}
	log_warn(ev("stop-killed"), kv("why", strsignal(signo)));
	crew_kill(s->crew, ALL_ROLES);
	finish(s, EXIT_FAILED);
}

void
supervise_tell_systemd(struct supervise *s, const char *before)
{
	struct buf lines = BUF(256);

	buf_addz(&lines, before);
	buf_addf(&lines, "STATUS=%s", report_mode(s->config));
	if (s->last_depth >= 0)
		buf_addf(&lines, ", %lld messages in the queue", (long long)s->last_depth);
	buf_addc(&lines, '\n');
	notify_send(buf_str(&lines));
	buf_free(&lines);
}

static void
on_reload_signal(void *arg, int signo UNUSED)
{
	struct supervise *s = arg;

	if (s->phase != RUNNING)
		return;
	if (s->reload_why != NULL)
		s->again = true;
	else
		reload_start(s, NULL);
}

static void
on_tick(void *arg)
{
	struct supervise *s = arg;

	timer_set(s->tick, TICK_MS);
	if (s->reload_why == NULL && s->was_ready)
		reload_refresh(s);
	if (++s->ticks % STATUS_TICKS == 0 && getenv("NOTIFY_SOCKET") != NULL)
		(void)crew_ask_stats(s->crew);
}

/* What the crew tells */

static void
all_ready(struct supervise *s)
{
	s->was_ready = true;
	log_info(ev("ready"), kv("mode", report_mode(s->config)), kv("listeners", s->sockets.n),
	         kv_ms("time", time_mono_ms() - s->started_ms));
	supervise_tell_systemd(s, "READY=1\n");
	checkup_config(s->checkup, s->config, s->generation);
	if (s->o->ready != NULL)
		s->o->ready(s->config);
	memory_settle();
}

static void
on_ready(void *arg, struct member *m UNUSED)
{
	struct supervise *s = arg;

	if (s->phase != RUNNING)
		return;
	if (!s->was_ready && crew_is_ready(s->crew, ~0u, s->generation))
		all_ready(s);
	reload_check(s);
}

static void
on_stats(void *arg, struct member *m)
{
	struct supervise *s = arg;
	int64_t           depth;

	requests_check(s);
	if (m->id != ROLE_QUEUE || !report_stat(s->crew, STR("queue_messages"), &depth))
		return;
	if (depth != s->last_depth) {
		s->last_depth = depth;
		if (s->phase == RUNNING && s->was_ready)
			supervise_tell_systemd(s, "");
	}
}

static void
on_left(void *arg, struct member *m UNUSED)
{
	struct supervise *s = arg;

	requests_check(s);
	go_down(s);
}

static void
on_hopeless(void *arg, struct member *m)
{
	struct supervise *s = arg;

	if (s->phase != RUNNING)
		return;
	log_error(ev("start-failed"), kv("who", role_name(m->id)),
	          kv("why", "it cannot run like this; its own line says why"));
	s->exit_code = ROLE_EXIT_CONFIG;
	supervise_stop(s);
}

static void
on_told(void *arg, struct member *m UNUSED, enum wire_id id, const void *msg)
{
	struct supervise *s = arg;

	if (s->checkup == NULL)
		return;
	if (id == WIRE_SUSPECT)
		checkup_suspect(s->checkup, msg);
	else if (id == WIRE_KEY_STATE)
		checkup_key(s->checkup, msg);
}

static void
on_other(void *arg, pid_t pid, int status)
{
	struct supervise *s = arg;

	checkup_ended(s->checkup, pid, status);
}

static const struct crew_hooks crew_hooks = {outfit,      on_ready, on_stats, on_left,
                                             on_hopeless, on_told,  on_other};

/* Starting */

static int
take_lock(int dirfd, struct buf *why)
{
	int64_t until = time_mono_ms() + LOCK_WAIT_MS;

	for (;;) {
		int fd = lock_take(dirfd, why);

		if (fd >= 0 || time_mono_ms() >= until)
			return fd;
		buf_clear(why);
		nanosleep(&(struct timespec){.tv_nsec = LOCK_TRY_MS * 1000000L}, NULL);
	}
}

/* The lock comes before anything else that another daemon could notice. */
static bool
open_places(struct supervise *s, struct buf *why)
{
	const struct config *c = s->config;
	struct account       self = {false, geteuid(), getegid()};
	struct sockets       none = {NULL, 0};
	int                  fd;

	if (!account_find(c->user_account, &s->account, why))
		return false;
	s->spool_fd = places_dir(c->spool, 0700, &s->account, why);
	if (s->spool_fd < 0)
		return false;
	s->lock_fd = take_lock(s->spool_fd, why);
	if (s->lock_fd < 0) {
		buf_addz(why, ": ");
		buf_add(why, c->spool);
		return false;
	}
	/* Keys are read by this process alone. */
	fd = places_dir(c->state, 0700, &self, why);
	if (fd < 0)
		return false;
	close(fd);
	if (!sockets_plan(&s->sockets, &none, c, why))
		return false;
	fd = places_control(c->control, &s->account, why);
	if (fd < 0)
		return false;
	s->panel = panel_open(s->loop, fd, s->account.gid, requests_take, s);
	return s->o->pidfile == NULL || places_pidfile(s->o->pidfile, why);
}

/* What nobody touches of it costs nothing. */
static void
make_shared(struct supervise *s)
{
	size_t n = config_processes(s->first, ROLE_SMTPD);

	s->shared_secret = random_u64();
	s->shared_fd = shared_create("postern-limits", n * SHARED_OCTETS);
	if (s->shared_fd < 0 && n > 1)
		log_warn(ev("limits-apart"), kv("why", strerror(errno)));
}

unsigned
supervise_resting(const struct config *c)
{
	return config_has_logins(c) ? 0 : ROLE(AUTH);
}

static void
start_crew(struct supervise *s)
{
	const struct config *c = s->config;
	struct crew_plan     plan = {.program = s->o->program, .keep_fd = s->lock_fd};

	plan.count[ROLE_SMTPD] = config_processes(c, ROLE_SMTPD);
	plan.count[ROLE_DELIVERY] = config_processes(c, ROLE_DELIVERY);
	plan.count[ROLE_AUTH] = config_processes(c, ROLE_AUTH);
	plan.count[ROLE_QUEUE] = 1;
	plan.resting = supervise_resting(c);
	/* A signature costs more than all else about a message: one signer would hold up two workers. */
	plan.count[ROLE_KEYD] =
		plan.count[ROLE_DELIVERY] < KEYDS_MAX ? plan.count[ROLE_DELIVERY] : KEYDS_MAX;
	s->crew = crew_start(s->loop, &plan, &crew_hooks, s);
}

static void
run(struct supervise *s)
{
	s->tick = timer_create_on(s->loop, on_tick, s);
	s->phase_timer = timer_create_on(s->loop, phase_over, s);
	s->stats_timer = timer_create_on(s->loop, requests_over, s);
	s->reload_timer = timer_create_on(s->loop, reload_over, s);
	loop_signal(s->loop, SIGTERM, on_stop_signal, s);
	loop_signal(s->loop, SIGINT, on_stop_signal, s);
	loop_signal(s->loop, SIGHUP, on_reload_signal, s);
	s->checkup = checkup_create(
		s->loop, &(struct checkup_place){s->o->program, s->first->state}, tell_gates, s);
	s->unread = unread_create(s->loop, reload_keys, s);
	make_shared(s);
	start_crew(s);
	timer_set(s->tick, TICK_MS);
	loop_run(s->loop);
	if (s->last_depth >= 0)
		log_info(ev("stop"), kv("queue", s->last_depth),
		         kv_ms("uptime", time_mono_ms() - s->started_ms));
	else
		log_info(ev("stop"), kv_ms("uptime", time_mono_ms() - s->started_ms));
}

static void
clean_up(struct supervise *s)
{
	checkup_destroy(s->checkup);
	crew_destroy(s->crew);
	unread_destroy(s->unread);
	requests_drop(s);
	if (s->panel != NULL) {
		char *control = str_dup(s->first->control);

		panel_close(s->panel);
		(void)unlink(control);
		free(control);
		if (s->o->pidfile != NULL)
			(void)unlink(s->o->pidfile);
	}
	timer_destroy(s->tick);
	timer_destroy(s->phase_timer);
	timer_destroy(s->stats_timer);
	timer_destroy(s->reload_timer);
	sockets_close(&s->sockets);
	if (s->spool_fd >= 0)
		close(s->spool_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->shared_fd >= 0)
		close(s->shared_fd);
	buf_free(&s->last_problem);
	buf_free(&s->restart_note);
	buf_free(&s->warnings);
	config_unref(s->config);
	config_unref(s->first);
	loop_destroy(s->loop);
}

int
supervise_run(const struct supervise_options *o)
{
	struct supervise s = {
		.o = o, .config = o->config, .lock_fd = -1, .spool_fd = -1, .shared_fd = -1, .last_depth = -1};
	struct buf why = BUF(4096);

	s.first = config_ref(o->config);
	config_forget_keys(s.config);
	s.generation = s.config->generation = 1;
	s.started_ms = time_mono_ms();
	s.loop = loop_create();
	list_init(&s.asks);
	buf_init(&s.last_problem, REPORT_MAX);
	buf_init(&s.restart_note, 256);
	buf_init(&s.warnings, REPORT_MAX);
	/* It reads the keys' files for keyd, and has its passwords for the others. */
	if (sandbox_hide(&why) && open_places(&s, &why)) {
		run(&s);
	} else {
		log_error(ev("start-failed"), kv("why", buf_str(&why)));
		s.exit_code = EXIT_FAILED;
	}
	buf_free(&why);
	clean_up(&s);
	return s.exit_code;
}
