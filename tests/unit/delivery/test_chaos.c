/* SPDX-License-Identifier: ISC */
/*
 * Servers that do anything at any time. Whatever happens, each lease gets exactly one
 * outcome with a reply for each recipient, and nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/conn.h"
#include "delivery/destination.h"
#include "delivery/job.h"
#include "delivery/setup.h"
#include "delivery/signer.h"
#include "delivery/worker.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"
#include "tests/fake/fake.h"

enum { LEASES = 40, STEPS = 400, ROUNDS = 150, PEERS_MAX = 4096 };

struct state { /* of one server */
	bool greeted, data;
};

static struct loop  *loop;
static struct worker worker;
static unsigned      outcomes[LEASES + 1];
static struct state  states[PEERS_MAX];

struct dns_query {
	struct deferred call;
	enum dns_type   type;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;
};

static void
answer(void *arg)
{
	struct dns_query *q = arg;
	struct dns_record records[2] = {{.type = q->type, .ttl_s = 20}, {.type = q->type, .ttl_s = 5}};
	struct dns_answer a = {.status = DNS_OK, .records = records, .n = 2, .why = "chaos"};

	if (random_below(10) == 0) {
		a.status = (enum dns_status)(DNS_NODATA + random_below(4));
		a.n = 0;
	}
	for (unsigned i = 0; i < 2; i++) {
		records[i].preference = random_below(2);
		records[i].name = i == 0 ? STR("a.example") : STR("b.example");
		records[i].addr.family = q->type == DNS_A ? 4 : 6;
		records[i].addr.ip[0] = 10;
		records[i].addr.ip[3] = (uint8_t)random_below(4);
	}
	q->fn(q->arg, &a);
	free(q);
}

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = mem_zero(sizeof *q);

	(void)d;
	(void)name;
	*q = (struct dns_query){.type = type, .fn = fn, .arg = arg};
	q->call = (struct deferred){.fn = answer, .arg = q};
	loop_defer(loop, &q->call);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	loop_defer_cancel(loop, &q->call);
	free(q);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	(void)arg;
	if (id == WIRE_LEASE)
		job_start(&worker, msg, fd);
}

static void
gone(void *arg, const char *why)
{
	(void)arg;
	fail_msg("queue gone: %s", why);
}

static void
lease(uint64_t id)
{
	static char       body[200000];
	struct buf        lane = BUF(64);
	struct wire_lease l = {.id = id, .token = 1, .attempt = 1, .rcpts = STR("0 1 2"),
	                       .envelope = STR("from: a@example.com\nto: b@example.net\nto: c@example.net\n"
	                                       "to: d@example.net\n")};

	if (body[0] == '\0')
		memset(body, 'x', sizeof body);
	if (random_below(4) == 0)
		buf_addf(&lane, "[198.18.0.%u]", random_below(4));
	else
		buf_addf(&lane, "d%u.example", random_below(3));
	l.lane = buf_str(&lane);
	l.size = random_below(5) == 0 ? 150000 : 10;
	l.body = (struct str){body, (size_t)l.size};
	assert_true(fake_message(loop, WIRE_LEASE, &l, -1));
	buf_free(&lane);
}

static void
collect(void)
{
	const struct fake_frame *f;

	while ((f = fake_frame(loop)) != NULL) {
		const struct wire_outcome *o = f->msg;
		struct str                 rest, line;
		unsigned                   lines = 0;
		struct reply               r;

		assert_int_equal(f->id, WIRE_OUTCOME);
		rest = o->replies;
		while (str_cut(&rest, '\n', &line)) {
			lines++;
			assert_true(reply_parse(line, &r));
		}
		assert_int_equal(lines, 3);
		assert_in_range(o->id, 1, LEASES);
		assert_int_equal(outcomes[o->id]++, 0);
		fake_frame_drop(loop);
	}
}

static const char *
any_of(const char *const *lines, size_t n, unsigned odd)
{
	return random_below(odd) == 0 ? lines[1 + random_below((uint32_t)n - 1)] : lines[0];
}

#define ANY(odd, ...) \
	any_of((const char *const[]){__VA_ARGS__}, ARRAY_LEN(((const char *const[]){__VA_ARGS__})), odd)

static const char *
hello(void)
{
	return ANY(2, "250-x\r\n250 PIPELINING\r\n", "250-x\r\n250-PIPELINING\r\n250 SIZE 100000\r\n",
	           "250-x\r\n250 STARTTLS\r\n", "250 x\r\n", "502 what?\r\n", "421 no\r\n",
	           "250-x\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2 RCPTMAX=1\r\n");
}

/* What a server says to this line, mostly. */
static const char *
reply_to(struct str line, bool *data)
{
	if (*data) {
		if (!str_eq(line, STR(".")))
			return "";
		*data = false;
		return ANY(8, "250 2.0.0 taken\r\n", "451 4.3.0 no\r\n", "554 5.6.0 no\r\n", "421 bye\r\n");
	}
	if (str_starts(line, STR("EHLO")))
		return hello();
	if (str_starts(line, STR("MAIL")))
		return ANY(15, "250 ok\r\n", "450 4.1.0 no\r\n", "550 no\r\n", "421 bye\r\n", "354 odd\r\n");
	if (str_starts(line, STR("RCPT")))
		return ANY(4, "250 ok\r\n", "452 4.5.3 many\r\n", "550 5.1.1 no\r\n", "450 no\r\n");
	if (str_starts(line, STR("STARTTLS")))
		return ANY(4, "220 go\r\n", "454 no\r\n", "220 go\r\n250 injected\r\n");
	if (!str_eq(line, STR("DATA")))
		return "250 ok\r\n"; /* HELO, RSET, QUIT */
	*data = random_below(10) != 0;
	return *data ? "354 go\r\n" : "451 4.3.0 no\r\n";
}

static void
converse(struct fake_peer *p, bool *data)
{
	struct str got = fake_got(p);
	ptrdiff_t  end = str_find_str(got, STR("\r\n"));

	while (end >= 0 && fake_end(p) == FAKE_OPEN) {
		const char *reply = reply_to(str_sub(got, 0, (size_t)end), data);

		fake_taken(p, (size_t)end + 2);
		if (reply[0] != '\0')
			fake_send(p, str_of(reply));
		got = fake_got(p);
		end = str_find_str(got, STR("\r\n"));
	}
	if (*data && got.n > 1000 && random_below(20) == 0)
		fake_send(p, STR("552 5.3.4 too much already\r\n"));
}

static void
babble(struct fake_peer *p)
{
	fake_send(p, str_of(ANY(2, "250 ok\r\n", "rubbish\r\n", "250", "\r\n", "99999999\r\n", "250 a\nb\r\n",
	                        "354 go\r\n", "421 bye\r\n", "250-more\r\n", "220 hello\r\n")));
}

static void
act(struct fake_peer *p, struct state *s)
{
	static const struct tls_info info = {.version = "1.3", .cipher = "x", .bits = 256};

	if (fake_end(p) != FAKE_OPEN)
		return;
	if (fake_is_connecting(p)) {
		if (random_below(4) == 0)
			fake_fail(p, "connection refused");
		else
			fake_connect(p);
	} else if (!s->greeted) {
		s->greeted = true;
		fake_send(p, str_of(ANY(15, "220 hello\r\n", "554 no\r\n", "421 no\r\n", "521 never\r\n")));
	} else if (fake_tls(p) == FAKE_TLS_ASKED) {
		if (random_below(3) == 0)
			fake_fail(p, "handshake failure");
		else
			fake_secure(p, &info);
	} else if (random_below(100) == 0) {
		fake_eof(p);
	} else if (random_below(100) == 0) {
		fake_fail(p, "connection reset by peer");
	} else if (random_below(50) == 0) {
		fake_stall(p, random_below(2) == 0);
	} else if (random_below(100) == 0) {
		babble(p);
	} else {
		converse(p, &s->data);
	}
}

static void
change_configuration(struct setup *(*make)(unsigned generation), unsigned generation)
{
	struct setup *old = worker.setup;

	worker.setup = make(generation);
	destination_retire_all(&worker, true);
	conn_close_idle(&worker, true);
	setup_unref(old);
}

static struct setup *
make_setup(unsigned generation)
{
	struct config *c = config_read(STR("hostname me.example.com\ndkim-sign off\ndelivery-processes 5\n"
	                                   "outbound {\nport 25\nconnect-timeout 30s\ngreeting-timeout 300s\n"
	                                   "ipv6 on\n}\n"), generation);

	assert_non_null(c);
	return setup_create(c);
}

static void
live(void)
{
	uint64_t next = 1;

	for (unsigned step = 0; step < STEPS; step++) {
		if (next <= LEASES && random_below(6) == 0)
			lease(next++);
		for (size_t i = 0; i < fake_peers(loop) && i < PEERS_MAX; i++)
			if (random_below(3) == 0)
				act(fake_peer_at(loop, i), &states[i]);
		if (random_below(100) == 0)
			change_configuration(make_setup, step + 2);
		if (random_below(15) == 0)
			fake_wait(loop, random_below(60000));
		else
			fake_run(loop);
		collect();
	}
	while (next <= LEASES)
		lease(next++);
}

/* Nobody answers any more: limits alone must bring everything to its end. */
static void
die(void)
{
	for (unsigned i = 0; i < 900 && !list_empty(&worker.jobs); i++) {
		fake_wait(loop, 10000);
		job_tick(&worker);
		destination_tick(&worker);
		collect();
	}
	fake_wait(loop, 400000); /* connections that nobody needs any more run into their limits */
	destination_tick(&worker);
	fake_wait(loop, 61000);
	destination_tick(&worker);
	collect();
	assert_true(list_empty(&worker.jobs));
	assert_int_equal(worker.n_conns, 0);
	assert_true(list_empty(&worker.all));
	for (unsigned i = 1; i <= LEASES; i++)
		assert_int_equal(outcomes[i], 1);
}

static void
play(uint64_t seed)
{
	static const struct channel_hooks hooks = {message, gone};

	random_hook(seed);
	loop = loop_create();
	memset(outcomes, 0, sizeof outcomes);
	memset(states, 0, sizeof states);
	worker = (struct worker){.loop = loop, .setup = make_setup(1), .signer = signer_create(loop)};
	worker.queue = channel_open(loop, -1, ROLE_DELIVERY, ROLE_QUEUE, &hooks, NULL);
	live();
	die();
	channel_close(worker.queue);
	destination_close_all(&worker);
	signer_destroy(worker.signer);
	setup_unref(worker.setup);
	timer_destroy(worker.idle_end);
	loop_destroy(loop);
	random_hook(0);
}

static void
each_lease_has_one_outcome(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		play(seed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_lease_has_one_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
