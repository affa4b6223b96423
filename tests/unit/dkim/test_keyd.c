/* SPDX-License-Identifier: ISC */
/* The whole role in a child process; this one plays supervisor and deliveries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dkim/keyd.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/util/encode.h"
#include "lib/util/random.h"

#include "vectors.inc"

enum { PATIENCE_MS = 10000, BURST = 1000 };

/* One end of a channel to the role, and what came last. */
struct side {
	struct channel *channel;
	unsigned        answers;
	uint64_t        id;
	bool            ok, gone;
	struct buf      signature, why;
};

static struct loop *loop;
static struct side  up, one, two;
static unsigned     readies;
static unsigned     wanted; /* loop_run() ends when this many things have come */
static pid_t        child;

static void
came(void)
{
	if (wanted > 0 && --wanted == 0)
		loop_stop(loop);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct side              *s = arg;
	const struct wire_signed *m = msg;

	assert_int_equal(fd, -1);
	if (id == WIRE_READY) {
		readies++;
		came();
	}
	if (id != WIRE_SIGNED)
		return;
	s->answers++;
	s->id = m->id;
	s->ok = m->ok != 0;
	buf_clear(&s->signature);
	buf_add(&s->signature, m->signature);
	buf_clear(&s->why);
	buf_add(&s->why, m->why);
	came();
}

static void
gone(void *arg, const char *why)
{
	struct side *s = arg;

	(void)why;
	s->gone = true;
	channel_close(s->channel);
	s->channel = NULL;
	came();
}

static const struct channel_hooks hooks = {message, gone};

static void
too_late(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
wait_for(unsigned n)
{
	struct timer *t = timer_create_on(loop, too_late, NULL);

	wanted = n;
	timer_set(t, PATIENCE_MS);
	loop_run(loop);
	timer_destroy(t);
	assert_int_equal(wanted, 0);
}

static void
pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
}

/* What the supervisor would send: read from a file, cut to what keyd may see. */
static void
send_config(bool with_rsa, uint32_t generation)
{
	char           path[] = "/tmp/test_keyd-XXXXXX";
	int            fd = mkstemp(path);
	struct buf     text = BUF(1 << 20), report = BUF(1 << 16);
	struct config *c;

	assert_true(fd >= 0);
	dprintf(fd,
	        "hostname mail.example.org\nuser-account root\ndomains example.org\n"
	        "listen 127.0.0.1:2599\n"
	        "dkim example.org { key ed %s/keys/ed25519.pkcs8.pem\n",
	        CORPUS);
	if (with_rsa)
		dprintf(fd, "key rsa %s/keys/rsa2048.pkcs8.pem\n", CORPUS);
	dprintf(fd, "}\n");
	close(fd);
	c = config_load(path, &report, NULL, NULL);
	unlink(path);
	if (c == NULL)
		fail_msg("%s", buf_z(&report));
	config_render(c, ROLE_KEYD, &text);
	config_unref(c);
	channel_send(up.channel, WIRE_CONFIG,
	             &(struct wire_config){.generation = generation, .text = buf_str(&text)}, -1);
	buf_free(&text);
	buf_free(&report);
}

/* A new channel to the role; the raw descriptor of our end. */
static int
add_peer(void)
{
	int fds[2];

	pair(fds);
	channel_send(up.channel, WIRE_PEER, &(struct wire_peer){.who = ROLE_DELIVERY}, fds[1]);
	return fds[0];
}

static void
open_side(struct side *s, int fd, enum role_id me)
{
	memset(s, 0, sizeof *s);
	buf_init(&s->signature, 4096);
	buf_init(&s->why, 4096);
	s->channel = channel_open(loop, fd, me, ROLE_KEYD, &hooks, s);
}

static int
start(void **state)
{
	int fds[2];

	(void)state;
	pair(fds);
	child = fork();
	if (child == 0) {
		/* The role ignores signals but this one; it must not outlive a test that fails. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)dup2(fds[1], 3);
		(void)close_range(4, ~0u, 0);
		_exit(keyd_main(0));
	}
	close(fds[1]);
	loop = loop_create();
	readies = 0;
	open_side(&up, fds[0], ROLE_SUPERVISOR);
	send_config(true, 1);
	open_side(&one, add_peer(), ROLE_DELIVERY);
	channel_send(up.channel, WIRE_GO, &(struct wire_empty){0}, -1);
	wait_for(1);
	assert_int_equal(readies, 1);
	return 0;
}

static void
close_side(struct side *s)
{
	channel_close(s->channel);
	buf_free(&s->signature);
	buf_free(&s->why);
	memset(s, 0, sizeof *s);
}

/* The role must have lived through everything. */
static int
stop(void **state)
{
	int status;

	(void)state;
	close_side(&one);
	close_side(&two);
	close_side(&up);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	loop_destroy(loop);
	return 0;
}

static void
ask(struct side *s, uint64_t id, const char *selector, struct str digest)
{
	struct wire_sign m = {.id = id,
	                      .domain = STR("example.org"),
	                      .selector = str_of(selector),
	                      .digest = digest};

	channel_send(s->channel, WIRE_SIGN, &m, -1);
}

static void
digests_are_signed(void **state)
{
	struct buf digest = BUF(100), text = BUF(4096);

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kats); i++) {
		bool rsa = i % 2 == 0;

		buf_clear(&digest);
		buf_clear(&text);
		assert_true(base64_decode(&digest, str_of(kats[i / 2].digest)));
		ask(&one, 100 + i, rsa ? "rsa" : "ed", buf_str(&digest));
		wait_for(1);
		assert_true(one.ok);
		assert_int_equal(one.id, 100 + i);
		base64_encode(&text, buf_str(&one.signature));
		assert_string_equal(buf_z(&text), rsa ? kats[i / 2].rsa2048 : kats[i / 2].ed25519);
	}
	buf_free(&digest);
	buf_free(&text);
}

static void
bad_requests_are_answered(void **state)
{
	static const char digest[33];
	static const struct {
		const char *selector;
		size_t      n;
		const char *why;
	} rows[] = {
		{"other", 32, "there is no such key"},
		{"", 32, "there is no such key"},
		{"RSA", 32, "there is no such key"},
		{"rsa", 31, "the digest has not 32 octets"},
		{"rsa", 33, "the digest has not 32 octets"},
		{"ed", 0, "the digest has not 32 octets"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask(&one, i, rows[i].selector, (struct str){digest, rows[i].n});
		wait_for(1);
		assert_false(one.ok);
		assert_string_equal(buf_z(&one.why), rows[i].why);
		assert_int_equal(one.signature.n, 0);
	}
}

static void
a_burst_is_answered(void **state)
{
	static const char digest[32];

	(void)state;
	open_side(&two, add_peer(), ROLE_DELIVERY);
	for (unsigned i = 0; i < BURST; i++) {
		ask(&one, i, "ed", (struct str){digest, sizeof digest});
		ask(&two, i, "rsa", (struct str){digest, sizeof digest});
	}
	wait_for(2 * BURST);
	assert_int_equal(one.answers, BURST);
	assert_int_equal(two.answers, BURST);
	assert_int_equal(one.id, BURST - 1);
	assert_true(one.ok && two.ok);
}

/* What waits for a peer that is gone is not signed, and the others are served. */
static void
a_peer_leaves_in_the_middle(void **state)
{
	static const char digest[32];

	(void)state;
	open_side(&two, add_peer(), ROLE_DELIVERY);
	for (unsigned i = 0; i < BURST; i++)
		ask(&two, i, "rsa", (struct str){digest, sizeof digest});
	wait_for(1);
	close_side(&two);
	ask(&one, 7, "ed", (struct str){digest, sizeof digest});
	wait_for(1);
	assert_true(one.ok && one.id == 7);
}

static void
hostile_octets_end_only_their_channel(void **state)
{
	static const char digest[32];

	(void)state;
	random_hook(1);
	for (unsigned round = 0; round < 50; round++) {
		char           noise[600];
		int            fd = add_peer();
		struct timeval patience = {.tv_sec = 10};
		ssize_t        n;

		random_bytes(noise, sizeof noise);
		if (round % 2 == 0) { /* a plausible header, so that the decoder sees the rest */
			const unsigned char head[] = {100, 0, 0, 0, WIRE_SIGN, 0, 0, 0};

			memcpy(noise, head, sizeof head);
		}
		assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
		assert_int_equal(
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
		ask(&one, round, "ed", (struct str){digest, sizeof digest});
		wait_for(1);
		assert_true(one.ok && one.id == round);
		assert_true(send(fd, noise, sizeof noise, MSG_NOSIGNAL) >= 0);
		shutdown(fd, SHUT_WR);
		while ((n = recv(fd, noise, sizeof noise, 0)) > 0)
			continue;
		assert_true(n == 0 || n == -1);
		close(fd);
	}
	random_hook(0);
}

static void
keys_change_with_the_configuration(void **state)
{
	static const char digest[32];

	(void)state;
	ask(&one, 1, "rsa", (struct str){digest, sizeof digest});
	wait_for(1);
	assert_true(one.ok);
	send_config(false, 2);
	wait_for(1);
	assert_int_equal(readies, 2);
	ask(&one, 2, "rsa", (struct str){digest, sizeof digest});
	wait_for(1);
	assert_false(one.ok);
	ask(&one, 3, "ed", (struct str){digest, sizeof digest});
	wait_for(1);
	assert_true(one.ok);
}

/* Deliveries finish their work while the daemon stops, and for that they need signatures. */
static void
draining_waits_for_the_deliveries(void **state)
{
	static const char digest[32];

	(void)state;
	channel_send(up.channel, WIRE_DRAIN, &(struct wire_empty){0}, -1);
	ask(&one, 9, "ed", (struct str){digest, sizeof digest});
	wait_for(1);
	assert_true(one.ok && !up.gone);
	close_side(&one);
	wait_for(1);
	assert_true(up.gone);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(digests_are_signed, start, stop),
		cmocka_unit_test_setup_teardown(bad_requests_are_answered, start, stop),
		cmocka_unit_test_setup_teardown(a_burst_is_answered, start, stop),
		cmocka_unit_test_setup_teardown(a_peer_leaves_in_the_middle, start, stop),
		cmocka_unit_test_setup_teardown(hostile_octets_end_only_their_channel, start, stop),
		cmocka_unit_test_setup_teardown(keys_change_with_the_configuration, start, stop),
		cmocka_unit_test_setup_teardown(draining_waits_for_the_deliveries, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
