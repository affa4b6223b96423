/* SPDX-License-Identifier: ISC */
/* What each role is told, and what it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util/encode.h"
#include "tests/unit/proc/config_fixture.h"

static const char everything[] =
        "hostname mail.example.com\n"
        "domains example.com *.shop.example.org\n"
        "listen 127.0.0.1:25\n"
        "listen 127.0.0.1:465 192.0.2.1:465 tls auth tls-required lint off proxy 10.0.0.0/8 2001:db8::/32\n"
        "tls cert.pem key.pem\n"
        "tls tls\n"
        "trust loopback 10.1.2.0/24\n"
        "trust 10.3.0.0/16 { from *@crm.example.com \"odd name\"@example.com  rate 5/s }\n"
        "users users\n"
        "user bob { from *@example.com ann@shop.example.org  rate 500/h  quota 2000/d }\n"
        "dkim example.com { key s1 rsa.pem  key s2 ed.pem  canonicalization relaxed/simple }\n"
        "route * { via smtp.provider.net:587 tls  user apikey  password file:secret }\n"
        "route tok.example { via h.example:465 tls  user u  token file:secret }\n"
        "route direct.example { direct }\n"
        "resolver 127.0.0.1@5353 ::1\n"
        "dnssec on\n"
        "outbound { port 2525  bind 192.0.2.1  helo out.example.com  ipv6 off  private-mx allow  ca cert.pem }\n"
        "retry 1s 2m 3h\n"
        "expire 2d\n"
        "delay-notice 1h\n"
        "memory 100M\n"
        "max-size 123456\n"
        "max-recipients 77\n"
        "idle-timeout 99s\n"
        "limit-connections 8\n"
        "limit-commands 9\n"
        "limit-auth-failures 10\n"
        "bulk-after 11\n"
        "received-client full\n"
        "log json\n"
        "debug on\n"
        "spool sp\n"
        "control ct\n"
        "user-account mail\n"
        "smtpd-processes 2\n";

enum { HOSTNAME = 1, RULES = 2, TLS_KEYS = 4, USERS_TEXT = 8, SIGNING_KEYS = 16, PASSWORDS = 32, ROUTES = 64,
       RETRY = 128, DKIM = 256, PATHS = 512, CA = 1024, CERTS = 2048, DATES = 4096 };

static const struct {
	enum role_id role;
	unsigned     sees;
} roles[] = {
	{ROLE_SUPERVISOR, HOSTNAME | RULES | CERTS | TLS_KEYS | USERS_TEXT | SIGNING_KEYS | PASSWORDS | ROUTES | RETRY | DKIM | PATHS | CA},
	{ROLE_SMTPD, HOSTNAME | RULES | CERTS | ROUTES | DKIM},
	{ROLE_AUTH, HOSTNAME | USERS_TEXT},
	{ROLE_QUEUE, HOSTNAME | RETRY},
	{ROLE_DELIVERY, HOSTNAME | PASSWORDS | ROUTES | DKIM | CA},
	{ROLE_KEYD, DKIM | SIGNING_KEYS | TLS_KEYS},
	{ROLE_DOCTOR, HOSTNAME | ROUTES | DKIM | CERTS | DATES},
};

static struct config *
loaded(void)
{
	struct buf     report = BUF(65536);
	struct config *c = fixture_load(everything, &report);

	if (c == NULL)
		fail_msg("%s", buf_z(&report));
	buf_free(&report);
	return c;
}

static struct config *
carried(const struct config *c, enum role_id role, struct buf *text)
{
	struct config *r;

	config_render(c, role, text);
	assert_false(text->over);
	r = config_read(buf_str(text), 7);
	if (r == NULL)
		fail_msg("role %d cannot read:\n%s", (int)role, buf_z(text));
	else
		assert_int_equal(r->generation, 7);
	return r;
}

static void
origin_is(const struct origin *a, const struct origin *b)
{
	assert_string_equal(a->file, b->file);
	assert_int_equal(a->line, b->line);
	assert_int_equal(a->column, b->column);
	assert_string_equal(a->text, b->text);
}

#define STR_IS(a_, b_) assert_true(str_eq(a_, b_))
#define SEEN(bit_, text_) assert_int_equal(((sees) & (bit_)) != 0, (text_).n > 0)

static void
strs_are(const struct strs *a, const struct strs *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		STR_IS(a->v[i], b->v[i]);
}

static void
rate_is(struct rate_conf a, struct rate_conf b)
{
	assert_int_equal(a.count, b.count);
	assert_int_equal(a.per_ms, b.per_ms);
}

static void
rules_are(const struct config *a, const struct config *b)
{
	assert_int_equal(a->n_listens, b->n_listens);
	for (size_t i = 0; i < a->n_listens; i++) {
		const struct listen_conf *x = &a->listens[i], *y = &b->listens[i];

		assert_true(addr_equal(x->addr, y->addr) && x->addr.port == y->addr.port);
		assert_true(x->tls == y->tls && x->auth == y->auth);
		assert_true(x->tls_required == y->tls_required && x->auth_required == y->auth_required);
		assert_int_equal(x->lint, y->lint);
		assert_int_equal(x->n_proxy, y->n_proxy);
		for (size_t k = 0; k < x->n_proxy; k++)
			assert_true(addr_equal(x->proxy[k].addr, y->proxy[k].addr) &&
			            x->proxy[k].bits == y->proxy[k].bits);
		origin_is(&x->origin, &y->origin);
	}
	assert_int_equal(a->n_trusts, b->n_trusts);
	for (size_t i = 0; i < a->n_trusts; i++) {
		assert_true(addr_equal(a->trusts[i].net.addr, b->trusts[i].net.addr));
		assert_int_equal(a->trusts[i].net.bits, b->trusts[i].net.bits);
		strs_are(&a->trusts[i].from, &b->trusts[i].from);
		rate_is(a->trusts[i].rate, b->trusts[i].rate);
		rate_is(a->trusts[i].quota, b->trusts[i].quota);
		origin_is(&a->trusts[i].origin, &b->trusts[i].origin);
	}
	assert_int_equal(a->n_user, b->n_user);
	STR_IS(a->user[0].name, b->user[0].name);
	strs_are(&a->user[0].from, &b->user[0].from);
	rate_is(a->user[0].rate, b->user[0].rate);
	rate_is(a->user[0].quota, b->user[0].quota);
	assert_int_equal(a->user[0].rate.count, 500);
	origin_is(&a->user[0].origin, &b->user[0].origin);
	origin_is(&a->trust_origin, &b->trust_origin);
	STR_IS(a->users_path, b->users_path);
	assert_true(a->max_size == b->max_size && a->max_recipients == b->max_recipients);
	assert_true(a->idle_timeout_ms == b->idle_timeout_ms);
	assert_int_equal(a->limit_connections, b->limit_connections);
	assert_int_equal(a->limit_commands, b->limit_commands);
	assert_int_equal(a->limit_auth_failures, b->limit_auth_failures);
	assert_int_equal(a->bulk_after, b->bulk_after);
	assert_int_equal(a->received_client, b->received_client);
}

static void
tls_is(const struct config *a, const struct config *b, unsigned sees)
{
	assert_int_equal(a->n_tls, (sees & (CERTS | TLS_KEYS)) != 0 ? b->n_tls : 0);
	for (size_t i = 0; i < a->n_tls; i++) {
		STR_IS(a->tls[i].cert_pem, (sees & CERTS) != 0 ? b->tls[i].cert_pem : STR_NONE);
		STR_IS(a->tls[i].key_pem, (sees & TLS_KEYS) != 0 ? b->tls[i].key_pem : STR_NONE);
		STR_IS(a->tls[i].key_path, b->tls[i].key_path);
	}
}

static void
dkim_is(const struct config *a, const struct config *b, unsigned sees)
{
	assert_int_equal(a->n_dkim, (sees & DKIM) != 0 ? b->n_dkim : 0);
	for (size_t i = 0; i < a->n_dkim; i++) {
		STR_IS(a->dkim[i].domain, b->dkim[i].domain);
		assert_int_equal(a->dkim[i].n_keys, b->dkim[i].n_keys);
		assert_int_equal(a->dkim[i].simple_body, b->dkim[i].simple_body);
		assert_int_equal(a->dkim[i].simple_header, b->dkim[i].simple_header);
		for (size_t k = 0; k < a->dkim[i].n_keys; k++) {
			assert_true(b->dkim[i].keys[k].made_ms > 0);
			assert_int_equal(a->dkim[i].keys[k].made_ms, (sees & DATES) != 0 ? b->dkim[i].keys[k].made_ms : 0);
			STR_IS(a->dkim[i].keys[k].selector, b->dkim[i].keys[k].selector);
			assert_int_equal(a->dkim[i].keys[k].type, b->dkim[i].keys[k].type);
			SEEN(SIGNING_KEYS, a->dkim[i].keys[k].pem);
			if (a->dkim[i].keys[k].pem.n > 0)
				STR_IS(a->dkim[i].keys[k].pem, b->dkim[i].keys[k].pem);
		}
	}
}

static void
routes_are(const struct config *a, const struct config *b, unsigned sees)
{
	assert_int_equal(a->n_routes, (sees & ROUTES) != 0 ? b->n_routes : 0);
	for (size_t i = 0; i < a->n_routes; i++) {
		STR_IS(a->routes[i].domain, b->routes[i].domain);
		STR_IS(a->routes[i].host, b->routes[i].host);
		STR_IS(a->routes[i].user, b->routes[i].user);
		assert_int_equal(a->routes[i].port, b->routes[i].port);
		assert_int_equal(a->routes[i].tls, b->routes[i].tls);
		if ((sees & PASSWORDS) != 0) {
			STR_IS(a->routes[i].password, b->routes[i].password);
			assert_int_equal(a->routes[i].xoauth2, b->routes[i].xoauth2);
		} else {
			assert_int_equal(a->routes[i].password.n, 0);
		}
		origin_is(&a->routes[i].origin, &b->routes[i].origin);
	}
	if (a->n_routes == 0 || (sees & CA) == 0)
		return;
	STR_IS(a->outbound.ca_pem, b->outbound.ca_pem);
	STR_IS(a->outbound.helo, b->outbound.helo);
	assert_true(addr_equal(a->outbound.bind4, b->outbound.bind4));
	assert_true(a->outbound.port == 2525 && a->outbound.private_mx && !a->outbound.ipv6);
	assert_int_equal(a->outbound.connect_timeout_ms, 30000);
	assert_int_equal(a->resolver, RESOLVER_SERVERS);
	assert_int_equal(a->n_resolvers, 2);
	assert_int_equal(a->resolvers[0].port, 5353);
	assert_int_equal(a->dnssec, 1);
}

static void
each_role_reads_what_it_may_see(void **state)
{
	struct config *c = loaded();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct buf     text = BUF(WIRE_CONFIG_MAX);
		struct config *r = carried(c, roles[i].role, &text);
		unsigned       sees = roles[i].sees;

		SEEN(HOSTNAME, r->hostname);
		if (r->hostname.n > 0) {
			STR_IS(r->hostname, c->hostname);
			origin_is(&r->hostname_origin, &c->hostname_origin);
		}
		SEEN(USERS_TEXT, r->users_text);
		SEEN(PATHS, r->spool);
		SEEN(PATHS, r->control);
		STR_IS(r->user_account, c->user_account);
		if ((sees & RULES) != 0)
			rules_are(r, c);
		tls_is(r, c, sees);
		dkim_is(r, c, sees);
		routes_are(r, c, sees);
		assert_int_equal(r->n_retry, (sees & RETRY) != 0 ? 3 : 0);
		assert_int_equal(r->expire_ms, (sees & RETRY) != 0 ? c->expire_ms : 0);
		assert_true(r->log_json && r->debug);
		config_unref(r);
		buf_free(&text);
	}
	config_unref(c);
}

static void
each_process_is_told_its_share_of_memory(void **state)
{
	static const struct {
		enum role_id role;
		uint64_t     share;
	} shares[] = {{ROLE_SMTPD, 25}, {ROLE_QUEUE, 25}, {ROLE_AUTH, 0}, {ROLE_SUPERVISOR, 100}};
	struct config *c = loaded();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		struct buf     text = BUF(WIRE_CONFIG_MAX);
		struct config *r = carried(c, shares[i].role, &text);

		assert_int_equal((r->memory + (1 << 19)) >> 20, shares[i].share);
		config_unref(r);
		buf_free(&text);
	}
	assert_int_equal(config_processes(c, ROLE_SMTPD), 2);
	config_unref(c);
}

/* Whether a piece of `secret` is in `text`, as it is or in base64 at any of the three offsets. */
static bool
leaks(struct str text, struct str secret)
{
	struct buf b = BUF(65536);
	bool       found = str_find_str(text, str_sub(secret, 0, 16)) >= 0;

	for (size_t skip = 0; skip < 3 && !found; skip++) {
		buf_clear(&b);
		base64_encode(&b, str_sub(secret, skip, 48));
		found = str_find_str(text, str_sub(buf_str(&b), 0, 40)) >= 0;
	}
	buf_free(&b);
	return found;
}

static void
no_role_gets_a_secret_of_another(void **state)
{
	struct config *c = loaded();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct buf text = BUF(WIRE_CONFIG_MAX);
		unsigned   sees = roles[i].sees;
		struct {
			unsigned   bit;
			struct str secret;
		} secrets[] = {
			{TLS_KEYS, str_skip(c->tls[0].key_pem, 60)},
			{TLS_KEYS, str_skip(c->tls[1].key_pem, 60)},
			{USERS_TEXT, str_skip(c->users_text, 30)},
			{SIGNING_KEYS, str_skip(c->dkim[0].keys[0].pem, 60)},
			{SIGNING_KEYS, str_skip(c->dkim[0].keys[1].pem, 40)},
		};

		config_render(c, roles[i].role, &text);
		for (size_t k = 0; k < ARRAY_LEN(secrets); k++)
			if (leaks(buf_str(&text), secrets[k].secret) != ((sees & secrets[k].bit) != 0))
				fail_msg("role %zu, secret %zu", i, k);
		/* base64 of "open-sesame" */
		assert_int_equal(strstr(buf_z(&text), "b3Blbi1zZXNhbWU=") != NULL, (sees & PASSWORDS) != 0);
		assert_null(strstr(buf_z(&text), "open-sesame"));
		buf_free(&text);
	}
	config_unref(c);
}

static void
file_told(void *arg, struct str path, const char *why)
{
	struct buf *all = arg;

	buf_add(all, str_skip(path, strlen(fixture_dir()) + 1));
	buf_addf(all, why != NULL ? " %s\n" : "\n", why);
}

/* A key's file is read when keyd is configured, and may be another one by then. */
static void
a_key_that_cannot_be_read_again_is_told(void **state)
{
	static const char usual[] = "tls cert.pem key.pem\ndkim example.org { key a rsa.pem\nkey b ed.pem }\n";
	static const struct {
		const char *text; /* of ed.pem when it is read again; NULL: it is gone */
		unsigned    mode;
		const char *told; /* of it, from the start of the line; the others are read */
	} rows[] = {
		{NULL, 0, "ed.pem No such file or directory\n"},
		{"no key\n", 0600, "ed.pem is no key in PEM form\n"},
		{"", 0600, "ed.pem is empty\n"},
		{"x", 0602, "ed.pem anyone may write to it\n"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf     text = BUF(WIRE_CONFIG_MAX), all = BUF(65536);
		struct config *c, *r;

		fixture_copy("ed25519.pkcs8.pem", "ed.pem", 0600);
		c = fixture_load(usual, &text);
		assert_non_null(c);
		buf_clear(&text);
		config_forget_keys(c);
		unlink(fixture_path("ed.pem"));
		if (rows[i].text != NULL)
			fixture_write("ed.pem", rows[i].text, rows[i].mode);
		config_render_keyd(c, &text, file_told, &all);
		assert_non_null(strstr(buf_z(&all), "key.pem\n"));
		assert_non_null(strstr(buf_z(&all), "rsa.pem\n"));
		assert_non_null(strstr(buf_z(&all), rows[i].told));
		r = config_read(buf_str(&text), 1);
		assert_true(r->dkim[0].keys[0].pem.n > 0 && r->tls[0].key_pem.n > 0);
		assert_int_equal(r->dkim[0].keys[1].pem.n, 0);
		config_unref(r);
		config_unref(c);
		buf_free(&text);
		buf_free(&all);
	}
	fixture_copy("ed25519.pkcs8.pem", "ed.pem", 0600);
}

static void
rendering_again_gives_the_same(void **state)
{
	struct config *c = loaded();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct buf     text = BUF(WIRE_CONFIG_MAX), again = BUF(WIRE_CONFIG_MAX);
		struct config *r = carried(c, roles[i].role, &text);

		config_render(r, roles[i].role, &again);
		assert_string_equal(buf_z(&text), buf_z(&again));
		config_unref(r);
		buf_free(&text);
		buf_free(&again);
	}
	config_unref(c);
}

static void
defaults_and_capture_travel_too(void **state)
{
	struct buf     report = BUF(65536), text = BUF(WIRE_CONFIG_MAX);
	struct config *c = fixture_load("trust none\n", &report), *r;

	(void)state;
	assert_non_null(c);
	r = carried(c, ROLE_SMTPD, &text);
	assert_true(config_is_capture(r));
	assert_int_equal(r->n_trusts, 0);
	assert_int_equal(r->trust_origin.line, 1);
	assert_int_equal(r->n_listens, c->n_listens);
	assert_null(r->listens[0].origin.file);
	STR_IS(r->hostname, c->hostname);
	config_unref(r);
	config_unref(c);
	buf_free(&text);
	buf_free(&report);
}

static void
damaged_text_is_not_read(void **state)
{
	static const char *const texts[] = {
		"frobnicate 1\n", "@ x\nhostname a.example\n", "max-size ten\n", "tls /c data:!!! /k data:AAAA\n",
		"hostname \"a\n", "user bob { from\n", "listen nowhere\n",
		"retry 1s\nretry 1s 2s 3s 4s\n", "route * { via h.example:25 user x password file:/etc/passwd }\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_null(config_read(str_of(texts[i]), 1));
}

static void
show(void *arg, const char *name, struct str value, struct str origin)
{
	struct buf *all = arg;

	buf_addf(all, "%s %.*s %.*s\n", name, (int)value.n, value.p, (int)origin.n, origin.p);
}

static void
shown_values_hide_secrets(void **state)
{
	struct config *c = loaded();
	struct buf     all = BUF(65536);

	(void)state;
	config_show(c, show, &all);
	assert_non_null(strstr(buf_z(&all), "user apikey password ***"));
	assert_null(strstr(buf_z(&all), "sesame"));
	assert_null(strstr(buf_z(&all), "BEGIN"));
	assert_null(strstr(buf_z(&all), "data:"));
	assert_non_null(strstr(buf_z(&all), "trust 127.0.0.0/8 ::1/128 "));
	buf_free(&all);
	config_unref(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_role_reads_what_it_may_see),
		cmocka_unit_test(each_process_is_told_its_share_of_memory),
		cmocka_unit_test(no_role_gets_a_secret_of_another),
		cmocka_unit_test(a_key_that_cannot_be_read_again_is_told),
		cmocka_unit_test(rendering_again_gives_the_same),
		cmocka_unit_test(defaults_and_capture_travel_too),
		cmocka_unit_test(damaged_text_is_not_read),
		cmocka_unit_test(shown_values_hide_secrets),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
