/* SPDX-License-Identifier: ISC */
#include "doctor/talk.h"

#include <stdlib.h>

#include "lib/net/stream.h"
#include "lib/util/mem.h"

enum {
	REPLIES_MAX = 48,
	LINE_MAX_OCTETS = 2048, /* replies have 512 (RFC 5321 section 4.5.3.1.5); some have more */
	REPLY_MAX = 4096,
	SCRIPT_MAX = 8192,
};

/* A command and what was said to it; the first one is the greeting's. */
struct turn {
	struct str verb;
	unsigned   code;
	struct buf text;
};

struct talk {
	struct stream     *stream;
	struct tls_client *tls;
	struct buf         script;
	struct str         rest; /* of the script */
	struct turn        turns[REPLIES_MAX];
	size_t             said, answered;
	bool               connected, over;
	const char        *why;
	struct dns_record  records[REPLIES_MAX];
	void (*done)(void *arg);
	void *arg;
};

static void
end(struct talk *t, const char *why)
{
	if (t->over)
		return;
	t->over = true;
	t->why = why;
	stream_close(t->stream);
	t->stream = NULL;
	t->done(t->arg);
}

static bool
hex(char c, unsigned *value)
{
	static const char digits[] = "0123456789ABCDEF";
	ptrdiff_t         at = str_find(STR(digits), c);

	*value = at < 0 ? 0 : (unsigned)at;
	return at >= 0;
}

static void
add_octets(struct buf *out, struct str line)
{
	unsigned high, low;

	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '%' && i + 2 < line.n && hex(line.p[i + 1], &high) &&
		    hex(line.p[i + 2], &low)) {
			buf_addc(out, (char)(high * 16 + low));
			i += 2;
		} else {
			buf_addc(out, line.p[i]);
		}
	}
}

static bool
next_is(const struct talk *t, char first)
{
	return t->rest.n > 0 && t->rest.p[0] == first;
}

static void
say_line(struct talk *t)
{
	struct buf octets = BUF(SCRIPT_MAX);
	struct str line, words;

	if (!str_cut(&t->rest, '\n', &line) || t->said == REPLIES_MAX)
		return;
	if (line.n > 0 && line.p[0] == '+')
		line = str_skip(line, 1);
	words = line;
	t->turns[t->said++].verb = str_word(&words);
	add_octets(&octets, line);
	buf_addz(&octets, "\r\n");
	stream_write(t->stream, buf_str(&octets));
	buf_free(&octets);
}

static void
begin_tls(struct talk *t)
{
	struct str line;

	(void)str_cut(&t->rest, '\n', &line);
	if (t->answered > 0 && t->turns[t->answered - 1].code != 220)
		end(t, "no TLS there");
	else if (!stream_tls_connect(t->stream, t->tls, STR_NONE))
		end(t, "TLS could not begin");
}

/* All that was said is answered. */
static void
go_on(struct talk *t)
{
	if (next_is(t, '!')) {
		begin_tls(t);
	} else if (t->rest.n == 0) {
		stream_write(t->stream, STR("QUIT\r\n"));
		stream_finish(t->stream);
		t->stream = NULL;
		end(t, NULL);
	} else {
		do
			say_line(t);
		while (next_is(t, '+'));
	}
}

/* False: that is no reply. */
static bool
take_line(struct talk *t, struct str line)
{
	struct turn *turn = &t->turns[t->answered];
	uint64_t     code;

	if (!str_number(str_sub(line, 0, 3), 599, &code) || code < 200)
		return false;
	turn->code = (unsigned)code;
	buf_addz(&turn->text, turn->text.n > 0 ? "\n" : "");
	buf_add(&turn->text, str_skip(line, 4));
	if (turn->text.over)
		end(t, "its replies are too long");
	if (turn->text.over || (line.n > 3 && line.p[3] == '-'))
		return true;
	t->answered++;
	if (code == 421 || (t->answered == 1 && code != 220))
		end(t, "it does not want to talk");
	else if (t->answered == t->said)
		go_on(t);
	return true;
}

static void
read_lines(struct talk *t)
{
	struct str line;

	while (!t->over) {
		switch (stream_line(t->stream, LINE_MAX_OCTETS, &line)) {
		case LINE_NONE:
			return;
		case LINE_LONG:
			end(t, "its lines are too long");
			return;
		case LINE_OK:
		case LINE_BARE:
			if (t->answered == t->said || !take_line(t, line))
				end(t, "it does not speak SMTP");
			break;
		}
	}
}

static void
connected(struct talk *t)
{
	t->connected = true;
	if (next_is(t, '+'))
		say_line(t);
	else if (next_is(t, '!'))
		begin_tls(t);
}

static void
on_event(void *arg, enum stream_event event)
{
	struct talk *t = arg;

	switch (event) {
	case STREAM_CONNECTED:
		connected(t);
		break;
	case STREAM_INPUT:
		read_lines(t);
		break;
	case STREAM_SECURE:
		if (t->answered > 0)
			go_on(t);
		break;
	case STREAM_EOF:
		read_lines(t);
		end(t, "it closed the connection");
		break;
	case STREAM_TIMEOUT:
		end(t, t->connected ? "it did not answer in time" : "no connection in time");
		break;
	case STREAM_ERROR:
		end(t, t->connected ? "the connection broke" : "no connection: refused");
		break;
	case STREAM_DRAINED:
		break;
	}
}

struct talk *
talk_start(const struct talk_way *way, struct str script, void (*done)(void *arg), void *arg)
{
	struct talk *t = mem_zero(sizeof *t);

	t->done = done;
	t->arg = arg;
	t->tls = way->tls;
	t->said = 1; /* the greeting answers the connection */
	buf_init(&t->script, SCRIPT_MAX);
	buf_add(&t->script, script);
	t->rest = buf_str(&t->script);
	for (size_t i = 0; i < REPLIES_MAX; i++)
		buf_init(&t->turns[i].text, REPLY_MAX);
	if (way->fd >= 0) {
		t->stream = stream_accept(way->loop, way->fd, on_event, t);
		connected(t); /* a fresh stream refuses nothing: this does not end the talk */
	} else {
		t->stream = stream_connect(way->loop, way->to, (struct addr){0}, on_event, t);
	}
	stream_timeout(t->stream, TALK_MS);
	return t;
}

void
talk_destroy(struct talk *t)
{
	if (t == NULL)
		return;
	stream_close(t->stream);
	for (size_t i = 0; i < REPLIES_MAX; i++)
		buf_free(&t->turns[i].text);
	buf_free(&t->script);
	free(t);
}

void
talk_answer(struct talk *t, struct dns_answer *answer)
{
	*answer = (struct dns_answer){
		.status = t->connected ? DNS_OK : DNS_TEMPFAIL,
		.why = t->why != NULL || t->connected ? t->why : "no connection in time",
		.records = t->records,
		.n = t->answered};
	for (size_t i = 0; i < t->answered; i++)
		t->records[i] = (struct dns_record){.preference = t->turns[i].code,
		                                    .name = t->turns[i].verb,
		                                    .data = buf_str(&t->turns[i].text)};
}
