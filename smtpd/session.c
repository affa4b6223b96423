/* SPDX-License-Identifier: ISC */
#include "smtpd/session.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/proc/config.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "smtpd/cmd_auth.h"
#include "smtpd/command.h"
#include "smtpd/handover.h"
#include "smtpd/transaction.h"

enum {
	ARM_SLACK_MS = 1000, /* deadlines are moved no finer than this: timers cost, too */
	OUTPUT_MAX = 32 * 1024, /* a client that does not read its replies gets no more of them */
	TLS_MAX_MS = 60 * 1000, /* for a handshake */
	TLS_OCTETS = 40 * 1024, /* of one connection, as measured with OpenSSL 3.0 */
	SLOW_GRACE_S = 600,  /* from MAIL on, before a message (or a chunk of none) has to keep a pace */
	SLOW_RATE = 100,     /* octets a second: slower than any modem, faster than a siege */
};

struct session *
session_at(struct link *k)
{
	return CONTAINER(k, struct session, link);
}

/*
 * Which phases may follow. PHASE_END may follow all, and is left out of the table.
 */
static const struct {
	enum phase from;
	unsigned   to;
} legal[] = {
	{PHASE_TLS, PHASE_START},
	{PHASE_START, PHASE_READY | PHASE_TLS | PHASE_CHUNK},
	{PHASE_READY, PHASE_MAIL | PHASE_AUTH | PHASE_WAIT | PHASE_TLS | PHASE_CHUNK},
	{PHASE_MAIL, PHASE_RCPT | PHASE_READY | PHASE_CHUNK},
	{PHASE_RCPT, PHASE_DATA | PHASE_CHUNK | PHASE_READY},
	{PHASE_BDAT, PHASE_CHUNK | PHASE_READY},
	{PHASE_DATA, PHASE_WAIT | PHASE_STORE | PHASE_READY},
	{PHASE_CHUNK, PHASE_BDAT | PHASE_WAIT | PHASE_STORE | PHASES_COMMAND},
	{PHASE_AUTH, PHASE_WAIT | PHASE_READY},
	{PHASE_WAIT, PHASE_READY | PHASE_AUTH | PHASE_PAUSE | PHASE_DATA | PHASE_CHUNK},
	{PHASE_STORE, PHASE_READY},
	{PHASE_PAUSE, PHASE_READY},
};

static bool
is_legal(enum phase from, enum phase to)
{
	for (size_t i = 0; i < ARRAY_LEN(legal); i++)
		if (legal[i].from == from)
			return (legal[i].to & (unsigned)to) != 0;
	return from == 0;
}

void
session_enter(struct session *s, enum phase phase)
{
	assert(phase == s->phase || phase == PHASE_END || is_legal(s->phase, phase));
	s->phase = phase;
}

struct policy
session_policy(const struct session *s)
{
	return (struct policy){.config = s->site->config,
	                       .client = s->client,
	                       .login = s->login,
	                       .can_login = s->on->auth};
}

void
session_say(struct session *s, struct reply r)
{
	struct buf *line = &s->server->line;

	if (s->stream == NULL)
		return;
	buf_clear(line);
	reply_format(line, r);
	buf_addz(line, "\r\n");
	stream_write(s->stream, buf_str(line));
}

void
session_log_reject(struct session *s, const char *stage, const char *why, struct reply r,
                   struct str address)
{
	struct buf ip = BUF(64), status = BUF(32);
	struct str from = s->tx != NULL ? transaction_text(s->tx, s->tx->from) : address;
	struct str to = s->tx != NULL ? address : STR_NONE;

	s->server->counts.rejected++;
	if (s->server->mute)
		return;
	addr_format(&ip, s->client);
	reply_format_status(&status, r);
	log_info(ev("reject"), kv("stage", stage), kv("code", r.code), kv("dsn", buf_str(&status)),
	         kv("why", why), kv("client", buf_str(&ip)), kv("user", s->login),
	         kv("helo", s->helo), kv("from", s->tx != NULL && from.n == 0 ? STR("<>") : from),
	         kv("to", to), kv("msg", r.text));
	buf_free(&ip);
	buf_free(&status);
}

void
session_reset(struct session *s)
{
	transaction_destroy(s->tx);
	if (s->stream != NULL)
		stream_gulp(s->stream, 0);
	s->tx = NULL;
}

/* Texts that the session owns. */
static void
forget(struct str *s)
{
	free((void *)(uintptr_t)s->p);
	*s = STR_NONE;
}

static void
leave(const struct server *sv, struct limit *place)
{
	limit_leave(&sv->limits, *place);
	*place = (struct limit){0};
}

static void
log_out(struct session *s)
{
	leave(s->server, &s->login_place);
	forget(&s->login);
}

bool
session_log_in(struct session *s, struct str name)
{
	unsigned     most = s->site->config->limit_connections;
	struct limit place;

	log_out(s);
	s->login = name;
	if (s->trusted || most == 0)
		return true;
	place = limits_login(&s->server->limits, name, time_mono_ms());
	if (!limit_enter(&s->server->limits, place, most))
		return false;
	s->login_place = place;
	return true;
}

/* What its buffers take. Those of TLS are the library's: a round number. */
static uint64_t
weigh(const struct session *s)
{
	uint64_t n = sizeof *s + (s->secure ? TLS_OCTETS : 0);

	if (s->stream != NULL)
		n += stream_waiting(s->stream) + stream_unsent(s->stream);
	if (s->tx != NULL)
		n += transaction_held(s->tx);
	return n;
}

static void
count_memory(struct session *s, uint64_t held)
{
	s->server->held += held - s->held;
	s->held = held;
}

void
session_destroy(struct session *s)
{
	struct server *sv = s->server;

	loop_defer_cancel(sv->loop, &s->end);
	login_exchange_destroy(s);
	session_reset(s);
	stream_close(s->stream);
	list_remove(&sv->sessions, &s->link);
	site_unref(s->site);
	forget(&s->helo);
	log_out(s);
	leave(sv, &s->place);
	count_memory(s, 0);
	free(s);
	server_left(sv);
}

static void
on_end(void *arg)
{
	session_destroy(arg);
}

static void
close_soon(struct session *s)
{
	session_enter(s, PHASE_END);
	/* Other roles may answer before the loop turns, and there is nobody for them to answer. */
	login_exchange_destroy(s);
	if (s->tx != NULL)
		handover_cancel(s->server->handover, &s->tx->job);
	s->end = (struct deferred){.fn = on_end, .arg = s};
	loop_defer(s->server->loop, &s->end);
}

void
session_end(struct session *s, struct reply r)
{
	if (s->phase == PHASE_END)
		return;
	session_say(s, r);
	if (s->stream != NULL && r.code == 221)
		stream_dismiss(s->stream);
	else if (s->stream != NULL)
		stream_finish(s->stream);
	s->stream = NULL;
	close_soon(s);
}

/*
 * The client is gone. A message that is with the queue may become durable, and then its
 * line in the log must not be missing: the session stays for that.
 */
static void
lost(struct session *s)
{
	stream_close(s->stream);
	s->stream = NULL;
	if (s->phase != PHASE_STORE && s->phase != PHASE_END)
		close_soon(s);
}

static bool
command_input(struct session *s)
{
	struct str line;

	switch (stream_line(s->stream, COMMAND_LINE_MAX, &line)) {
	case LINE_NONE:
		return false;
	case LINE_LONG:
		command_mistake(s, REPLY(500, 5, 5, 2, "the line is too long"));
		return true;
	case LINE_BARE:
		/* People and small programs on this machine may end lines as it does. */
		if (!s->trusted || !addr_is_loopback(s->client) || str_find(line, '\r') >= 0 ||
		    str_find(line, '\0') >= 0) {
			command_mistake(s, REPLY(500, 5, 5, 2,
			                         "end lines with CR LF, and use neither alone"));
			return true;
		}
		command_run(s, line);
		return true;
	case LINE_OK:
		command_run(s, line);
		return true;
	}
	return false;
}

/* One piece of input, as the phase understands it. */
static bool
step(struct session *s)
{
	if ((s->phase & PHASES_COMMAND) != 0)
		return command_input(s);
	if (s->phase == PHASE_DATA)
		return data_input(s);
	if (s->phase == PHASE_CHUNK)
		return chunk_input(s);
	return auth_input(s);
}

/* Each octet begins the idle time anew, so a drop now and then would hold a session for ever. */
static bool
is_dripping(const struct session *s, int64_t now)
{
	int64_t  begun_ms, late_s;
	uint64_t taken;

	if ((s->phase & (PHASE_DATA | PHASE_CHUNK)) == 0)
		return false;
	if (s->phase == PHASE_CHUNK && s->chunk_drop) {
		begun_ms = s->chunk_begun_ms;
		taken = s->chunk_octets - s->chunk_left;
	} else {
		begun_ms = s->tx->begun_ms;
		taken = s->tx->message->taken;
	}
	late_s = (now - begun_ms) / 1000 - SLOW_GRACE_S;
	return late_s > 0 && taken < (uint64_t)late_s * SLOW_RATE;
}

/* The clock runs from the last thing the client brought to an end, not from his last octet. */
static void
arm(struct session *s, bool progress)
{
	int64_t now, wait = s->site->config->idle_timeout_ms;

	if (s->phase == PHASE_PAUSE || (!progress && s->armed_ms != 0))
		return;
	now = time_mono_ms();
	if (s->armed_ms != 0 && now - s->armed_ms < ARM_SLACK_MS)
		return;
	s->armed_ms = now;
	/* Late is late: the end comes with the next turn, from where all time-outs come. */
	if (is_dripping(s, now))
		wait = 1;
	else if (s->phase == PHASE_TLS && wait > TLS_MAX_MS)
		wait = TLS_MAX_MS;
	stream_timeout(s->stream, wait);
}

static void
run(struct session *s)
{
	bool progress = false;

	s->clogged = false;
	while ((s->phase & PHASES_CLIENT) != 0 && s->stream != NULL && !s->clogged && step(s)) {
		progress = true;
		s->clogged = s->stream != NULL && stream_unsent(s->stream) > OUTPUT_MAX;
		count_memory(s, weigh(s));
	}
	count_memory(s, weigh(s));
	if (s->phase == PHASE_END || s->stream == NULL)
		return;
	if (s->clogged)
		arm(s, progress);
	else if (s->eof && (s->phase & (PHASES_CLIENT | PHASE_TLS)) != 0)
		lost(s);
	else if (s->server->draining && (s->phase & PHASES_COMMAND) != 0 && s->phase != PHASE_BDAT)
		session_shut(s, true);
	else
		arm(s, progress);
}

void
session_continue(struct session *s)
{
	if (s->stream == NULL && s->phase != PHASE_END)
		close_soon(s);
	else
		run(s);
}

static void
greet(struct session *s)
{
	struct buf    *line = &s->server->line;
	struct str     host = s->site->config->hostname;

	buf_clear(line);
	buf_addz(line, "220 ");
	buf_add(line, host);
	buf_addz(line, " ESMTP postern\r\n");
	stream_write(s->stream, buf_str(line));
	s->greeted = true;
	session_enter(s, PHASE_START);
	arm(s, true);
}

static void
secured(struct session *s)
{
	s->secure = true;
	s->armed_ms = 0;
	/* Nothing said before counts (RFC 3207 section 4.2). */
	session_reset(s);
	forget(&s->helo);
	log_out(s);
	s->esmtp = false;
	if (!s->greeted) {
		greet(s);
		return;
	}
	session_enter(s, PHASE_START);
	run(s);
}

static void
timed_out(struct session *s)
{
	s->armed_ms = 0;
	if (s->phase == PHASE_PAUSE) {
		exchange_refuse(s);
		run(s);
	} else if (s->phase == PHASE_TLS) {
		lost(s);
	} else if ((s->phase & PHASES_CLIENT) != 0) {
		if ((s->phase & (PHASE_DATA | PHASE_CHUNK)) != 0)
			session_log_reject(s, "data", "timeout", REPLY(421, 4, 4, 2, "timeout"),
			                   STR_NONE);
		session_end(s, REPLY(421, 4, 4, 2, "waited too long for you: closing"));
	}
}

static void
on_event(void *arg, enum stream_event event)
{
	struct session *s = arg;

	switch (event) {
	case STREAM_INPUT:
		run(s);
		break;
	case STREAM_EOF:
		/* He may have sent all and wait for the answers. */
		s->eof = true;
		run(s);
		break;
	case STREAM_SECURE:
		secured(s);
		break;
	case STREAM_TIMEOUT:
		timed_out(s);
		break;
	case STREAM_ERROR:
		if (s->phase == PHASE_TLS)
			session_log_reject(
				s, "tls", "tls-fail",
				(struct reply){421, {4, 7, 0}, str_of(stream_error(s->stream))},
				STR_NONE);
		lost(s);
		break;
	case STREAM_DRAINED:
		if (s->clogged)
			run(s);
		break;
	case STREAM_CONNECTED:
		break;
	}
}

void
session_create(struct server *sv, const struct listen_conf *on, int fd, struct addr client,
               struct limit place)
{
	struct stream  *stream;
	struct session *s = mem_zero(sizeof *s);

	s->server = sv;
	s->site = site_ref(sv->site);
	s->on = on;
	s->client = client;
	s->place = place;
	s->trusted = place.row == NULL;
	count_memory(s, sizeof *s);
	list_push(&sv->sessions, &s->link);
	s->stream = stream = stream_accept(sv->loop, fd, on_event, s);
	if (stream == NULL) {
		close_soon(s);
		return;
	}
	if (on->tls != LISTEN_TLS) {
		greet(s);
		return;
	}
	session_enter(s, PHASE_TLS);
	arm(s, true);
	if (s->site->tls == NULL || !stream_tls_accept(stream, s->site->tls))
		lost(s);
}

bool
session_is_idle_stranger(const struct session *s)
{
	return !s->trusted && s->login.n == 0 &&
	       (s->phase & (PHASE_TLS | PHASE_START | PHASE_READY)) != 0;
}

void
session_evict(struct session *s)
{
	if (s->phase == PHASE_TLS)
		lost(s);
	else
		session_end(s, REPLY(421, 4, 3, 2, "too many connections: try again later"));
	session_destroy(s);
}

void
session_shut(struct session *s, bool idle_only)
{
	bool idle = (s->phase & (PHASE_TLS | PHASES_COMMAND | PHASE_AUTH | PHASE_PAUSE)) != 0 &&
	            s->phase != PHASE_BDAT;

	if (!idle && idle_only)
		return;
	if (s->phase == PHASE_TLS)
		lost(s);
	else
		session_end(s, REPLY(421, 4, 3, 2, "going down: connect again in a moment"));
}
