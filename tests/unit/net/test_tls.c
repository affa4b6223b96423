/* SPDX-License-Identifier: ISC */
#include "lib/net/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "tests/unit/net/certs.h"
#include "tests/unit/net/ends.h"

enum { NAME_COUNT = 4 };

/* Made once: keys take time. */
static struct made_cert authority, first, first_rsa, second, wild, foreign;

static int
make_certs(void **state)
{
	(void)state;
	made_cert_init(&authority, CERT_ECDSA, "DNS:authority.test", NULL);
	made_cert_init(&first, CERT_ECDSA, "DNS:mx.first.test,DNS:localhost,IP:127.0.0.1",
	               &authority);
	made_cert_init(&first_rsa, CERT_RSA, "DNS:localhost,DNS:mx.first.test,IP:127.0.0.1",
	               &authority);
	made_cert_init(&second, CERT_ECDSA, "DNS:mx.second.test", &authority);
	made_cert_init(&wild, CERT_ECDSA, "DNS:*.wild.test", &authority);
	made_cert_init(&foreign, CERT_ECDSA, "DNS:mx.first.test", NULL);
	return 0;
}

static int
free_certs(void **state)
{
	struct made_cert *all[] = {&authority, &first, &first_rsa, &second, &wild, &foreign};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		made_cert_free(all[i]);
	return 0;
}

struct fixture {
	struct loop       *loop;
	struct end         client, server;
	struct tls_server *ctx;
	struct tls_client *trusting;
	struct buf         why;
};

static struct tls_server *
serve(const struct made_cert *const *certs, size_t n)
{
	struct tls_pair    pairs[NAME_COUNT];
	struct buf         why = BUF(1024);
	struct tls_server *s;

	for (size_t i = 0; i < n; i++)
		pairs[i] = made_cert_pair(certs[i]);
	s = tls_server_create(pairs, n, &why);
	assert_string_equal(buf_z(&why), "");
	buf_free(&why);
	return s;
}

static int
setup(void **state)
{
	const struct made_cert *certs[] = {&first, &second, &wild, &first_rsa};
	struct fixture         *f = mem_zero(sizeof *f);

	f->loop = loop_create();
	f->why = BUF(1024);
	f->ctx = serve(certs, ARRAY_LEN(certs));
	f->trusting = tls_client_create(buf_str(&authority.cert), &f->why);
	assert_non_null(f->trusting);
	ends_connect(&f->client, &f->server, f->loop);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ends_free(&f->client, &f->server);
	tls_server_unref(f->ctx);
	tls_client_destroy(f->trusting);
	loop_destroy(f->loop);
	buf_free(&f->why);
	free(f);
	return 0;
}

static void
secure(struct fixture *f, const char *name)
{
	assert_true(stream_tls_accept(f->server.s, f->ctx));
	assert_true(stream_tls_connect(f->client.s, f->trusting, str_of(name)));
	end_wait(&f->client, "SECURE");
	end_wait(&f->server, "SECURE");
}

static void
again(struct fixture *f)
{
	ends_free(&f->client, &f->server);
	ends_connect(&f->client, &f->server, f->loop);
}

static void
say(struct end *e, const char *text)
{
	stream_write(e->s, str_of(text));
}

static void
plain_becomes_tls(void **state)
{
	struct fixture        *f = *state;
	const struct tls_info *info;

	say(&f->client, "STARTTLS\r\n");
	end_wait_octets(&f->server, 10);
	say(&f->server, "220 go\r\n");
	assert_true(stream_tls_accept(f->server.s, f->ctx)); /* after what is in the output */
	end_wait_octets(&f->client, 8);
	assert_null(stream_tls(f->client.s));
	assert_true(stream_tls_connect(f->client.s, f->trusting, STR("mx.first.test")));
	assert_null(stream_tls(f->client.s));
	end_wait(&f->client, "SECURE");
	end_wait(&f->server, "SECURE");
	info = stream_tls(f->client.s);
	assert_string_equal(info->version, "1.3");
	assert_true(info->bits >= 128);
	assert_string_equal(info->cipher, stream_tls(f->server.s)->cipher);
	assert_true(info->verified);
	assert_null(info->why);
	say(&f->client, "EHLO again\r\n");
	end_wait_octets(&f->server, 22);
	say(&f->server, "250 yes\r\n");
	end_wait_octets(&f->client, 17);
	assert_string_equal(buf_z(&f->client.got), "220 go\r\n250 yes\r\n");
}

static void
what_is_written_during_the_handshake_comes_after_it(void **state)
{
	struct fixture *f = *state;

	assert_true(stream_tls_accept(f->server.s, f->ctx));
	say(&f->server, "220 hello\r\n");
	assert_true(stream_tls_connect(f->client.s, f->trusting, STR("mx.first.test")));
	say(&f->client, "EHLO\r\n");
	end_wait_octets(&f->client, 11);
	end_wait_octets(&f->server, 6);
	assert_non_null(stream_tls(f->client.s));
}

static void
the_server_refuses_input_behind_starttls(void **state)
{
	struct fixture *f = *state;
	struct str      line;

	f->server.lazy = true;
	say(&f->client, "STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n");
	end_wait(&f->server, "INPUT");
	assert_int_equal(stream_line(f->server.s, 512, &line), LINE_OK);
	assert_false(stream_tls_accept(f->server.s, f->ctx));
}

static void
the_client_refuses_input_behind_220(void **state)
{
	struct fixture *f = *state;
	struct str      line;

	f->client.lazy = true;
	say(&f->server, "220 go\r\n250 injected\r\n");
	end_wait(&f->client, "INPUT");
	assert_int_equal(stream_line(f->client.s, 512, &line), LINE_OK);
	assert_false(stream_tls_connect(f->client.s, f->trusting, STR("mx.first.test")));
}

static void
the_rest_of_a_long_line_is_input_too(void **state)
{
	struct fixture *f = *state;
	struct str      line;

	f->server.lazy = true;
	say(&f->client, "0123456789012345678901234567890123456789");
	end_wait(&f->server, "INPUT");
	assert_int_equal(stream_line(f->server.s, 16, &line), LINE_LONG);
	assert_int_equal(stream_waiting(f->server.s), 0);
	assert_false(stream_tls_accept(f->server.s, f->ctx));
}

static void
tls_does_not_start_twice(void **state)
{
	struct fixture *f = *state;

	secure(f, "mx.first.test");
	assert_false(stream_tls_accept(f->server.s, f->ctx));
}

static void
names_choose_the_certificate(void **state)
{
	static const struct {
		const char *name;
		bool        verified;
	} rows[] = {
		{"mx.first.test", true}, {"mx.second.test", true}, {"MX.Second.Test.", true},
		{"any.wild.test", true}, {"a.b.wild.test", false}, {"wild.test", false},
		{"unknown.test", false}, {"127.0.0.1", true},      {"", false},
		{"192.0.2.1", false},    {"not a name", false},    {"localhost", true},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct tls_info *info;

		secure(f, rows[i].name);
		info = stream_tls(f->client.s);
		if (info->verified != rows[i].verified)
			fail_msg("%s: %s", rows[i].name,
			         info->why == NULL ? "verified" : info->why);
		assert_true(info->verified == (info->why == NULL));
		assert_false(stream_tls(f->server.s)->verified);
		again(f);
	}
}

/* The kin of "a.test\\0.evil.test", which authorities signed for the owner of evil.test. */
static void
hostile_names_in_certificates_verify_nothing(void **state)
{
	static const struct {
		const char *names;
		size_t      more; /* names in front */
		bool        verified;
	} rows[] = {
		{"DNS:mx.first.test~.evil.test", 0, false},
		{"DNS:~mx.first.test", 0, false},
		{"DNS:*.test", 0, false},
		{"DNS:mx.first.test", 1200, true},
		{"DNS:evil.test", 1200, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct made_cert        made;
		const struct made_cert *certs[] = {&made};
		struct buf              names = BUF(128 * 1024);

		for (size_t k = 0; k < rows[i].more; k++)
			buf_addf(&names, "DNS:n%zu.elsewhere.test,", k);
		buf_addz(&names, rows[i].names);
		made_cert_init(&made, CERT_ECDSA, buf_z(&names), &authority);
		tls_server_unref(f->ctx);
		f->ctx = serve(certs, 1);
		secure(f, "mx.first.test");
		if (stream_tls(f->client.s)->verified != rows[i].verified)
			fail_msg("%s after %zu others", rows[i].names, rows[i].more);
		again(f);
		made_cert_free(&made);
		buf_free(&names);
	}
}

static void
an_unknown_issuer_is_told_not_refused(void **state)
{
	const struct made_cert *certs[] = {&foreign};
	struct fixture         *f = *state;

	tls_server_unref(f->ctx);
	f->ctx = serve(certs, 1);
	secure(f, "mx.first.test");
	assert_false(stream_tls(f->client.s)->verified);
	assert_string_equal(stream_tls(f->client.s)->why, "self-signed certificate");
}

static void
sessions_are_resumed_by_name(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		secure(f, "mx.second.test");
		say(&f->server, "220 hello\r\n"); /* the ticket is in front of it */
		end_wait_octets(&f->client, 11);
		assert_true(stream_tls(f->client.s)->verified);
		again(f);
	}
}

/* RFC 6066 section 3: no addresses; a server may end the handshake for one. */
static void
an_address_literal_is_no_server_name(void **state)
{
	static const char *const names[] = {"192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]"};
	struct fixture          *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_true(stream_tls_connect(f->client.s, f->trusting, str_of(names[i])));
		end_wait_octets(&f->server, 100); /* the first flight */
		assert_int_equal(str_find_str(buf_str(&f->server.got), STR("192.0.2.1")), -1);
		assert_int_equal(str_find_str(buf_str(&f->server.got), STR("2001:db8")), -1);
		again(f);
	}
}

static void
both_ends_export_the_same_octets(void **state)
{
	struct fixture *f = *state;
	uint8_t         a[32] = {1}, b[32] = {2};

	assert_false(stream_tls_exporter(f->client.s, a));
	secure(f, "mx.first.test");
	assert_true(stream_tls_exporter(f->client.s, a));
	assert_true(stream_tls_exporter(f->server.s, b));
	assert_memory_equal(a, b, 32);
}

static void
a_peer_that_speaks_no_tls_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_true(stream_tls_accept(f->server.s, f->ctx));
	say(&f->client, "EHLO there\r\n");
	end_wait(&f->server, "ERROR");
	assert_true(str_starts(str_of(stream_error(f->server.s)), STR("TLS: ")));
	stream_close(f->server.s);
	f->server.s = NULL;
	end_wait(&f->client, "EOF");
}

static void
a_peer_that_leaves_the_handshake_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_true(stream_tls_accept(f->server.s, f->ctx));
	loop_run_ms(f->loop, 5);
	stream_close(f->client.s);
	f->client.s = NULL;
	end_wait(&f->server, "ERROR");
	assert_string_equal(stream_error(f->server.s),
	                    "TLS: the peer closed the connection during the handshake");
}

static void
the_handshake_has_the_owners_deadline(void **state)
{
	struct fixture *f = *state;

	assert_true(stream_tls_accept(f->server.s, f->ctx));
	stream_timeout(f->server.s, 20);
	end_wait(&f->server, "TIMEOUT");
}

static void
closing_ends_the_other_side(void **state)
{
	struct fixture *f = *state;

	secure(f, "mx.first.test");
	stream_close(f->client.s);
	f->client.s = NULL;
	end_wait(&f->server, "EOF");
}

static void
finishing_sends_all_and_then_the_end(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(3 << 20, 1);

	secure(f, "mx.first.test");
	stream_write(f->client.s, (struct str){much, 3 << 20});
	stream_finish(f->client.s);
	f->client.s = NULL;
	end_wait(&f->server, "EOF");
	assert_int_equal(f->server.got.n, 3 << 20);
	free(much);
}

static void
reading_pauses_and_is_bounded(void **state)
{
	struct fixture *f = *state;
	char           *much = mem_array(3 << 20, 1);

	secure(f, "mx.first.test");
	stream_pause(f->server.s);
	stream_write(f->client.s, (struct str){much, 3 << 20});
	loop_run_ms(f->loop, 50);
	assert_int_equal(stream_waiting(f->server.s), 0);
	assert_int_equal(f->server.got.n, 0);
	f->server.lazy = true;
	stream_resume(f->server.s);
	end_wait(&f->server, "INPUT");
	loop_run_ms(f->loop, 50);
	assert_true(stream_waiting(f->server.s) > 0 && stream_waiting(f->server.s) <= 64 * 1024);
	f->server.lazy = false;
	stream_pause(f->server.s);
	stream_resume(f->server.s);
	end_wait_octets(&f->server, 3 << 20);
	free(much);
}

static void
a_stream_may_be_closed_at_its_secure_event(void **state)
{
	struct fixture *f = *state;

	f->server.close_on[STREAM_SECURE] = true;
	assert_true(stream_tls_accept(f->server.s, f->ctx));
	assert_true(stream_tls_connect(f->client.s, f->trusting, STR("mx.first.test")));
	end_wait(&f->server, "SECURE");
	end_wait(&f->client, "EOF");
}

static void
a_context_lives_as_long_as_its_connections(void **state)
{
	struct fixture *f = *state;

	assert_true(stream_tls_accept(f->server.s, f->ctx));
	assert_true(stream_tls_connect(f->client.s, f->trusting, STR("mx.second.test")));
	tls_server_unref(f->ctx);
	tls_client_destroy(f->trusting);
	f->ctx = NULL;
	f->trusting = NULL;
	end_wait(&f->client, "SECURE");
	end_wait(&f->server, "SECURE");
	say(&f->server, "ok");
	end_wait_octets(&f->client, 2);
	assert_true(stream_tls(f->client.s)->verified);
}

static void
covered_names_are_known(void **state)
{
	struct fixture *f = *state;

	assert_true(tls_server_covers(f->ctx, STR("mx.first.test")));
	assert_true(tls_server_covers(f->ctx, STR("LOCALHOST")));
	assert_true(tls_server_covers(f->ctx, STR("127.0.0.1")));
	assert_true(tls_server_covers(f->ctx, STR("x.wild.test")));
	assert_false(tls_server_covers(f->ctx, STR("wild.test")));
	assert_false(tls_server_covers(f->ctx, STR("first.test")));
	assert_false(tls_server_covers(f->ctx, STR("")));
}

static void
bad_pairs_are_explained(void **state)
{
	const struct {
		const char     *name;
		struct tls_pair pair;
		const char     *why;
	} rows[] = {
		{"no certificate",
	         {.cert_pem = STR(""), .key_pem = buf_str(&first.key)},
	         "the certificate file holds no certificate in PEM form"},
		{"garbage",
	         {.cert_pem = STR("-----BEGIN CERTIFICATE-----\nAAAA\n"), .key_pem = buf_str(&first.key)},
	         "the certificate file holds no certificate in PEM form"},
		{"no key",
	         {.cert_pem = buf_str(&first.cert), .key_pem = STR("hello")},
	         "the key file holds no private key in PEM form"},
		{"encrypted",
	         {.cert_pem = buf_str(&first.cert), .key_pem = STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMF\n")},
	         "the private key is encrypted; store it without a passphrase"},
		{"another's key",
	         {.cert_pem = buf_str(&first.cert), .key_pem = buf_str(&second.key)},
	         "the private key does not belong to the certificate"},
		{"key of another type",
	         {.cert_pem = buf_str(&first.cert), .key_pem = buf_str(&first_rsa.key)},
	         "the private key does not belong to the certificate"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf why = BUF(1024), names = BUF(1024);
		int64_t    end;

		assert_null(tls_server_create(&rows[i].pair, 1, &why));
		if (strcmp(buf_z(&why), rows[i].why) != 0)
			fail_msg("%s: %s", rows[i].name, buf_z(&why));
		assert_false(tls_pair_check(&rows[i].pair, &end, &names, &why));
		buf_free(&why);
		buf_free(&names);
	}
}

static void
a_good_pair_tells_names_and_end(void **state)
{
	struct buf      why = BUF(1024), names = BUF(1024);
	struct tls_pair pair = made_cert_pair(&first);
	int64_t         end, left;

	(void)state;
	assert_true(tls_pair_check(&pair, &end, &names, &why));
	assert_string_equal(buf_z(&names), "mx.first.test localhost 127.0.0.1");
	left = end - time_wall_ms();
	assert_true(left > 364LL * 86400 * 1000 && left <= 365LL * 86400 * 1000);
	buf_free(&names);
	buf_free(&why);
}

static void
trust_must_hold_certificates(void **state)
{
	struct buf why = BUF(1024);

	(void)state;
	assert_null(tls_client_create(STR("nothing"), &why));
	assert_string_equal(buf_z(&why), "the file of trusted certificates holds none in PEM form");
	buf_free(&why);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(plain_becomes_tls),
		T(what_is_written_during_the_handshake_comes_after_it),
		T(the_server_refuses_input_behind_starttls),
		T(the_client_refuses_input_behind_220),
		T(the_rest_of_a_long_line_is_input_too),
		T(tls_does_not_start_twice),
		T(names_choose_the_certificate),
		T(hostile_names_in_certificates_verify_nothing),
		T(an_unknown_issuer_is_told_not_refused),
		T(sessions_are_resumed_by_name),
		T(an_address_literal_is_no_server_name),
		T(both_ends_export_the_same_octets),
		T(a_peer_that_speaks_no_tls_is_an_error),
		T(a_peer_that_leaves_the_handshake_is_an_error),
		T(the_handshake_has_the_owners_deadline),
		T(closing_ends_the_other_side),
		T(finishing_sends_all_and_then_the_end),
		T(reading_pauses_and_is_bounded),
		T(a_stream_may_be_closed_at_its_secure_event),
		T(a_context_lives_as_long_as_its_connections),
		T(covered_names_are_known),
		cmocka_unit_test(bad_pairs_are_explained),
		cmocka_unit_test(a_good_pair_tells_names_and_end),
		cmocka_unit_test(trust_must_hold_certificates),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
