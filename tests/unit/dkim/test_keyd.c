/* SPDX-License-Identifier: ISC */
/* The whole role in a child process; this one plays supervisor and deliveries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dkim/key.h"
#include "dkim/keyd.h"
#include "dkim/sign.h"
#include "lib/net/loop.h"
#include "lib/net/tls_key.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/util/random.h"
#include "tests/unit/dkim/files.h"

enum { PATIENCE_MS = 120 * 1000, BURST = 1000 };

/* One end of a channel to the role, and what came last. */
struct side {
	struct channel *channel;
	unsigned        answers;
	uint64_t        id;
	unsigned        news; /* KEYS */
	bool            ok, no_key, gone;
	struct buf      signature, why;
};

static struct loop *loop;
static struct side  up, one, two;
static unsigned     readies;
static bool         wants_rows; /* statistics; they come at the end without being asked for, too */
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
	const struct wire_stats  *told = msg;

	assert_int_equal(fd, -1);
	if (id == WIRE_READY) {
		readies++;
		came();
	}
	if (id == WIRE_KEYS) {
		s->news++;
		came();
	}
	if (id == WIRE_TROUBLE) {
		buf_clear(&s->why);
		buf_add(&s->why, ((const struct wire_trouble *)msg)->what);
		came();
	}
	if (id == WIRE_STATS && wants_rows) {
		buf_clear(&s->why);
		buf_add(&s->why, told->rows);
		came();
	}
	if (id != WIRE_SIGNED && id != WIRE_TLS_SIGNED)
		return;
	s->answers++;
	s->id = m->id;
	s->ok = m->ok == WIRE_SIGNED_OK;
	s->no_key = m->ok == WIRE_SIGNED_NO_KEY;
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

enum rsa { RSA_NOT, RSA_THERE, RSA_UNREAD };

/* Both keys of this file are gone when they are read again: the certificate's and the selector's. */
static void
make_rsa(char *path)
{
	struct buf pem = BUF(1 << 16);
	int        fd = mkstemp(path);

	files_corpus(&pem, "keys", "rsa2048.pkcs8.pem");
	assert_true(fd >= 0);
	assert_int_equal(write(fd, pem.p, pem.n), pem.n);
	close(fd);
	buf_free(&pem);
}

/* What the supervisor would send: read from a file, cut to what keyd may see. */
static void
send_config(enum rsa rsa, uint32_t generation)
{
	char           path[] = "/tmp/test_keyd-XXXXXX", rsa_path[] = "/tmp/test_keyd-rsa-XXXXXX";
	int            fd = mkstemp(path);
	struct buf     text = BUF(1 << 20), report = BUF(1 << 16);
	struct config *c;

	assert_true(fd >= 0);
	make_rsa(rsa_path);
	dprintf(fd,
	        "hostname mail.example.org\nuser-account root\ndomains example.org\n"
	        "listen 127.0.0.1:2599\n"
	        "dkim example.org { key ed %s/keys/ed25519.pkcs8.pem\n",
	        CORPUS);
	if (rsa != RSA_NOT)
		dprintf(fd, "key rsa %s\n", rsa_path);
	dprintf(fd, "}\ntls %s/keys/rsa2048.crt %s\n", CORPUS, rsa_path);
	close(fd);
	c = config_load(path, &report, NULL, NULL);
	unlink(path);
	if (c == NULL)
		fail_msg("%s", buf_z(&report));
	if (rsa == RSA_UNREAD) {
		config_forget_keys(c);
		unlink(rsa_path);
	}
	config_render(c, ROLE_KEYD, &text);
	unlink(rsa_path);
	config_unref(c);
	channel_send(up.channel, WIRE_CONFIG,
	             &(struct wire_config){.generation = generation, .text = buf_str(&text)}, -1);
	buf_free(&text);
	buf_free(&report);
}

/* A new channel to the role; the raw descriptor of our end. */
static int
add(enum role_id who)
{
	int fds[2];

	pair(fds);
	channel_send(up.channel, WIRE_PEER, &(struct wire_peer){.who = (uint8_t)who}, fds[1]);
	return fds[0];
}

static int
add_peer(void)
{
	return add(ROLE_DELIVERY);
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
	send_config(RSA_THERE, 1);
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

#define BODY_HASH "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define FROM      "from:Ann <ann@example.org>\r\n"

/* The signature's own field, for a key of example.org. */
static void
add_last(struct buf *out, const char *selector)
{
	buf_addf(out,
	         "dkim-signature:v=1; a=%s; c=relaxed/relaxed; d=example.org; s=%s; t=1795428431; "
	         "h=from:from; bh=%s; b=",
	         strcmp(selector, "rsa") == 0 ? "rsa-sha256" : "ed25519-sha256", selector, BODY_HASH);
}

static void
ask_at(struct side *s, uint64_t id, const char *domain, const char *selector, struct str fields)
{
	struct buf       last = BUF(1000);
	struct wire_sign m = {.id = id,
	                      .domain = str_of(domain),
	                      .selector = str_of(selector),
	                      .fields = fields};

	add_last(&last, selector);
	m.last = buf_str(&last);
	channel_send(s->channel, WIRE_SIGN, &m, -1);
	buf_free(&last);
}

static void
ask_for(struct side *s, uint64_t id, const char *selector, struct str fields)
{
	ask_at(s, id, "example.org", selector, fields);
}

static void
ask(struct side *s, uint64_t id, const char *selector)
{
	ask_for(s, id, selector, STR(FROM));
}

/* The same text signed here, with the key at hand. */
static void
sign_here(const char *file, const char *selector, struct buf *out)
{
	struct buf    pem = BUF(1 << 16), why = BUF(1000), last = BUF(1000);
	struct key   *key;
	unsigned char digest[DKIM_DIGEST];

	files_corpus(&pem, "keys", file);
	key = key_load(buf_str(&pem), &why);
	assert_non_null(key);
	add_last(&last, selector);
	dkim_digest(STR(FROM), buf_str(&last), digest);
	assert_true(key_sign(key, (struct str){(const char *)digest, sizeof digest}, out));
	key_destroy(key);
	buf_free(&pem);
	buf_free(&why);
	buf_free(&last);
}

static void
what_may_be_signed_is_signed(void **state)
{
	static const char *const rows[][2] = {{"rsa", "rsa2048.pkcs8.pem"}, {"ed", "ed25519.pkcs8.pem"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf here = BUF(4096);

		sign_here(rows[i][1], rows[i][0], &here);
		ask(&one, 100 + i, rows[i][0]);
		wait_for(1);
		assert_true(one.ok);
		assert_int_equal(one.id, 100 + i);
		assert_true(str_eq(buf_str(&one.signature), buf_str(&here)));
		buf_free(&here);
	}
}

/* Each refused request is counted for the key that it asked for. */
static void
check_counts(void)
{
	static const char *const rows[] = {"refused:example.org/rsa 4\n", "refused:example.org/ed 1\n",
	                                   "\nrefused 8\n"};

	wants_rows = true;
	channel_send(up.channel, WIRE_ASK_STATS, &(struct wire_empty){0}, -1);
	wait_for(1);
	wants_rows = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_find_str(buf_str(&up.why), str_of(rows[i])) < 0)
			fail_msg("%s is not in\n%s", rows[i], buf_z(&up.why));
}

static void
bad_requests_are_answered(void **state)
{
	static const struct {
		const char *selector;
		const char *fields;
		const char *why;
	} rows[] = {
		{"other", FROM, "there is no such key"},
		{"", FROM, "there is no such key"},
		{"RSA", FROM, "there is no such key"},
		{"rsa", "from:bob@example.net\r\n", "the author belongs to another domain than the key"},
		{"ed", "from:bob@example.net\r\n", "the author belongs to another domain than the key"},
		{"rsa", "", "the covered fields have no end"},
		{"rsa", "0123456789abcdef0123456789abcdef", "the covered fields have no end"},
		{"rsa", "to:ann@example.org\r\n", "no From field is covered"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask_for(&one, i, rows[i].selector, str_of(rows[i].fields));
		wait_for(1);
		assert_false(one.ok);
		assert_int_equal(one.no_key, strcmp(rows[i].why, "there is no such key") == 0);
		assert_string_equal(buf_z(&one.why), rows[i].why);
		assert_int_equal(one.signature.n, 0);
	}
	check_counts();
}

/* A selector is one of its domain: the same one of another names no key, nor does a part of the domain. */
static void
a_key_is_found_by_its_domain(void **state)
{
	static const char *const domains[] = {"example.net", "", "example", "org", "sub.example.org",
	                                      "EXAMPLE.ORG"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		ask_at(&one, i, domains[i], "rsa", STR(FROM));
		wait_for(1);
		assert_true(one.no_key);
		assert_int_equal(one.signature.n, 0);
	}
}

/* Others of our own processes have nothing to ask: their channel ends before a word. */
static void
who_needs_no_key_is_not_heard(void **state)
{
	static const enum role_id others[] = {ROLE_QUEUE, ROLE_AUTH, ROLE_DOCTOR, ROLE_KEYD};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		int           fd = add(others[i]);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char          octet;

		ask(&one, i, "ed"); /* its answer: the channel has been looked at, too */
		wait_for(1);
		assert_true(one.ok);
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		assert_int_equal(read(fd, &octet, 1), 0);
		close(fd);
	}
}

/* Nothing of what a client wrote may be in the way of the mail. */
static void
the_longest_header_is_signed(void **state)
{
	struct buf fields = BUF(2 << 20);

	(void)state;
	while (fields.n < 1 << 20)
		buf_addz(&fields, "to:somebody@example.net, somebody.else@example.net\r\n");
	buf_addz(&fields, FROM);
	ask_for(&one, 5, "ed", buf_str(&fields));
	wait_for(1);
	assert_true(one.ok);
	buf_free(&fields);
}

static void
a_burst_is_answered(void **state)
{
	(void)state;
	open_side(&two, add_peer(), ROLE_DELIVERY);
	for (unsigned i = 0; i < BURST; i++) {
		ask(&one, i, "ed");
		ask(&two, i, "rsa");
	}
	wait_for(2 * BURST);
	assert_int_equal(one.answers, BURST);
	assert_int_equal(two.answers, BURST);
	assert_int_equal(one.id, BURST - 1);
	assert_true(one.ok && two.ok);
}

#define CONTENT                                                                                     \
	"                                                                "                         \
	"TLS 1.3, server CertificateVerify\0"                                                      \
	"0123456789abcdef0123456789abcdef"

static void
ask_tls(struct side *s, struct str content)
{
	struct buf           pem = BUF(1 << 16), why = BUF(1000);
	struct tls_key      *key;
	struct wire_tls_sign m = {.scheme = 0x0804, .content = content};

	files_corpus(&pem, "keys", "rsa2048.pkcs8.pem");
	key = tls_key_load(buf_str(&pem), &why);
	assert_non_null(key);
	m.key = tls_key_id(key);
	channel_send(s->channel, WIRE_TLS_SIGN, &m, -1);
	tls_key_destroy(key);
	buf_free(&pem);
	buf_free(&why);
}

static void
handshakes_are_signed(void **state)
{
	(void)state;
	open_side(&two, add(ROLE_SMTPD), ROLE_SMTPD);
	ask_tls(&two, (struct str){CONTENT, sizeof CONTENT - 1});
	wait_for(1);
	assert_true(two.ok);
	assert_int_equal(two.signature.n, 256);
	ask_tls(&two, STR("from:ann@example.org\r\n"));
	wait_for(1);
	assert_false(two.ok);
	assert_string_equal(buf_z(&two.why), "no server's handshake signs this");
	channel_send(two.channel, WIRE_TLS_SIGN,
	             &(struct wire_tls_sign){.key = STR("no key's name"),
	                                     .scheme = 0x0804,
	                                     .content = {CONTENT, sizeof CONTENT - 1}},
	             -1);
	wait_for(1);
	assert_false(two.ok);
	assert_string_equal(buf_z(&two.why), "there is no such key");
}

static void
a_handshake_goes_before_mail(void **state)
{
	(void)state;
	open_side(&two, add(ROLE_SMTPD), ROLE_SMTPD);
	for (unsigned i = 0; i < BURST; i++)
		ask(&one, i, "rsa");
	wait_for(1);
	ask_tls(&two, (struct str){CONTENT, sizeof CONTENT - 1});
	while (two.answers == 0)
		wait_for(1);
	assert_true(two.ok);
	assert_true(one.answers < BURST);
}

/* A smtpd waits for each answer. One that does not cannot keep keyd from signing mail. */
static void
who_does_not_wait_is_sent_away(void **state)
{
	(void)state;
	open_side(&two, add(ROLE_SMTPD), ROLE_SMTPD);
	for (unsigned i = 0; i < BURST; i++)
		ask_tls(&two, (struct str){CONTENT, sizeof CONTENT - 1});
	while (!two.gone)
		wait_for(1);
	assert_true(two.answers < BURST / 2);
	ask(&one, 7, "ed");
	wait_for(1);
	assert_true(one.ok && one.id == 7);
}

/* What waits for a peer that is gone is not signed, and the others are served. */
static void
a_peer_leaves_in_the_middle(void **state)
{
	(void)state;
	open_side(&two, add_peer(), ROLE_DELIVERY);
	for (unsigned i = 0; i < BURST; i++)
		ask(&two, i, "rsa");
	wait_for(1);
	close_side(&two);
	ask(&one, 7, "ed");
	wait_for(1);
	assert_true(one.ok && one.id == 7);
}

static void
hostile_octets_end_only_their_channel(void **state)
{
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
		ask(&one, round, "ed");
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
	(void)state;
	ask(&one, 1, "rsa");
	wait_for(1);
	assert_true(one.ok);
	send_config(RSA_NOT, 2);
	wait_for(2); /* what waits for keys hears of it, too */
	assert_int_equal(readies, 2);
	assert_int_equal(one.news, 1);
	ask(&one, 2, "rsa"); /* by a delivery that does not know yet */
	wait_for(1);
	assert_true(one.ok);
	send_config(RSA_NOT, 2); /* once more, as when a file could not be read: no new configuration */
	wait_for(2);
	ask(&one, 3, "rsa");
	wait_for(1);
	assert_true(one.ok);
	send_config(RSA_NOT, 3);
	wait_for(2);
	ask(&one, 4, "rsa");
	wait_for(1);
	assert_true(one.no_key);
	ask(&one, 5, "ed");
	wait_for(1);
	assert_true(one.ok);
}

/* Its text comes empty, and later whole: mail waits for it, handshakes fail, and all else goes on. */
static void
a_key_that_could_not_be_read_comes_later(void **state)
{
	(void)state;
	open_side(&two, add(ROLE_SMTPD), ROLE_SMTPD);
	send_config(RSA_NOT, 2); /* both would have what they had before, else */
	wait_for(2);
	send_config(RSA_UNREAD, 3);
	wait_for(3);
	assert_int_equal(readies, 3);
	assert_true(str_starts(buf_str(&up.why), STR("2 private keys could not be read: ")));
	ask(&one, 1, "rsa");
	wait_for(1);
	assert_true(one.no_key);
	ask(&one, 2, "ed");
	wait_for(1);
	assert_true(one.ok);
	send_config(RSA_THERE, 3);
	wait_for(3);
	assert_int_equal(up.why.n, 0);
	assert_int_equal(one.news, 3);
	assert_int_equal(two.news, 0);
	ask(&one, 3, "rsa");
	wait_for(1);
	assert_true(one.ok);
	ask_tls(&two, (struct str){CONTENT, sizeof CONTENT - 1});
	wait_for(1);
	assert_true(two.ok);
}

/* Deliveries finish their work while the daemon stops, and for that they need signatures. */
static void
draining_waits_for_the_deliveries(void **state)
{
	(void)state;
	channel_send(up.channel, WIRE_DRAIN, &(struct wire_empty){0}, -1);
	ask(&one, 9, "ed");
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
		cmocka_unit_test_setup_teardown(what_may_be_signed_is_signed, start, stop),
		cmocka_unit_test_setup_teardown(bad_requests_are_answered, start, stop),
		cmocka_unit_test_setup_teardown(a_key_is_found_by_its_domain, start, stop),
		cmocka_unit_test_setup_teardown(who_needs_no_key_is_not_heard, start, stop),
		cmocka_unit_test_setup_teardown(the_longest_header_is_signed, start, stop),
		cmocka_unit_test_setup_teardown(a_burst_is_answered, start, stop),
		cmocka_unit_test_setup_teardown(handshakes_are_signed, start, stop),
		cmocka_unit_test_setup_teardown(a_handshake_goes_before_mail, start, stop),
		cmocka_unit_test_setup_teardown(who_does_not_wait_is_sent_away, start, stop),
		cmocka_unit_test_setup_teardown(a_peer_leaves_in_the_middle, start, stop),
		cmocka_unit_test_setup_teardown(hostile_octets_end_only_their_channel, start, stop),
		cmocka_unit_test_setup_teardown(keys_change_with_the_configuration, start, stop),
		cmocka_unit_test_setup_teardown(a_key_that_could_not_be_read_comes_later, start, stop),
		cmocka_unit_test_setup_teardown(draining_waits_for_the_deliveries, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
