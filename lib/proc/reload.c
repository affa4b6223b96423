/* SPDX-License-Identifier: ISC */
/* reload - another configuration, whole or not at all, while the daemon runs. */
#include "lib/net/loop.h"
#include "lib/proc/checkup.h"
#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/proc/memory.h"
#include "lib/proc/notify.h"
#include "lib/proc/panel.h"
#include "lib/proc/role.h"
#include "lib/proc/supervise_inner.h"
#include "lib/proc/unread.h"
#include "lib/util/log.h"
#include "lib/util/time.h"

enum { REPORT_MAX = 1024 * 1024, ANSWER_MAX = 2 * 1024 * 1024, RELOAD_MS = 30000, TRY_AGAIN = 75 };

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

/*
 * keyd has the new keys: the others hear of them now. Sooner, a handshake or a signature would
 * ask for a key that is not there yet; those that still ask for the old ones find them, too.
 */
static void
spread(struct supervise *s)
{
	s->keys_first = false;
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m)) {
		if (m->id == ROLE_KEYD)
			continue;
		supervise_send_config(s, m);
		if (m->id == ROLE_SMTPD)
			supervise_send_sockets(s, m, true);
	}
	crew_rest(s->crew, supervise_resting(s->config));
	if (s->checkup != NULL && s->was_ready)
		checkup_config(s->checkup, s->config, s->generation);
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
	config_forget_keys(next);
	log_setup("supervisor", next->log_json ? LOG_JSON : LOG_LOGFMT, next->debug);
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m))
		if (m->id == ROLE_KEYD)
			supervise_send_config(s, m);
	s->keys_first = true;
	s->reload_why = reason;
	s->reload_ms = time_mono_ms();
	timer_set(s->reload_timer, RELOAD_MS);
	return true;
}

static void
tell_caller(const struct supervise *s, struct caller *k, int code)
{
	struct buf text = BUF(1024);

	buf_addz(&text,
	         code == 0 ? "the new configuration is in force"
	                   : "the new configuration was sent; not all roles have taken it yet");
	if (s->restart_note.n > 0) {
		buf_addz(&text, "; only after a restart: ");
		buf_add(&text, buf_str(&s->restart_note));
	}
	answer_report(k, buf_str(&s->warnings), code, buf_str(&text));
	buf_free(&text);
}

static void
end(struct supervise *s, int code)
{
	struct caller *k = s->reloader;

	timer_clear(s->reload_timer);
	log_info(ev("reload"), kv("why", s->reload_why), kv("generation", s->generation),
	         kv_ms("time", time_mono_ms() - s->reload_ms),
	         kv("restart_for", buf_str(&s->restart_note)));
	supervise_tell_systemd(s, "READY=1\n");
	memory_settle();
	s->reload_why = NULL;
	s->reloader = NULL;
	if (k != NULL)
		tell_caller(s, k, code);
	if (s->again) {
		s->again = false;
		reload_start(s, NULL);
	}
}

void
reload_over(void *arg)
{
	struct supervise *s = arg;

	if (s->keys_first)
		spread(s);
	log_warn(ev("reload-slow"), kv("why", "not all roles have taken the new configuration"));
	end(s, TRY_AGAIN);
}

/* `k` is NULL for a signal. */
void
reload_start(struct supervise *s, struct caller *k)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *next;

	notify_reloading();
	next = config_load(s->o->config_file, &report, NULL, NULL);
	if (next != NULL && adopt(s, next, k != NULL ? "command" : "signal", &report)) {
		s->reloader = k;
		buf_clear(&s->warnings);
		buf_add(&s->warnings, buf_str(&report));
	} else {
		log_problems(buf_str(&report));
		supervise_tell_systemd(s, "READY=1\n");
		if (k != NULL)
			answer_report(k, buf_str(&report), ROLE_EXIT_CONFIG,
			              STR("the running configuration is unchanged"));
	}
	buf_free(&report);
}

/* Certificates, keys and users that have changed on disk. */
void
reload_refresh(struct supervise *s)
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

/* One that starts gets all that can be read then. */
void
reload_keys(void *arg)
{
	struct supervise *s = arg;

	if (s->phase != RUNNING)
		return;
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m))
		if (m->id == ROLE_KEYD && m->state == MEMBER_READY && unread_lacks(s->unread, m->index))
			supervise_try_keys(s, m);
}

void
reload_check(struct supervise *s)
{
	if (s->reload_why == NULL)
		return;
	if (s->keys_first && crew_is_ready(s->crew, 1u << ROLE_KEYD, s->generation))
		spread(s);
	if (!s->keys_first && crew_is_ready(s->crew, ~0u, s->generation))
		end(s, 0);
}
