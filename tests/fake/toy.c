/* SPDX-License-Identifier: ISC */
#include "tests/fake/toy.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

enum { LINE_MAX_OCTETS = 512, IDLE_MS = 300 * 1000 };

struct toy {
	struct loop    *loop;
	struct stream  *s;
	struct channel *queue;
	struct buf      host;
	unsigned        tries;
	bool            waiting; /* for the queue; what has come in one packet stays */
};

static void
say(struct toy *t, const char *text)
{
	stream_write(t->s, str_of(text));
	stream_write(t->s, STR("\r\n"));
}

static void
finish(struct toy *t, const char *text)
{
	say(t, text);
	stream_finish(t->s);
	t->s = NULL;
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct toy *t = arg;

	if (id == WIRE_SPILLED && fd >= 0) {
		if (write(fd, "kept", 4) == 4)
			say(t, "250 spilled");
		close(fd);
	} else if (id == WIRE_STORED) {
		const struct wire_stored *stored = msg;

		say(t, stored->code == 250 ? "250 kept" : "451 not kept");
	}
	t->waiting = false;
	if (t->s != NULL)
		stream_resume(t->s);
}

static void
gone(void *arg, const char *why UNUSED)
{
	struct toy *t = arg;

	channel_close(t->queue);
	t->queue = NULL;
	if (t->s != NULL)
		finish(t, "421 the queue is gone");
}

static const struct channel_hooks hooks = {message, gone};

static void
wait_for_queue(struct toy *t)
{
	t->waiting = true;
	stream_pause(t->s);
}

static void
ask_queue(struct toy *t, struct str body)
{
	struct wire_put put = {.id = random_u64(), .size = body.n, .body = body};

	channel_send(t->queue, WIRE_PUT, &put, -1);
	wait_for_queue(t);
}

static void
run_line(struct toy *t, struct str line)
{
	if (str_istarts(line, STR("EHLO "))) {
		say(t, "250-hello");
		say(t, "250 STARTTLS");
	} else if (str_ieq(line, STR("STARTTLS"))) {
		say(t, "220 go on");
		if (!stream_tls_accept(t->s, NULL))
			finish(t, "554 too early");
	} else if (str_istarts(line, STR("KEEP "))) {
		ask_queue(t, str_skip(line, 5));
	} else if (str_ieq(line, STR("SPILL"))) {
		channel_send(t->queue, WIRE_SPILL, &(struct wire_spill){.id = 7}, -1);
		wait_for_queue(t);
	} else if (str_ieq(line, STR("QUIT"))) {
		finish(t, "221 bye");
	} else {
		say(t, "500 what?");
	}
}

static void
serve(struct toy *t)
{
	struct str line;

	while (t->s != NULL && !t->waiting) {
		switch (stream_line(t->s, LINE_MAX_OCTETS, &line)) {
		case LINE_NONE:
			return;
		case LINE_OK:
			run_line(t, line);
			break;
		case LINE_LONG:
			say(t, "500 too long");
			break;
		case LINE_BARE:
			finish(t, "500 bare");
			break;
		}
		if (t->s != NULL)
			stream_timeout(t->s, IDLE_MS);
	}
}

static void
server_event(void *arg, enum stream_event event)
{
	struct toy *t = arg;

	switch (event) {
	case STREAM_INPUT:
		serve(t);
		break;
	case STREAM_TIMEOUT:
		finish(t, "421 idle");
		break;
	case STREAM_EOF:
	case STREAM_ERROR:
		stream_close(t->s);
		t->s = NULL;
		break;
	case STREAM_SECURE:
	case STREAM_DRAINED:
	case STREAM_CONNECTED:
		break;
	}
}

static void *
server_start(struct script *sc, struct loop *l, struct buf *why UNUSED)
{
	struct toy *t = mem_zero(sizeof *t);

	t->loop = l;
	t->host = BUF(256);
	buf_add(&t->host, script_get(sc, "hostname"));
	t->queue = channel_open(l, -1, ROLE_SMTPD, ROLE_QUEUE, &hooks, t);
	t->s = stream_accept(l, script_accept(sc), server_event, t);
	stream_timeout(t->s, IDLE_MS);
	stream_write(t->s, STR("220 "));
	stream_write(t->s, buf_str(&t->host));
	say(t, " ready");
	return t;
}

static void
toy_stop(void *it)
{
	struct toy *t = it;

	stream_close(t->s);
	channel_close(t->queue);
	buf_free(&t->host);
	free(t);
}

static bool
toy_step(void *it, struct str word, struct str rest, struct buf *why)
{
	struct toy *t = it;

	if (!str_eq(word, STR("say")) || t->s == NULL) {
		buf_addz(why, "the toy cannot do that");
		return false;
	}
	stream_write(t->s, rest);
	say(t, "");
	return true;
}

const struct script_fixture toy_server = {SCRIPT_SERVER, server_start, toy_stop, toy_step};

static stream_fn client_event;

static void
dial(struct toy *t)
{
	struct addr to = {.family = 4, .ip = {192, 0, 2, (uint8_t)(9 + t->tries++)}, .port = 25};

	t->s = stream_connect(t->loop, to, (struct addr){0}, client_event, t);
	stream_timeout(t->s, 30000);
}

static void
talk(struct toy *t)
{
	struct str line;

	while (t->s != NULL && stream_line(t->s, LINE_MAX_OCTETS, &line) == LINE_OK) {
		if (str_starts(line, STR("220 go"))) {
			if (!stream_tls_connect(t->s, NULL, STR("mx.example.net")))
				finish(t, "QUIT");
		} else if (str_starts(line, STR("220 "))) {
			say(t, "EHLO toy");
		} else if (str_starts(line, STR("250 STARTTLS"))) {
			say(t, "STARTTLS");
		} else if (str_starts(line, STR("250 "))) {
			finish(t, "QUIT");
		}
	}
}

static void
client_event(void *arg, enum stream_event event)
{
	struct toy *t = arg;

	switch (event) {
	case STREAM_INPUT:
		talk(t);
		break;
	case STREAM_SECURE:
		say(t, stream_tls(t->s)->verified ? "EHLO toy" : "EHLO doubt");
		break;
	case STREAM_ERROR:
	case STREAM_TIMEOUT:
	case STREAM_EOF:
		stream_close(t->s);
		t->s = NULL;
		if (t->tries < 2)
			dial(t);
		break;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		break;
	}
}

static void *
client_start(struct script *sc UNUSED, struct loop *l, struct buf *why UNUSED)
{
	struct toy *t = mem_zero(sizeof *t);

	t->loop = l;
	dial(t);
	return t;
}

const struct script_fixture toy_client = {SCRIPT_CLIENT, client_start, toy_stop, NULL};
