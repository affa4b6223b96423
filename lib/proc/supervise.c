/* SPDX-License-Identifier: ISC */
#include "lib/proc/supervise.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/proc/crew.h"
#include "lib/proc/lock.h"
#include "lib/proc/notify.h"
#include "lib/proc/panel.h"
#include "lib/proc/places.h"
#include "lib/proc/report.h"
#include "lib/proc/role.h"
#include "lib/proc/sockets.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	REPORT_MAX = 1024 * 1024,
	ANSWER_MAX = 2 * 1024 * 1024,
	LOCK_WAIT_MS = 2000,      /* the queue of a killed supervisor needs a moment to notice */
	LOCK_TRY_MS = 50,
	TICK_MS = 5000,           /* files that config names are looked at this often */
	STATUS_TICKS = 12,        /* and systemd hears the depth of the queue each minute */
	STATS_MS = 2000,
	RELOAD_MS = 5000,
	PROCESSES_MAX = 63,       /* ids of messages have six bits for their maker, and the queue is one */
	EXIT_FAILED = 1,
};

#define ROLE(name) (1u << ROLE_##name)
#define ALL_ROLES  (ROLE(SMTPD) | ROLE(AUTH) | ROLE(QUEUE) | ROLE(DELIVERY) | ROLE(KEYD))

/*
 * The way down. First those that talk to the outside finish what they have begun,
 * then the queue writes what they have left it, then the rest. Below 30 s together.
 */
enum phase { RUNNING, STOP_OUTSIDE, STOP_QUEUE, STOP_REST, STOPPED };

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

struct ask { /* a command that waits for statistics */
	struct link    link;
	struct caller *caller;
	void (*answer)(const struct report *r, struct buf *out);
};

struct supervise {
	const struct supervise_options *o;
	struct loop                    *loop;
	struct config                  *config;
	struct config                  *first; /* what needs a restart is in force as it is here */
	struct account                  account;
	struct sockets                  sockets;
	struct crew                    *crew;
	struct panel                   *panel;
	struct timer                   *tick, *phase_timer, *stats_timer, *reload_timer;
	struct list                     asks;
	struct caller                  *reloader; /* waits until the roles have the new configuration */
	struct buf                      restart_note;
	const char                     *reload_why; /* NULL: no reload is under way */
	int64_t                         started_ms, reload_ms;
	struct buf                      last_problem; /* of changed files: reported once */
	int64_t                         last_depth;
	unsigned                        ticks;
	uint32_t                        generation;
	enum phase                      phase;
	int                             lock_fd, spool_fd;
	int                             exit_code;
	bool                            was_ready;
};

/* What roles are sent */

static void
send_config(const struct supervise *s, struct member *m)
{
	struct buf text = BUF(WIRE_CONFIG_MAX - 64);

	config_render(s->config, m->id, &text);
	if (text.over)
		log_error(ev("config-error"), kv("who", role_name(m->id)), kv("why", "too large"));
	else if (m->up != NULL)
		channel_send(m->up, WIRE_CONFIG, &(struct wire_config){s->generation, buf_str(&text)}, -1);
	mem_wipe(text.p, text.cap);
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

static void
send_sockets(const struct supervise *s, struct member *m, bool fresh_only)
{
	for (size_t i = 0; i < s->sockets.n; i++)
		if (s->sockets.v[i].fresh || !fresh_only)
			send_copy(m, WIRE_LISTENER, &(struct wire_listener){(uint32_t)i}, s->sockets.v[i].fd);
}

static void
outfit(void *arg, struct member *m)
{
	const struct supervise *s = arg;

	send_config(s, m);
	if (m->id == ROLE_SMTPD)
		send_sockets(s, m, false);
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
	while (s->phase != RUNNING && s->phase != STOPPED && crew_alive(s->crew, phases[s->phase].roles) == 0)
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

static void
stop(struct supervise *s)
{
	if (s->phase != RUNNING)
		return;
	notify_send(STR("STOPPING=1\nSTATUS=finishing what has begun\n"));
	log_info(ev("stopping"));
	timer_clear(s->tick);
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
		stop(s);
		return;
	}
	log_warn(ev("stop-killed"), kv("why", strsignal(signo)));
	crew_kill(s->crew, ALL_ROLES);
	finish(s, EXIT_FAILED);
}

/* Answers that wait for statistics */

static struct report
facts(const struct supervise *s)
{
	return (struct report){s->config, &s->sockets, s->crew, s->o->version, s->o->config_file,
	                       time_mono_ms() - s->started_ms, s->generation, s->phase != RUNNING};
}

static void
answer_asks(struct supervise *s)
{
	struct report r = facts(s);
	struct link  *k;

	timer_clear(s->stats_timer);
	while ((k = list_pop(&s->asks)) != NULL) {
		struct ask *a = CONTAINER(k, struct ask, link);
		struct buf  out = BUF(ANSWER_MAX);

		a->answer(&r, &out);
		caller_answer(a->caller, buf_str(&out));
		buf_free(&out);
		free(a);
	}
}

static void
stats_over(void *arg)
{
	answer_asks(arg);
}

static void
answer_if_told(struct supervise *s)
{
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m))
		if (m->asked)
			return;
	answer_asks(s);
}

static void
ask_stats(struct supervise *s, struct caller *k, void (*answer)(const struct report *, struct buf *))
{
	struct ask *a = mem_zero(sizeof *a);

	a->caller = k;
	a->answer = answer;
	list_push(&s->asks, &a->link);
	if (crew_ask_stats(s->crew) == 0)
		answer_asks(s);
	else if (!timer_is_set(s->stats_timer))
		timer_set(s->stats_timer, STATS_MS);
}

static void
tell_systemd(struct supervise *s, const char *before)
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

/* Reload */

static void
simple_answer(struct caller *k, int code, struct str text)
{
	struct buf out = BUF(8192);

	control_end(&out, code, text);
	caller_answer(k, buf_str(&out));
	buf_free(&out);
}

/* The report as raw octets for the person who asked, and the end. */
static void
answer_report(struct caller *k, struct str report, int code, struct str text)
{
	struct buf out = BUF(ANSWER_MAX);

	if (report.n > 0)
		buf_addf(&out, "raw %zu\n", report.n);
	buf_add(&out, report);
	control_end(&out, code, text);
	caller_answer(k, buf_str(&out));
	buf_free(&out);
}

/* One line of log for each error; what is drawn below it is for people. */
static void
log_problems(struct str report)
{
	struct str line, rest = report;
	bool       any = false;

	while (str_cut(&rest, '\n', &line)) {
		if (str_find_str(line, STR(": error: ")) < 0)
			continue;
		log_error(ev("config-error"), kv("why", line));
		any = true;
	}
	if (!any)
		log_error(ev("config-error"), kv("why", str_trim(report)));
}

static void
note(struct buf *list, bool changed, const char *name)
{
	if (changed)
		buf_addf(list, "%s%s", list->n > 0 ? ", " : "", name);
}

/* Which settings of `next` are not in force before a restart. */
static void
note_restarts(struct supervise *s, const struct config *next)
{
	const struct config *now = s->first;
	struct buf          *b = &s->restart_note;

	buf_clear(b);
	note(b, !str_eq(now->spool, next->spool), "spool");
	note(b, !str_eq(now->state, next->state), "state");
	note(b, !str_eq(now->control, next->control), "control");
	note(b, !str_eq(now->user_account, next->user_account), "user-account");
	note(b,
	     now->smtpd_count != next->smtpd_count || now->delivery_count != next->delivery_count ||
	             now->auth_count != next->auth_count,
	     "process counts");
}

/* Put `next` in force; its reference becomes ours. False: nothing has changed, `why` has a line more. */
static bool
adopt(struct supervise *s, struct config *next, const char *reason, struct buf *why)
{
	struct sockets sockets;

	if (!sockets_plan(&sockets, &s->sockets, next, why)) {
		buf_addc(why, '\n');
		config_unref(next);
		return false;
	}
	sockets_swap(&s->sockets, &sockets);
	note_restarts(s, next);
	config_unref(s->config);
	s->config = next;
	next->generation = ++s->generation;
	log_setup("supervisor", next->log_json ? LOG_JSON : LOG_LOGFMT, next->debug);
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m)) {
		send_config(s, m);
		if (m->id == ROLE_SMTPD)
			send_sockets(s, m, true);
	}
	s->reload_why = reason;
	s->reload_ms = time_mono_ms();
	timer_set(s->reload_timer, RELOAD_MS);
	return true;
}

static void
reload_done(struct supervise *s, int code)
{
	struct caller *k = s->reloader;
	struct buf     text = BUF(1024);

	timer_clear(s->reload_timer);
	log_info(ev("reload"), kv("why", s->reload_why), kv("generation", s->generation),
	         kv_ms("time", time_mono_ms() - s->reload_ms),
	         kv("restart_for", buf_str(&s->restart_note)));
	tell_systemd(s, "READY=1\n");
	s->reload_why = NULL;
	s->reloader = NULL;
	if (k == NULL)
		return;
	buf_addz(&text, code == 0 ? "the new configuration is in force"
	                          : "the new configuration was sent; not all roles have taken it yet");
	if (s->restart_note.n > 0)
		buf_addf(&text, "; only after a restart: %s", buf_z(&s->restart_note));
	simple_answer(k, code, buf_str(&text));
	buf_free(&text);
}

static void
reload_over(void *arg)
{
	struct supervise *s = arg;

	log_warn(ev("reload-slow"), kv("why", "not all roles have taken the new configuration"));
	reload_done(s, 75);
}

/* `k` is NULL for a signal. */
static void
reload(struct supervise *s, struct caller *k)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *next;

	notify_reloading();
	next = config_load(s->o->config_file, &report, NULL, NULL);
	if (next != NULL && adopt(s, next, k != NULL ? "command" : "signal", &report)) {
		s->reloader = k;
	} else {
		log_problems(buf_str(&report));
		tell_systemd(s, "READY=1\n");
		if (k != NULL)
			answer_report(k, buf_str(&report), ROLE_EXIT_CONFIG,
			              STR("the running configuration is unchanged"));
	}
	buf_free(&report);
}

static void
on_reload_signal(void *arg, int signo UNUSED)
{
	struct supervise *s = arg;

	if (s->phase == RUNNING && s->reload_why == NULL)
		reload(s, NULL);
}

/* Certificates, keys and users that have changed on disk. */
static void
refresh(struct supervise *s)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *next = config_refresh(s->config, &report);

	if (next != NULL && adopt(s, next, "files changed", &report))
		buf_clear(&s->last_problem);
	else if (report.n > 0 && !str_eq(buf_str(&report), buf_str(&s->last_problem))) {
		log_problems(buf_str(&report));
		buf_clear(&s->last_problem);
		buf_add(&s->last_problem, buf_str(&report));
	}
	buf_free(&report);
}

static void
on_tick(void *arg)
{
	struct supervise *s = arg;

	timer_set(s->tick, TICK_MS);
	if (s->reload_why == NULL && s->was_ready)
		refresh(s);
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
	tell_systemd(s, "READY=1\n");
	if (s->o->ready != NULL)
		s->o->ready(s->config);
}

static void
on_ready(void *arg, struct member *m UNUSED)
{
	struct supervise *s = arg;

	if (s->phase != RUNNING || !crew_is_ready(s->crew, s->generation))
		return;
	if (!s->was_ready)
		all_ready(s);
	if (s->reload_why != NULL)
		reload_done(s, 0);
}

static void
on_stats(void *arg, struct member *m)
{
	struct supervise *s = arg;
	int64_t           depth;

	answer_if_told(s);
	if (m->id != ROLE_QUEUE || !report_stat(s->crew, STR("queue_messages"), &depth))
		return;
	if (depth != s->last_depth) {
		s->last_depth = depth;
		if (s->phase == RUNNING && s->was_ready)
			tell_systemd(s, "");
	}
}

static void
on_left(void *arg, struct member *m UNUSED)
{
	struct supervise *s = arg;

	answer_if_told(s);
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
	stop(s);
}

static const struct crew_hooks crew_hooks = {outfit, on_ready, on_stats, on_left, on_hopeless};

/* What commands ask */

static void
ask_status(struct supervise *s, struct caller *k, struct str line UNUSED)
{
	ask_stats(s, k, report_status);
}

static void
ask_readyz(struct supervise *s, struct caller *k, struct str line UNUSED)
{
	ask_stats(s, k, report_readyz);
}

static void
ask_reload(struct supervise *s, struct caller *k, struct str line UNUSED)
{
	if (s->phase != RUNNING)
		simple_answer(k, 75, STR("the daemon is stopping"));
	else if (s->reload_why != NULL)
		simple_answer(k, 75, STR("a reload is under way"));
	else
		reload(s, k);
}

static void
ask_stop(struct supervise *s, struct caller *k, struct str line UNUSED)
{
	simple_answer(k, 0, STR("stopping"));
	stop(s);
}

/* The queue answers by itself, on the connection. */
static void
ask_queue(struct supervise *s, struct caller *k, struct str line)
{
	struct member *m = crew_next(s->crew, NULL);
	struct buf     request = BUF(CONTROL_REQUEST_MAX);
	int            fd;

	while (m != NULL && m->id != ROLE_QUEUE)
		m = crew_next(s->crew, m);
	if (m == NULL || m->up == NULL || m->state != MEMBER_READY) {
		simple_answer(k, 75, STR("the queue is not ready"));
		return;
	}
	buf_add(&request, line); /* it ends with the caller */
	fd = caller_take(k);
	channel_send(m->up, WIRE_CONTROL, &(struct wire_control){buf_str(&request)}, fd);
	buf_free(&request);
}

static const struct {
	const char *word;
	void (*run)(struct supervise *s, struct caller *k, struct str line);
	bool        changes; /* logged, with who asked */
} requests[] = {
	{"status", ask_status, false}, {"readyz", ask_readyz, false}, {"reload", ask_reload, true},
	{"stop", ask_stop, true},      {"queue", ask_queue, false},   {"pause", ask_queue, true},
	{"resume", ask_queue, true},
};

static void
on_request(void *arg, struct caller *k, struct str line)
{
	struct supervise *s = arg;
	struct str        rest = line, word = str_word(&rest);

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (!str_eq(word, str_of(requests[i].word)))
			continue;
		if (requests[i].changes)
			log_info(ev("control"), kv("request", str_sub(line, 0, 200)), kv("uid", caller_uid(k)));
		requests[i].run(s, k, line);
		return;
	}
	simple_answer(k, 2, STR("the daemon does not know this request; is it another version?"));
}

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
	s->panel = panel_open(s->loop, fd, s->account.gid, on_request, s);
	return s->o->pidfile == NULL || places_pidfile(s->o->pidfile, why);
}

static unsigned
count_cores(void)
{
	cpu_set_t set;
	int       n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? (unsigned)n : 1;
}

static unsigned
choose(unsigned configured, unsigned otherwise)
{
	unsigned n = configured > 0 ? configured : otherwise;

	return n < PROCESSES_MAX ? n : PROCESSES_MAX;
}

static void
start_crew(struct supervise *s)
{
	const struct config *c = s->config;
	struct crew_plan     plan = {.program = s->o->program, .keep_fd = s->lock_fd};
	unsigned             cores = count_cores();

	plan.count[ROLE_SMTPD] = choose(c->smtpd_count, cores);
	plan.count[ROLE_DELIVERY] = choose(c->delivery_count, cores);
	plan.count[ROLE_AUTH] = choose(c->auth_count, 1);
	plan.count[ROLE_QUEUE] = 1;
	plan.count[ROLE_KEYD] = 1;
	s->crew = crew_start(s->loop, &plan, &crew_hooks, s);
}

static void
run(struct supervise *s)
{
	s->tick = timer_create_on(s->loop, on_tick, s);
	s->phase_timer = timer_create_on(s->loop, phase_over, s);
	s->stats_timer = timer_create_on(s->loop, stats_over, s);
	s->reload_timer = timer_create_on(s->loop, reload_over, s);
	loop_signal(s->loop, SIGTERM, on_stop_signal, s);
	loop_signal(s->loop, SIGINT, on_stop_signal, s);
	loop_signal(s->loop, SIGHUP, on_reload_signal, s);
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
	struct link *k;

	crew_destroy(s->crew);
	while ((k = list_pop(&s->asks)) != NULL)
		free(CONTAINER(k, struct ask, link));
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
	buf_free(&s->last_problem);
	buf_free(&s->restart_note);
	config_unref(s->config);
	config_unref(s->first);
	loop_destroy(s->loop);
}

int
supervise_run(const struct supervise_options *o)
{
	struct supervise s = {.o = o, .config = o->config, .lock_fd = -1, .spool_fd = -1, .last_depth = -1};
	struct buf       why = BUF(4096);

	s.first = config_ref(o->config);
	s.generation = s.config->generation = 1;
	s.started_ms = time_mono_ms();
	s.loop = loop_create();
	list_init(&s.asks);
	buf_init(&s.last_problem, REPORT_MAX);
	buf_init(&s.restart_note, 256);
	if (open_places(&s, &why)) {
		run(&s);
	} else {
		log_error(ev("start-failed"), kv("why", buf_str(&why)));
		s.exit_code = EXIT_FAILED;
	}
	buf_free(&why);
	clean_up(&s);
	return s.exit_code;
}
