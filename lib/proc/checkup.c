/* SPDX-License-Identifier: ISC */
#include "lib/proc/checkup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/proc/keys_seen.h"
#include "lib/proc/spawn.h"
#include "lib/proc/verdicts.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	SECOND = 1000,
	MINUTE = 60 * SECOND,
	HOUR = 60 * MINUTE,
	SOON_MS = 3 * SECOND, /* the start has other work */
	ALL_MS = 6 * HOUR,
	LISTS_MS = 24 * HOUR,   /* block lists count how often one asks */
	LIMIT_MS = 30 * SECOND, /* the exam itself ends after five */
	FAILED_FIRST_MS = MINUTE,
	FAILED_MOST_MS = HOUR,
	CLOSED_FIRST_MS = 15 * SECOND, /* mail waits: look often whether it may go */
	CLOSED_MOST_MS = 5 * MINUTE,
	SUSPECT_GAP_MS = MINUTE,
	SUSPECTS_MAX = 8,
	WORDS_MAX = 512,
	TEXT_MAX = 512,
};

static const char lists[] = "dnsbl.";
static const char gate_checks[] = "src. ptr. spf. dkim. net.ipv6"; /* what gates come from */

struct suspect {
	struct link link;
	char       *only, *domain, *id, *mx, *reply;
	bool        asked; /* the exam that runs now is for it */
};

struct checkup {
	struct loop         *loop;
	const char          *program;
	const struct config *config;
	uint32_t             generation;
	void (*gates)(void *arg);
	void *arg;

	struct timer   *due, *limit;
	struct channel *channel; /* to the doctor; NULL: gone */
	pid_t           pid;     /* 0: none runs */
	bool            answered, reaped;
	int             status;       /* its end, once it is reaped */
	struct buf      only, except; /* of the exam that runs */
	int64_t         began_ms;

	int64_t all_ms, lists_ms, closed_ms, suspect_ms, failed_ms; /* when, mono; 0: not planned */
	int64_t closed_wait_ms, failed_wait_ms;
	int64_t done_wall_ms; /* the last one that answered; 0: none */
	uint64_t n_exams, n_failed;
	bool     known; /* gates have been told, if only that there are none */

	struct list      suspects;
	struct verdicts *verdicts;
	char            *state;     /* folder */
	bool             told_save; /* that it failed: once is enough */
};

static void plan(struct checkup *c);

static void
remember(struct checkup *c)
{
	if (keys_seen_save(str_of(c->state), c->verdicts, time_wall_ms()) || c->told_save)
		return;
	c->told_save = true;
	log_warn(ev("keys-not-kept"), kv("why", strerror(errno)), kv("folder", c->state));
}

/* ---- suspects ---- */

static void
suspect_free(struct checkup *c, struct suspect *s)
{
	list_remove(&c->suspects, &s->link);
	free(s->only);
	free(s->domain);
	free(s->id);
	free(s->mx);
	free(s->reply);
	free(s);
}

void
checkup_suspect(struct checkup *c, const struct wire_suspect *m)
{
	struct suspect *s;
	int64_t         now = time_mono_ms();

	if (c->suspects.n >= SUSPECTS_MAX)
		return;
	s = mem_zero(sizeof *s);
	s->only = str_dup(str_sub(m->only, 0, TEXT_MAX));
	s->domain = str_dup(str_sub(m->domain, 0, TEXT_MAX));
	s->id = str_dup(str_sub(m->id, 0, TEXT_MAX));
	s->mx = str_dup(str_sub(m->mx, 0, TEXT_MAX));
	s->reply = str_dup(str_sub(m->reply, 0, TEXT_MAX));
	list_push(&c->suspects, &s->link);
	if (c->suspect_ms < now)
		c->suspect_ms = now;
	plan(c);
}

/* One finding that has to do with a suspect, into the words of its log line. */
static void
add_check(const struct suspect *s, struct str row, struct buf *checks, struct buf *why)
{
	struct buf id = BUF(WORDS_MAX), status = BUF(WORDS_MAX), subject = BUF(WORDS_MAX * 4),
		   text = BUF(WORDS_MAX * 8);
	struct str key;
	struct buf value = BUF(WORDS_MAX * 64);
	bool       number, bad;

	while (control_next_cell(&row, &key, &value, &number)) {
		struct buf *to = str_eq(key, STR("id"))        ? &id
		                 : str_eq(key, STR("status"))  ? &status
		                 : str_eq(key, STR("subject")) ? &subject
		                 : str_eq(key, STR("why"))     ? &text
		                                               : NULL;

		if (to != NULL && to->n == 0)
			buf_add(to, buf_str(&value));
	}
	if (id.n > 0 && status.n > 0 && checks_include(str_of(s->only), STR_NONE, buf_str(&id)) &&
	    checks->n < TEXT_MAX) {
		bad = str_eq(buf_str(&status), STR("fail")) ||
		      str_eq(buf_str(&status), STR("warn"));
		buf_addf(checks, "%s%s=%s", checks->n > 0 ? "," : "", buf_z(&id), buf_z(&status));
		if (bad && why->n == 0)
			buf_addf(why, "%s: %s", buf_z(&subject), buf_z(&text));
	}
	buf_free(&id);
	buf_free(&status);
	buf_free(&subject);
	buf_free(&text);
	buf_free(&value);
}

static void
answer_suspects(struct checkup *c, struct str rows)
{
	struct suspect *s;

	LIST_EACH(&c->suspects, s, struct suspect, link) {
		struct buf checks = BUF(WORDS_MAX * 4), why = BUF(WORDS_MAX * 16);
		struct str rest = rows, row;

		if (!s->asked)
			continue;
		while (str_cut(&rest, '\n', &row))
			if (str_starts(row, STR("kind=finding")))
				add_check(s, row, &checks, &why);
		log_info(ev("recheck"), kv("id", s->id), kv("mx", s->mx), kv("domain", s->domain),
		         kv("checks", buf_str(&checks)), kv("why", buf_str(&why)),
		         kv("reply", s->reply));
		buf_free(&checks);
		buf_free(&why);
		suspect_free(c, s);
	}
}

/* What the suspects ask for together. Every one that waits is answered by the next exam. */
static void
gather(struct checkup *c, struct buf *only)
{
	struct suspect *s;

	LIST_EACH(&c->suspects, s, struct suspect, link) {
		struct str rest = str_of(s->only), word;

		s->asked = true;
		while ((word = str_word(&rest)).n > 0) {
			if (checks_include(buf_str(only), STR_NONE, word) && only->n > 0)
				continue;
			buf_addz(only, only->n > 0 ? " " : "");
			buf_add(only, word);
		}
	}
}

/* ---- the result ---- */

static void
log_change(const struct verdict *v, const char *was)
{
	struct kv fields[] = {ev("check"),
	                      kv("id", v->id),
	                      kv("subject", v->subject),
	                      kv("status", v->status),
	                      kv("was", was),
	                      kv("why", v->why),
	                      {0}};
	bool      bad = strcmp(v->status, "fail") == 0 || strcmp(v->status, "warn") == 0;

	if (strcmp(v->status, "note") == 0 && *was == '\0')
		return; /* worth knowing, but no news */
	log_write(bad ? LEVEL_WARN : LEVEL_INFO, fields);
}

static void
tell_gates(struct checkup *c)
{
	c->known = true;
	c->gates(c->arg);
}

static void
take(struct checkup *c, const struct wire_findings *f)
{
	struct wire_examine asked = {buf_str(&c->only), buf_str(&c->except)};
	uint64_t            before[2] = {verdicts_count(c->verdicts, "warn"),
	                                 verdicts_count(c->verdicts, "fail")};

	c->answered = true;
	verdicts_take(c->verdicts, &asked, f, log_change);
	if (c->done_wall_ms == 0 || before[0] != verdicts_count(c->verdicts, "warn") ||
	    before[1] != verdicts_count(c->verdicts, "fail"))
		log_info(ev("doctor"), kv("pass", verdicts_count(c->verdicts, "pass")),
		         kv("note", verdicts_count(c->verdicts, "note")),
		         kv("warn", verdicts_count(c->verdicts, "warn")),
		         kv("fail", verdicts_count(c->verdicts, "fail")),
		         kv("skip", verdicts_count(c->verdicts, "skip")),
		         kv_ms("time", time_mono_ms() - c->began_ms));
	c->done_wall_ms = time_wall_ms();
	answer_suspects(c, f->rows);
	remember(c); /* nothing may have changed but the time */
	tell_gates(c);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct checkup *c = arg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_FINDINGS && !c->answered)
		take(c, msg);
}

static void leave(struct checkup *c);

/* It has ended, or it talks nonsense and is ended here. */
static void
gone(void *arg, const char *why UNUSED)
{
	struct checkup *c = arg;

	channel_close(c->channel);
	c->channel = NULL;
	if (c->reaped)
		leave(c);
	else
		kill(c->pid, SIGKILL);
}

static const struct channel_hooks channel_hooks = {message, gone};

/* ---- one exam ---- */

static void
failed(struct checkup *c, const char *why)
{
	struct suspect *s;

	c->n_failed++;
	c->failed_wait_ms = c->failed_wait_ms == 0 ? FAILED_FIRST_MS : c->failed_wait_ms * 2;
	if (c->failed_wait_ms > FAILED_MOST_MS)
		c->failed_wait_ms = FAILED_MOST_MS;
	c->failed_ms = time_mono_ms() + c->failed_wait_ms;
	log_warn(ev("doctor-failed"), kv("why", why), kv_ms("next", c->failed_wait_ms));
	LIST_EACH(&c->suspects, s, struct suspect, link)
		if (s->asked)
			suspect_free(c, s);
	if (!c->known)
		tell_gates(c); /* nobody is to wait for an exam that does not come */
}

static void
send_orders(struct checkup *c)
{
	struct buf text = BUF(WIRE_CONFIG_MAX - 64);

	config_render(c->config, ROLE_DOCTOR, &text);
	channel_send(c->channel, WIRE_CONFIG, &(struct wire_config){c->generation, buf_str(&text)},
	             -1);
	channel_send(c->channel, WIRE_EXAMINE,
	             &(struct wire_examine){buf_str(&c->only), buf_str(&c->except)}, -1);
	channel_send(c->channel, WIRE_GO, &(struct wire_empty){0}, -1);
	mem_wipe(text.p, text.cap);
	buf_free(&text);
}

static void
start(struct checkup *c)
{
	struct spawn s = {.program = c->program, .role = ROLE_DOCTOR, .keep = -1};
	int          ends[2];

	c->answered = c->reaped = false;
	c->n_exams++;
	c->began_ms = time_mono_ms();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
		failed(c, strerror(errno));
		return;
	}
	s.channel = ends[1];
	c->pid = spawn_role(&s);
	close(ends[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(ends[0]);
		failed(c, strerror(errno));
		return;
	}
	c->channel = channel_open(c->loop, ends[0], ROLE_SUPERVISOR, ROLE_DOCTOR, &channel_hooks,
	                          c);
	send_orders(c);
	timer_set(c->limit, LIMIT_MS);
}

static void
over(void *arg)
{
	struct checkup *c = arg;

	if (c->pid > 0 && !c->reaped)
		kill(c->pid, SIGKILL);
}

/* Mail waits for a gate: the next look is soon, and later and later. */
static void
plan_closed(struct checkup *c)
{
	if (c->config->preflight != PREFLIGHT_ENFORCE || !verdicts_gate_fails(c->verdicts)) {
		c->closed_ms = c->closed_wait_ms = 0;
		return;
	}
	c->closed_wait_ms = c->closed_wait_ms == 0 ? CLOSED_FIRST_MS : c->closed_wait_ms * 2;
	if (c->closed_wait_ms > CLOSED_MOST_MS)
		c->closed_wait_ms = CLOSED_MOST_MS;
	c->closed_ms = time_mono_ms() + c->closed_wait_ms;
}

/* The process is reaped and all it said is read. */
static void
leave(struct checkup *c)
{
	struct buf why = BUF(128);
	int        status = c->status;

	c->pid = 0;
	timer_clear(c->limit);
	if (c->answered) {
		c->failed_ms = c->failed_wait_ms = 0;
		plan_closed(c);
	} else {
		if (WIFSIGNALED(status))
			buf_addf(&why, "signal %d (%s)", WTERMSIG(status),
			         strsignal(WTERMSIG(status)));
		else
			buf_addf(&why, "exit code %d without a result", WEXITSTATUS(status));
		failed(c, buf_z(&why));
	}
	buf_free(&why);
	plan(c);
}

void
checkup_ended(struct checkup *c, pid_t pid, int status)
{
	if (c == NULL || c->pid == 0 || pid != c->pid)
		return;
	c->reaped = true;
	c->status = status;
	if (c->channel == NULL)
		leave(c);
}

/* ---- when ---- */

static bool
makes_exams(const struct checkup *c)
{
	return c->config != NULL && !config_is_capture(c->config) &&
	       c->config->preflight != PREFLIGHT_OFF;
}

static void
sooner(int64_t *first, int64_t when)
{
	if (when != 0 && (*first == 0 || when < *first))
		*first = when;
}

/* 0: nothing is planned. */
static int64_t
first_due(const struct checkup *c)
{
	int64_t first = 0;

	sooner(&first, c->all_ms);
	sooner(&first, c->lists_ms);
	sooner(&first, c->closed_ms);
	if (!list_empty(&c->suspects))
		sooner(&first, c->suspect_ms);
	return first;
}

static void
plan(struct checkup *c)
{
	int64_t first = first_due(c), now = time_mono_ms();

	if (c->pid > 0 || !makes_exams(c) || first == 0)
		return;
	if (first < c->failed_ms)
		first = c->failed_ms;
	timer_set(c->due, first > now ? first - now : 1);
}

/* What is due most; what is left comes next. */
static void
choose(struct checkup *c, int64_t now)
{
	buf_clear(&c->only);
	buf_clear(&c->except);
	if (c->all_ms <= now || c->lists_ms <= now) {
		bool with_lists = c->lists_ms <= now;

		c->all_ms = now + ALL_MS;
		if (with_lists)
			c->lists_ms = now + LISTS_MS;
		else
			buf_addz(&c->except, lists);
	} else if (!list_empty(&c->suspects) && c->suspect_ms <= now) {
		c->suspect_ms = now + SUSPECT_GAP_MS;
		gather(c, &c->only);
	} else {
		buf_addz(&c->only, gate_checks);
	}
}

static void
due(void *arg)
{
	struct checkup *c = arg;

	if (c->pid > 0 || !makes_exams(c))
		return;
	if (first_due(c) > time_mono_ms()) { /* timers round, and nothing else may be chosen instead */
		plan(c);
		return;
	}
	choose(c, time_mono_ms());
	start(c);
	if (c->pid == 0)
		plan(c);
}

/* ---- the outside ---- */

struct checkup *
checkup_create(struct loop *l, const struct checkup_place *at, void (*gates)(void *arg), void *arg)
{
	struct checkup *c = mem_zero(sizeof *c);

	c->loop = l;
	c->program = at->program;
	c->state = str_dup(at->state);
	c->gates = gates;
	c->arg = arg;
	c->only = BUF(WORDS_MAX * 4);
	c->except = BUF(WORDS_MAX);
	c->due = timer_create_on(l, due, c);
	c->limit = timer_create_on(l, over, c);
	list_init(&c->suspects);
	c->verdicts = verdicts_create();
	keys_seen_load(at->state, c->verdicts, time_wall_ms());
	return c;
}

void
checkup_destroy(struct checkup *c)
{
	struct suspect *s;

	if (c == NULL)
		return;
	if (c->pid > 0 && !c->reaped) {
		kill(c->pid, SIGKILL);
		(void)waitpid(c->pid, NULL, 0);
	}
	channel_close(c->channel);
	timer_destroy(c->due);
	timer_destroy(c->limit);
	LIST_EACH(&c->suspects, s, struct suspect, link)
		suspect_free(c, s);
	remember(c);
	verdicts_destroy(c->verdicts);
	free(c->state);
	buf_free(&c->only);
	buf_free(&c->except);
	free(c);
}

void
checkup_config(struct checkup *c, const struct config *config, uint32_t generation)
{
	int64_t now = time_mono_ms();

	c->config = config;
	c->generation = generation;
	verdicts_config(c->verdicts, config);
	c->all_ms = now + SOON_MS;
	if (c->lists_ms == 0)
		c->lists_ms = c->all_ms;
	plan(c);
}

void
checkup_key(struct checkup *c, const struct wire_key_state *k)
{
	if (!verdicts_key(c->verdicts, k))
		return;
	remember(c);
	if (k->why.n == 0) {
		log_info(ev("key-published"), kv("key", k->name));
		c->gates(c->arg);
	} else {
		log_warn(ev("key-not-published"), kv("key", k->name), kv("why", k->why));
	}
}

void
checkup_gates(const struct checkup *c, struct buf *out)
{
	if (c->known)
		buf_addz(out, "examined\n");
	verdicts_gates(c->verdicts, out);
}

void
checkup_report(const struct checkup *c, struct buf *out)
{
	static const char *const preflight[] = {[PREFLIGHT_ADVISE] = "advise",
	                                        [PREFLIGHT_ENFORCE] = "enforce",
	                                        [PREFLIGHT_OFF] = "off"};
	static const char *const statuses[] = {"pass", "note", "warn", "fail", "skip"};

	if (c->config == NULL)
		return;
	control_cell(out, "kind", STR("doctor"));
	control_cell(out, "preflight", str_of(preflight[c->config->preflight]));
	control_cell_int(out, "exams", (int64_t)c->n_exams);
	control_cell_int(out, "failed_exams", (int64_t)c->n_failed);
	if (c->done_wall_ms != 0) {
		control_cell_int(out, "age_ms", time_wall_ms() - c->done_wall_ms);
		for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
			control_cell_int(out, statuses[i],
			                 (int64_t)verdicts_count(c->verdicts, statuses[i]));
	}
	control_row_end(out);
	verdicts_report(c->verdicts, out);
}
