/* SPDX-License-Identifier: ISC */
#include "delivery/client.h"

#include <assert.h>
#include <stdlib.h>

#include "delivery/client_inner.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	COMMANDS_MAX = 512 * 1024, /* a pipelined group: at most 100 recipients with DSN parameters */
};

static const struct step steps[STEP_COUNT] = {
	/*                 name         limit       reply */
	[STEP_GREETING] = {"greeting",  300 * 1000, got_greeting}, /* by configuration */
	[STEP_EHLO]     = {"EHLO",      300 * 1000, got_ehlo},
	[STEP_HELO]     = {"HELO",      300 * 1000, got_helo},
	[STEP_STARTTLS] = {"STARTTLS",  120 * 1000, got_starttls},
	[STEP_AUTH]     = {"AUTH",      120 * 1000, got_auth},
	[STEP_RSET]     = {"RSET",       20 * 1000, got_rset},
	[STEP_MAIL]     = {"MAIL",      300 * 1000, got_mail},
	[STEP_RCPT]     = {"RCPT",      300 * 1000, got_rcpt},
	[STEP_DATA]     = {"DATA",      120 * 1000, got_data},
	[STEP_DOT]      = {"end of data", 600 * 1000, got_dot},
};

static const unsigned after[] = { /* where each state may lead */
	[CLIENT_CONNECTING] = 1u << CLIENT_SECURING | 1u << CLIENT_OPENING | 1u << CLIENT_CLOSED,
	[CLIENT_SECURING] = 1u << CLIENT_OPENING | 1u << CLIENT_CLOSED,
	[CLIENT_OPENING] = 1u << CLIENT_SECURING | 1u << CLIENT_READY | 1u << CLIENT_CLOSED,
	[CLIENT_READY] = 1u << CLIENT_CLOSED,
	[CLIENT_CLOSED] = 1u << CLIENT_CLOSED,
};

void
client_enter(struct client *c, enum client_state to)
{
	assert((after[c->state] & 1u << to) != 0);
	c->state = to;
}

bool
client_is_over(const struct client *c)
{
	return c->state == CLIENT_CLOSED;
}

void
client_ask(struct client *c, enum step_id step)
{
	struct due *last = &c->due[(c->due_first + c->due_n + DUE_MAX - 1) % DUE_MAX];

	if (c->due_n > 0 && last->step == step) {
		last->n++;
		return;
	}
	assert(c->due_n < DUE_MAX);
	c->due[(c->due_first + c->due_n++) % DUE_MAX] = (struct due){.step = step, .n = 1};
	if (c->due_n == 1)
		client_limit(c);
}

void
client_limit(struct client *c)
{
	enum step_id step;

	if (c->due_n == 0) {
		stream_timeout(c->stream, 0);
		return;
	}
	step = c->due[c->due_first].step;
	stream_timeout(c->stream,
	               step == STEP_GREETING ? c->conf.greeting_limit_ms : steps[step].limit_ms);
}

static void
debug_line(const struct client *c, const char *who, struct str line)
{
	if (c->conf.debug)
		log_debug(ev("smtp"), kv("mx", c->conf.name), kv(who, line));
}

void
client_flush(struct client *c)
{
	if (c->out.n == 0)
		return;
	debug_line(c, "c", c->due_n > 0 && c->due[c->due_first].step == STEP_AUTH ? STR("AUTH ***")
	                                                                          : buf_str(&c->out));
	stream_write(c->stream, buf_str(&c->out));
	buf_clear(&c->out);
}

void
client_fail(struct client *c, enum client_stage stage, struct reply r)
{
	client_enter(c, CLIENT_CLOSED);
	stream_close(c->stream);
	c->stream = NULL;
	c->hooks->broken(c->arg, stage, r);
}

static const uint8_t stage_status[][3] = {
	[STAGE_CONNECT] = {4, 4, 1},
	[STAGE_GREETING] = {4, 4, 2},
	[STAGE_TLS] = {4, 7, 5},
	[STAGE_AUTH] = {4, 7, 8},
	[STAGE_MAIL] = {4, 4, 2},
};

void
client_failf(struct client *c, enum client_stage stage, const char *format, ...)
{
	const uint8_t *s = stage_status[stage];
	va_list        args;

	buf_clear(&c->why);
	va_start(args, format);
	buf_addv(&c->why, format, args);
	va_end(args);
	client_fail(c, stage,
	            (struct reply){.code = 451, .status = {s[0], s[1], s[2]}, .text = buf_str(&c->why)});
}

static const char *
where(const struct client *c)
{
	switch (c->state) {
	case CLIENT_CONNECTING:
		return "connecting";
	case CLIENT_SECURING:
		return "the TLS handshake";
	case CLIENT_OPENING:
	case CLIENT_READY:
	case CLIENT_CLOSED:
		break;
	}
	return c->due_n > 0 ? steps[c->due[c->due_first].step].name : "waiting for mail";
}

static enum client_stage
stage(const struct client *c)
{
	switch (c->state) {
	case CLIENT_CONNECTING:
		return STAGE_CONNECT;
	case CLIENT_SECURING:
		return STAGE_TLS;
	case CLIENT_OPENING:
		return c->due_n > 0 && c->due[c->due_first].step == STEP_AUTH ? STAGE_AUTH : STAGE_GREETING;
	case CLIENT_READY:
	case CLIENT_CLOSED:
		break;
	}
	return STAGE_MAIL;
}

/*
 * More than this reply is there, and no question is out. Behind the 220 of STARTTLS the stream looks
 * for itself; a 421 is a server that changes its mind.
 */
static bool
is_ahead(const struct client *c, enum step_id step)
{
	return c->state == CLIENT_OPENING && c->due_n == 0 && step != STEP_STARTTLS &&
	       stream_waiting(c->stream) > 0 &&
	       !str_eq(stream_peek(c->stream, 3), STR("421"));
}

/* "421: service not available, closing" may come instead of any reply (RFC 5321 section 3.8). */
static void
take_reply(struct client *c, struct reply r)
{
	struct due  *d = &c->due[c->due_first];
	enum step_id step = d->step;

	if (r.code == 421 && step != STEP_DOT) {
		client_fail(c, stage(c), r);
		return;
	}
	if (--d->n == 0) {
		c->due_first = (c->due_first + 1) % DUE_MAX;
		c->due_n--;
	}
	client_limit(c);
	if (is_ahead(c, step)) {
		client_failf(c, stage(c), "%.*s answers before it is asked", (int)c->conf.name.n,
		             c->conf.name.p);
		return;
	}
	steps[step].got(c, r);
}

static void
take_line(struct client *c, struct str line)
{
	struct reply r;

	debug_line(c, "s", line);
	switch (replies_line(&c->replies, line, &r)) {
	case REPLIES_MORE:
		return;
	case REPLIES_BROKEN:
		client_failf(c, stage(c), "unusable reply from %.*s at %s", (int)c->conf.name.n,
		             c->conf.name.p, where(c));
		return;
	case REPLIES_WHOLE:
		break;
	}
	if (c->due_n > 0)
		take_reply(c, r);
	else if (r.code == 421)
		client_fail(c, stage(c), r);
	else
		client_failf(c, stage(c), "%.*s sent a reply that nobody asked for",
		             (int)c->conf.name.n, c->conf.name.p);
}

static void
take_input(struct client *c)
{
	struct str line;

	while (!client_is_over(c) && c->state != CLIENT_SECURING) {
		switch (stream_line(c->stream, REPLY_LINE_MAX, &line)) {
		case LINE_NONE:
			return;
		case LINE_OK:
			take_line(c, line);
			break;
		case LINE_LONG:
		case LINE_BARE:
			client_failf(c, stage(c), "unusable reply from %.*s at %s", (int)c->conf.name.n,
			             c->conf.name.p, where(c));
			break;
		}
	}
}

static void
connected(struct client *c)
{
	c->connect_ms = time_mono_ms() - c->since_ms;
	if (c->conf.tls == ROUTE_TLS) {
		opening_secure(c);
		return;
	}
	client_enter(c, CLIENT_OPENING);
	client_ask(c, STEP_GREETING);
}

/* "mx.example.com (192.0.2.1:25), EHLO: timed out": which host, when, what. */
static void
lost(struct client *c, const char *what)
{
	struct buf at = BUF(64);

	addr_format_port(&at, c->conf.to);
	client_failf(c, stage(c), "%.*s (%s), %s: %s", (int)c->conf.name.n, c->conf.name.p, buf_z(&at),
	             where(c), what);
	buf_free(&at);
}

static void
take_event(struct client *c, enum stream_event what)
{
	switch (what) {
	case STREAM_CONNECTED:
		connected(c);
		break;
	case STREAM_INPUT:
		take_input(c);
		break;
	case STREAM_DRAINED:
		transaction_drained(c);
		break;
	case STREAM_SECURE:
		opening_secured(c);
		break;
	case STREAM_EOF:
		take_input(c);
		if (!client_is_over(c))
			lost(c, "the server closed the connection");
		break;
	case STREAM_TIMEOUT:
		lost(c, "timed out");
		break;
	case STREAM_ERROR:
		take_input(c);
		if (!client_is_over(c))
			lost(c, stream_error(c->stream));
		break;
	}
}

static void
end(struct client *c)
{
	replies_free(&c->replies);
	buf_free(&c->out);
	buf_free(&c->why);
	body_free(&c->body);
	free(c);
}

/* A hook below us may have closed the client: it lives until its event is over. */
static void
event(void *arg, enum stream_event what)
{
	struct client *c = arg;

	c->in_event = true;
	take_event(c, what);
	c->in_event = false;
	if (c->gone)
		end(c);
}

struct client *
client_open(struct loop *l, const struct client_conf *conf, const struct client_hooks *hooks, void *arg)
{
	struct client *c = mem_zero(sizeof *c);

	c->conf = *conf;
	c->hooks = hooks;
	c->arg = arg;
	c->out = BUF(COMMANDS_MAX);
	c->why = BUF(REPLY_TEXT_MAX);
	replies_init(&c->replies);
	c->since_ms = time_mono_ms();
	c->stream = stream_connect(l, conf->to, conf->from, event, c);
	stream_timeout(c->stream, conf->connect_limit_ms);
	return c;
}

void
client_close(struct client *c)
{
	if (c == NULL)
		return;
	stream_close(c->stream);
	c->stream = NULL;
	c->state = CLIENT_CLOSED;
	c->gone = true;
	if (!c->in_event)
		end(c);
}

void
client_quit(struct client *c)
{
	if (c->state == CLIENT_READY && c->due_n == 0 && !c->last) {
		stream_write(c->stream, STR("QUIT\r\n"));
		stream_finish(c->stream);
		c->stream = NULL;
	}
	client_close(c);
}

struct client_facts
client_facts(const struct client *c)
{
	return (struct client_facts){
		.tls = c->tls != NULL ? c->tls : "none",
		.tlsv = c->verified ? "pkix" : "none",
		.connect_ms = c->connect_ms,
		.tls_ms = c->tls_ms,
		.mail_max = c->hello.mail_max,
	};
}
