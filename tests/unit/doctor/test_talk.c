/* SPDX-License-Identifier: ISC */
/* Scripts against a server of replies, over a socket pair. */
#include "doctor/talk.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/net/loop.h"
#include "lib/net/stream.h"
#include "tests/unit/check.h"

enum { TEXT_MAX_OCTETS = 100000, LINE_OCTETS = 4000, TICK_MS = 5, TICKS = 1000 };

/* clang-format off */
static const struct {
	const char *name;
	const char *script;
	const char *replies; /* one a line of this text, but "250-": several lines of one; "EOF" hangs up */
	const char *heard;   /* lines with ; between */
	const char *said;    /* "VERB CODE" with ; between */
	const char *why;     /* NULL: to the end */
} rows[] = {
	{"a whole conversation", "EHLO a\nMAIL FROM:<>", "220 hi\n250 a\n250 ok", "EHLO a;MAIL FROM:<>;QUIT", " 220;EHLO 250;MAIL 250", NULL},
	{"a reply of several lines", "EHLO a", "220-hi\n220 there\n250-a\n250-SIZE 1\n250 X", "EHLO a;QUIT", " 220;EHLO 250", NULL},
	{"octets", "RCPT TO:<a%40b%00%zz%2>", "220 hi\n550 no", "RCPT TO:<a@b?%zz%2>;QUIT", " 220;RCPT 550", NULL},
	{"two at once", "MAIL a\n+RCPT b\n+RCPT c\nRSET", "220 hi\n250 1\n550 2\n250 3\n250 4", "MAIL a;RCPT b;RCPT c;RSET;QUIT", " 220;MAIL 250;RCPT 550;RCPT 250;RSET 250", NULL},
	{"before the greeting", "+PROXY x\nEHLO a", "220 hi\n554 no\n250 a", "PROXY x;EHLO a;QUIT", " 220;PROXY 554;EHLO 250", NULL},
	{"not wanted", "EHLO a", "554 go\n250 a", "", " 554", "it does not want to talk"},
	{"sent away", "EHLO a\nMAIL b", "220 hi\n421 no", "EHLO a", " 220;EHLO 421", "it does not want to talk"},
	{"hung up", "EHLO a\nMAIL b", "220 hi\n250 a\nEOF", "EHLO a;MAIL b", " 220;EHLO 250", "it closed the connection"},
	{"no TLS there", "STARTTLS\n!tls\nEHLO b", "220 hi\n502 no", "STARTTLS", " 220;STARTTLS 502", "no TLS there"},
	{"not SMTP", "EHLO a", "HTTP/1.1 400", "", "", "it does not speak SMTP"},
	{"no code of SMTP", "EHLO a", "199 x", "", "", "it does not speak SMTP"},
};
/* clang-format on */

struct fixture {
	struct loop   *loop;
	struct stream *server;
	struct str     replies;
	struct buf     heard;
	struct str     want;
	struct timer  *tick;
	unsigned       ticks;
	bool           over;
};

static bool
is_last_line(struct str line)
{
	return line.n < 4 || line.p[3] != '-';
}

/* The next reply, with all of its lines. */
static void
answer(struct fixture *x)
{
	struct str line;

	while (x->server != NULL && str_cut(&x->replies, '\n', &line)) {
		if (str_eq(line, STR("EOF")) || line.n == 0) {
			stream_finish(x->server);
			x->server = NULL;
			return;
		}
		stream_write(x->server, line);
		stream_write(x->server, STR("\r\n"));
		if (is_last_line(line))
			return;
	}
}

static void
on_server(void *arg, enum stream_event event)
{
	struct fixture *x = arg;
	struct str      line;

	if (event != STREAM_INPUT)
		return;
	while (x->server != NULL && stream_line(x->server, LINE_OCTETS, &line) >= LINE_OK) {
		buf_addz(&x->heard, x->heard.n > 0 ? ";" : "");
		for (size_t i = 0; i < line.n; i++)
			buf_addc(&x->heard, line.p[i] == '\0' ? '?' : line.p[i]);
		answer(x);
	}
}

/* Over, and all is heard that was to be; what is not within five seconds never will be. */
static void
on_tick(void *arg)
{
	struct fixture *x = arg;

	if ((x->over && str_eq(buf_str(&x->heard), x->want)) || ++x->ticks == TICKS)
		loop_stop(x->loop);
	timer_set(x->tick, TICK_MS);
}

static void
on_done(void *arg)
{
	struct fixture *x = arg;

	assert_false(x->over);
	x->over = true;
}

static void
check_talk(size_t i)
{
	struct fixture    x = {.replies = str_of(rows[i].replies), .heard = BUF(TEXT_MAX_OCTETS)};
	struct buf        said = BUF(TEXT_MAX_OCTETS);
	struct dns_answer a;
	struct talk      *t;
	int               pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	                 0);
	x.loop = loop_create();
	x.server = stream_accept(x.loop, pair[1], on_server, &x);
	t = talk_start(&(struct talk_way){.loop = x.loop, .fd = pair[0]}, str_of(rows[i].script),
	               on_done, &x);
	assert_false(x.over);
	answer(&x);
	x.want = str_of(rows[i].heard);
	x.tick = timer_create_on(x.loop, on_tick, &x);
	timer_set(x.tick, TICK_MS);
	loop_run(x.loop);
	check_int(rows[i].name, x.over, 1);
	talk_answer(t, &a);
	for (size_t k = 0; k < a.n; k++) {
		buf_addz(&said, k > 0 ? ";" : "");
		buf_add(&said, a.records[k].name);
		buf_addf(&said, " %u", a.records[k].preference);
	}
	check_text(rows[i].name, buf_str(&x.heard), rows[i].heard);
	check_text(rows[i].name, buf_str(&said), rows[i].said);
	check_text(rows[i].name, str_of(a.why), rows[i].why == NULL ? "" : rows[i].why);
	check_int(rows[i].name, a.status, DNS_OK);
	talk_destroy(t);
	stream_close(x.server);
	timer_destroy(x.tick);
	loop_destroy(x.loop);
	buf_free(&x.heard);
	buf_free(&said);
}

static void
test_scripts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_talk(i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_scripts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
