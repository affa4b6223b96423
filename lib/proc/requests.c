/* SPDX-License-Identifier: ISC */
/* requests - what the commands ask the supervisor, and its answers. */
#include <stdlib.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/control.h"
#include "lib/proc/panel.h"
#include "lib/proc/report.h"
#include "lib/proc/supervise_inner.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { ANSWER_MAX = 2 * 1024 * 1024, STATS_MS = 2000, TRY_AGAIN = 75, UNKNOWN = 2, FAILED = 1 };

struct ask { /* a command that waits for statistics */
	struct link    link;
	struct caller *caller;
	void (*answer)(const struct report *r, struct buf *out);
};

void
requests_say(struct caller *k, int code, struct str text)
{
	struct buf out = BUF(8192);

	control_end(&out, code, text);
	caller_answer(k, buf_str(&out));
	buf_free(&out);
}

static struct report
facts(const struct supervise *s)
{
	return (struct report){.config = s->config,
	                       .sockets = &s->sockets,
	                       .crew = s->crew,
	                       .checkup = s->checkup,
	                       .version = s->o->version,
	                       .config_file = s->o->config_file,
	                       .uptime_ms = time_mono_ms() - s->started_ms,
	                       .generation = s->generation,
	                       .stopping = s->phase != RUNNING};
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

void
requests_over(void *arg)
{
	answer_asks(arg);
}

void
requests_check(struct supervise *s)
{
	for (struct member *m = crew_next(s->crew, NULL); m != NULL; m = crew_next(s->crew, m))
		if (m->asked)
			return;
	answer_asks(s);
}

static void
ask_stats(struct supervise *s, struct caller *k,
          void (*answer)(const struct report *, struct buf *))
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
		requests_say(k, TRY_AGAIN, STR("the daemon is stopping"));
	else if (s->reload_why != NULL)
		requests_say(k, TRY_AGAIN, STR("a reload is under way"));
	else
		reload_start(s, k);
}

static void
ask_stop(struct supervise *s, struct caller *k, struct str line UNUSED)
{
	requests_say(k, 0, STR("stopping"));
	supervise_stop(s);
}

/* Mail from the control socket passes no policy: not for every member of its group. */
static bool
may_put(const struct supervise *s, const struct caller *k)
{
	uid_t uid = caller_uid(k);

	return uid == 0 || uid == geteuid() || uid == s->account.uid;
}

static bool
is_put(struct str line)
{
	(void)str_word(&line);
	return str_eq(str_word(&line), STR("put"));
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
	if (is_put(line) && !may_put(s, k)) {
		requests_say(k, FAILED, STR("only root and the account of the daemon may import"));
		buf_free(&request);
		return;
	}
	if (m == NULL || m->up == NULL || m->state != MEMBER_READY) {
		requests_say(k, TRY_AGAIN, STR("the queue is not ready"));
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
	bool changes; /* logged, with who asked */
} requests[] = {
	{"status", ask_status, false}, {"readyz", ask_readyz, false}, {"reload", ask_reload, true},
	{"stop", ask_stop, true},      {"queue", ask_queue, false},   {"pause", ask_queue, true},
	{"resume", ask_queue, true},
};

void
requests_take(void *arg, struct caller *k, struct str line)
{
	struct supervise *s = arg;
	struct str        rest = line, word = str_word(&rest);

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (!str_eq(word, str_of(requests[i].word)))
			continue;
		if (requests[i].changes)
			log_info(ev("control"), kv("request", str_sub(line, 0, 200)),
			         kv("uid", caller_uid(k)));
		requests[i].run(s, k, line);
		return;
	}
	requests_say(k, UNKNOWN,
	             STR("the daemon does not know this request; is it another version?"));
}

void
requests_drop(struct supervise *s)
{
	struct link *k;

	while ((k = list_pop(&s->asks)) != NULL)
		free(CONTAINER(k, struct ask, link));
}
