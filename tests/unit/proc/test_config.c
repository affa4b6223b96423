/* SPDX-License-Identifier: ISC */
/* Good configurations: every directive by file, by variable and by file of a variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util/time.h"
#include "tests/unit/proc/config_fixture.h"

#define SMARTHOST "* { via h.example:587 tls user x password env:PATH }"

static const struct {
	const char *name, *value, *shown; /* "%" stands for the folder of the test */
	const char *also;                 /* needed beside it */
} directives[] = {
	{"hostname", "Mail.Example.COM.", "mail.example.com", ""},
	{"domains", "example.com *.b\xc3\xbc" "cher.example", "example.com *.xn--bcher-kva.example", "hostname a.b\n"},
	{"listen", "127.0.0.1:587 auth", "127.0.0.1:587 auth", "users %/users\n"},
	{"listen", "192.0.2.1", "192.0.2.1:25", "trust 192.0.2.0/24\n"},
	{"listen", "127.0.0.1:465 127.0.0.2:465 tls auth-required tls-required", "127.0.0.1:465 tls auth tls-required auth-required | "
	 "127.0.0.2:465 tls auth tls-required auth-required", "tls %/tls\nusers %/users\n"},
	{"listen", "127.0.0.1:587 auth-required auth", "127.0.0.1:587 auth auth-required", "users %/users\n"},
	{"listen", "127.0.0.1:26 lint off proxy 10.0.0.0/8", "127.0.0.1:26 lint off proxy 10.0.0.0/8", ""},
	{"listen", "127.0.0.1:26 lint fix", "127.0.0.1:26", ""},
	{"listen", "127.0.0.1:26 proxy 10.0.0.0/8 192.0.2.7 starttls", "127.0.0.1:26 starttls proxy 10.0.0.0/8 192.0.2.7/32", "tls %/tls\n"},
	{"tls", "%/cert.pem %/key.pem", "%/cert.pem %/key.pem", ""},
	{"tls", "%/tls", "%/tls/fullchain.pem %/tls/privkey.pem", ""},
	{"trust", "loopback 10.1.2.0/24 192.0.2.1", "127.0.0.0/8 ::1/128 | 10.1.2.0/24 | 192.0.2.1/32", ""},
	{"trust", "none", "none", ""},
	{"trust", "10.3.0.0/16 { from *@crm.example.com }", "10.3.0.0/16 { from *@crm.example.com }", ""},
	{"trust", "10.3.0.0/16 from *@crm.example.com Ann@X.example", "10.3.0.0/16 { from *@crm.example.com Ann@x.example }", ""},
	{"trust", "0.0.0.0/0 i-know-this-is-an-open-relay", "0.0.0.0/0", ""},
	{"users", "%/users", "%/users", ""},
	{"user", "bob { from *@shop.example.org }", "bob { from *@shop.example.org }", "users %/users\n"},
	{"pwcheck", "saslauthd /run/saslauthd/mux", "saslauthd /run/saslauthd/mux", ""},
	{"pwcheck", "users", "users", ""},
	{"dkim-sign", "off", "off", ""},
	{"dkim", "a.example { key s1 %/rsa.pem  key s2 %/ed.pem }", "a.example { key s1 %/rsa.pem key s2 %/ed.pem }", ""},
	{"dkim", "a.example { canonicalization simple/relaxed; key s1 %/rsa.pem }", "a.example { key s1 %/rsa.pem canonicalization simple/relaxed }", ""},
	{"dkim", "a.example { key s1 %/ed.pem unpublished unsigned }", "a.example { key s1 %/ed.pem unpublished unsigned }", ""},
	{"dkim", "a.example { unpublished hold key s1 %/ed.pem }", "a.example { key s1 %/ed.pem }", ""},
	{"dkim", "a.example { unpublished unsigned }", "a.example { unpublished unsigned }", ""},
	{"preflight", "enforce", "enforce", ""},
	{"dkim", "a.example { canonicalization simple key s1 %/ed.pem }", "a.example { key s1 %/ed.pem canonicalization simple/simple }", ""},
	{"route", SMARTHOST, "* { via h.example:587 starttls user x password *** }", ""},
	{"route", "* { via h.example tls }", "* { via h.example:465 implicit-tls }", ""},
	{"route", "a.example b.example { via [2001:db8::1]:25 }", "a.example { via [2001:db8::1]:25 opportunistic } | b.example { via [2001:db8::1]:25 opportunistic }", ""},
	{"route", "a.example via 192.0.2.1:465 tls", "a.example { via 192.0.2.1:465 implicit-tls }", ""},
	{"route", "a.example { via h.example:2525 starttls user x token env:PATH }", "a.example { via h.example:2525 starttls user x token *** }", ""},
	{"route", "a.example { direct }", "a.example { direct }", ""},
	{"spool", "/s", "/s", ""},
	{"state", "/t", "/t", ""},
	{"control", "/c", "/c", ""},
	{"resolver", "recursive", "recursive", ""},
	{"resolver", "127.0.0.1@5353 [::1]:53 192.0.2.1", "127.0.0.1@5353 ::1@53 192.0.2.1@53", ""},
	{"dnssec", "off", "off", ""},
	{"outbound", "{ port 2525  connect-timeout 5s  greeting-timeout 10s  bind 192.0.2.1 2001:db8::1  helo H.example  ipv6 off private-mx allow ca %/cert.pem }",
	 "{ port 2525 connect-timeout 5s greeting-timeout 10s bind 192.0.2.1 2001:db8::1 helo h.example ipv6 off private-mx allow ca %/cert.pem }", ""},
	{"outbound", "ipv6 on public-ip 192.0.2.1 2001:db8::1", "{ port 25 connect-timeout 30s greeting-timeout 5m public-ip 192.0.2.1 2001:db8::1 ipv6 on private-mx refuse }", ""},
	{"outbound", "port 26", "{ port 26 connect-timeout 30s greeting-timeout 5m ipv6 auto private-mx refuse }", ""},
	{"retry", "1s 90 1500ms 2h", "1s 90s 1500ms 2h", ""},
	{"expire", "36h", "36h", ""},
	{"delay-notice", "30m", "30m", ""},
	{"max-size", "16384K", "16M", ""},
	{"memory", "64M", "64M", ""},
	{"max-recipients", "7", "7", ""},
	{"idle-timeout", "300s", "5m", ""},
	{"user", "bob { rate 60/m  quota 9/D }", "bob { rate 60/min quota 9/d }", ""},
	{"limit-connections", "7", "7", ""},
	{"limit-commands", "0", "0", ""},
	{"limit-auth-failures", "5", "5", ""},
	{"dkim-selector", "s-1", "s-1", ""},
	{"bulk-after", "0", "0", ""},
	{"received-client", "none", "none", ""},
	{"log", "json", "json", ""},
	{"debug", "on", "on", ""},
	{"user-account", "mail", "mail", ""},
	{"smtpd-processes", "2", "2", ""},
	{"delivery-processes", "3", "3", ""},
	{"auth-processes", "4", "4", ""},
};

/* `text` with the folder put in. Two results live at a time. */
static const char *
put_folder(const char *text)
{
	static char out[2][8192];
	static int  which;
	size_t      n = 0;

	which = 1 - which;
	for (; *text != '\0'; text++) {
		if (*text == '%')
			n += (size_t)snprintf(out[which] + n, sizeof out[0] - n, "%s", fixture_dir());
		else
			out[which][n++] = *text;
	}
	out[which][n] = '\0';
	return out[which];
}

static void
variable_of(const char *name, const char *suffix, char out[64])
{
	snprintf(out, 64, "POSTERN_%s%s", name, suffix);
	for (char *p = out; *p != '\0'; p++)
		*p = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
}

static void
expect(size_t row, const char *text, const char *origin)
{
	struct buf     report = BUF(65536);
	struct config *c = fixture_load(text, &report);
	const char    *got;

	if (c == NULL)
		fail_msg("row %zu (%s): %s", row, origin, buf_z(&report));
	got = fixture_value(c, directives[row].name);
	if (strcmp(got, put_folder(directives[row].shown)) != 0)
		fail_msg("row %zu (%s): %s", row, origin, got);
	got = fixture_origin(c, directives[row].name);
	if (strncmp(got, origin, strlen(origin)) != 0)
		fail_msg("row %zu: origin %s, not %s", row, got, origin);
	config_unref(c);
	buf_free(&report);
}

static void
every_directive_has_three_ways_in(void **state)
{
	char text[8192], name[64], also[1024], origin[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
		snprintf(also, sizeof also, "%s", put_folder(directives[i].also));
		snprintf(text, sizeof text, "%s %s\n%s", directives[i].name,
		         put_folder(directives[i].value), also);
		snprintf(origin, sizeof origin, "%s:1", fixture_path("c.conf"));
		expect(i, text, origin);

		variable_of(directives[i].name, "", name);
		setenv(name, put_folder(directives[i].value), 1);
		snprintf(origin, sizeof origin, "env %s", name);
		snprintf(text, sizeof text, "%sstate %s/state\n", also, fixture_dir());
		expect(i, strcmp(directives[i].name, "state") == 0 ? also : text, origin);
		unsetenv(name);

		snprintf(text, sizeof text, "%s\n", put_folder(directives[i].value));
		fixture_write("value", text, 0600);
		variable_of(directives[i].name, "_FILE", name);
		setenv(name, fixture_path("value"), 1);
		snprintf(origin, sizeof origin, "%s:1", fixture_path("value"));
		expect(i, also, origin);
		unsetenv(name);
	}
}

static void
the_table_of_this_test_is_complete(void **state)
{
	const char *name;

	(void)state;
	for (size_t i = 0; (name = config_directive(i)) != NULL; i++) {
		bool found = false;

		for (size_t k = 0; k < ARRAY_LEN(directives); k++)
			found = found || strcmp(directives[k].name, name) == 0;
		if (!found || config_help(name) == NULL)
			fail_msg("%s", name);
	}
}

static void
without_anything_it_captures_on_loopback(void **state)
{
	struct buf     report = BUF(65536);
	struct config *c = fixture_load("", &report);

	(void)state;
	assert_non_null(c);
	assert_int_equal(report.n, 0);
	assert_true(config_is_capture(c));
	assert_true(c->hostname.n > 0);
	assert_true(c->n_listens >= 1 && c->n_listens <= 2);
	assert_true(addr_is_loopback(c->listens[0].addr));
	assert_int_equal(c->listens[0].addr.port, 25);
	assert_int_equal(c->listens[0].tls, LISTEN_PLAIN);
	assert_false(c->listens[0].auth);
	assert_int_equal(c->n_trusts, 2);
	assert_null(c->trust_origin.file);
	assert_int_equal(c->n_retry, 7);
	assert_int_equal(c->retry_ms[6], 4 * 3600 * 1000);
	assert_int_equal(c->expire_ms, INT64_C(5) * 86400 * 1000);
	assert_int_equal(c->max_size, 50 << 20);
	assert_int_equal(c->outbound.greeting_timeout_ms, 300000);
	assert_true(c->outbound.ipv6 == IPV6_AUTO && !c->outbound.private_mx && c->dkim_sign);
	assert_string_equal(c->spool.p, "/var/spool/postern");
	assert_string_equal(c->control.p, "/run/postern/control");
	config_unref(c);
	buf_free(&report);
}

static void
variables_commas_and_files_are_weighed(void **state)
{
	struct buf     report = BUF(65536);
	struct config *c;

	(void)state;
	setenv("POSTERN_DOMAINS", "a.example,b.example, c.example", 1);
	setenv("POSTERN_HOSTNAME", "env.example", 1);
	setenv("POSTERN_LISTEN", "127.0.0.1:2525; 127.0.0.1:2526", 1);
	c = fixture_load("hostname file.example\ndomains file.example\n", &report);
	assert_non_null(c);
	assert_string_equal(c->hostname.p, "env.example");
	assert_string_equal(fixture_value(c, "domains"), "a.example b.example c.example");
	assert_string_equal(fixture_value(c, "listen"), "127.0.0.1:2525 | 127.0.0.1:2526");
	assert_string_equal(c->domains_origin.text, "POSTERN_DOMAINS=a.example,b.example, c.example");
	config_unref(c);
	setenv("POSTERN_HOSTNAME", "", 1); /* empty is not set: as compose files leave it */
	c = fixture_load("hostname file.example\n", &report);
	assert_string_equal(c->hostname.p, "file.example");
	config_unref(c);
	unsetenv("POSTERN_DOMAINS");
	setenv("POSTERN_HOSTNAME_FILE", "", 1);
	setenv("POSTERN_CONFIG", "", 1);
	c = fixture_load("hostname file.example\n", &report);
	assert_non_null(c);
	config_unref(c);
	unsetenv("POSTERN_CONFIG");
	unsetenv("POSTERN_HOSTNAME_FILE");
	unsetenv("POSTERN_HOSTNAME");
	unsetenv("POSTERN_LISTEN");
	buf_free(&report);
}

static const struct {
	const char *name, *value, *said;
} bad_variables[] = {
	{"POSTERN_HOSTNAM", "x", "did you mean POSTERN_HOSTNAME?"},
	{"POSTERN_TRUSTS", "x", "did you mean POSTERN_TRUST?"},
	{"POSTERN_MAXSIZE_FILE", "/x", "did you mean POSTERN_MAX_SIZE_FILE?"},
	{"POSTERN_RELAYHOST", "x", "here this is POSTERN_ROUTE"},
	{"POSTERN_FROBNICATE", "x", "unknown variable POSTERN_FROBNICATE\n    POSTERN_FROBNICATE=\n"},
	{"POSTERN_TRUST", "10.0.0.0/33",
	 "env POSTERN_TRUST: error: \"10.0.0.0/33\" is no network\n    POSTERN_TRUST=10.0.0.0/33\n"
	 "                  ^~~~~~~~~~~  "},
	{"POSTERN_HOSTNAME_FILE", "relative", "needs the full path"},
	{"POSTERN_HOSTNAME_FILE", "/nowhere/at/all", "/nowhere/at/all: No such file"},
};

static void
wrong_variables_are_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_variables); i++) {
		struct buf report = BUF(65536);

		setenv(bad_variables[i].name, bad_variables[i].value, 1);
		assert_null(fixture_load("", &report));
		if (strstr(buf_z(&report), bad_variables[i].said) == NULL)
			fail_msg("%s", buf_z(&report));
		unsetenv(bad_variables[i].name);
		buf_free(&report);
	}
}

static void
a_whole_file_comes_in_a_variable(void **state)
{
	struct buf     report = BUF(65536);
	char           text[512];
	struct config *c;

	(void)state;
	snprintf(text, sizeof text, "state %s/state # x\nexpire ${POSTERN_TEST:-3d}\n", fixture_dir());
	setenv("POSTERN_CONFIG", text, 1);
	c = config_load(NULL, &report, NULL, NULL);
	assert_non_null(c);
	assert_string_equal(fixture_value(c, "expire"), "3d");
	assert_string_equal(fixture_origin(c, "expire"), "env POSTERN_CONFIG:2");
	config_unref(c);
	setenv("POSTERN_CONFIG", "log json\nlgo json\n", 1);
	assert_null(config_load(NULL, &report, NULL, NULL));
	assert_non_null(strstr(buf_z(&report), "env POSTERN_CONFIG:2:1: error: unknown directive"));
	unsetenv("POSTERN_CONFIG");
	buf_free(&report);
}

static void
files_are_included_and_variables_put_in(void **state)
{
	struct buf     report = BUF(65536);
	struct config *c;

	(void)state;
	mkdir(fixture_path("conf.d"), 0755);
	fixture_write("conf.d/10.conf", "domains one.example\n", 0600);
	fixture_write("conf.d/20.conf", "\ndomains two.example\r\nusers ../users\r\n", 0600);
	fixture_write("conf.d/note.txt", "nonsense\n", 0600);
	setenv("TEST_DOMAINS", "three.example  four.example", 1);
	setenv("TEST_EMPTY", "", 1);
	c = fixture_load("\xef\xbb\xbfhostname \"mail.${TEST_NONE:-example}.com\"\n"
	                 "include \"conf.d/*.conf\" \"none.d/*.conf\"\n"
	                 "domains ${TEST_DOMAINS} ${TEST_EMPTY} five${TEST_EMPTY}.example # \"\n"
	                 "user \"bob\" {\n\tfrom a@a.example # first\n\n\tb@b.example }\n", &report);
	assert_null(c); /* "b@b.example" begins a statement */
	assert_non_null(strstr(buf_z(&report), ":7:2: error: unknown word \"b@b.example\""));
	buf_clear(&report);
	c = fixture_load("hostname \"mail.${TEST_NONE:-example}.com\"\n"
	                 "include \"conf.d/*.conf\" \"none.d/*.conf\"\n"
	                 "domains ${TEST_DOMAINS} ${TEST_EMPTY} five${TEST_EMPTY}.example # \"\n"
	                 "user \"bob\" {\n\tfrom a@a.example # first\n }\n", &report);
	if (c == NULL) {
		fail_msg("%s", buf_z(&report));
		return;
	}
	assert_string_equal(c->hostname.p, "mail.example.com");
	assert_string_equal(fixture_value(c, "domains"),
	                    "one.example two.example three.example four.example five.example");
	assert_string_equal(c->user[0].origin.text, "user \"bob\" { from a@a.example }");
	assert_int_equal(c->user[0].origin.line, 4);
	assert_int_equal(c->user[0].origin.column, 6);
	assert_true(str_ends(c->users_path, STR("/conf.d/../users")));
	config_unref(c);
	buf_free(&report);
}

static void
keys_of_the_state_folder_sign_by_default(void **state)
{
	struct buf     report = BUF(65536);
	struct config *c;

	(void)state;
	mkdir(fixture_path("state/dkim"), 0700);
	mkdir(fixture_path("state/dkim/a.example"), 0700);
	mkdir(fixture_path("state/dkim/b.example"), 0700);
	mkdir(fixture_path("state/dkim/c.example"), 0700);
	fixture_copy("rsa2048.pkcs1.pem", "state/dkim/a.example/2026a.pem", 0600);
	fixture_copy("ed25519.pkcs8.pem", "state/dkim/a.example/2026b.pem", 0600);
	fixture_copy("rsa2048.pkcs8.pem", "state/dkim/b.example/x.pem", 0600);
	c = fixture_load("hostname m.example\ndomains a.example *.a.example\ndkim b.example { key s ed.pem }\n", &report);
	if (c == NULL || report.n > 0) {
		fail_msg("%s", buf_z(&report));
		return;
	}
	assert_int_equal(c->n_dkim, 2); /* the file's word counts for b.example, c.example has none */
	assert_string_equal(c->dkim[0].domain.p, "b.example");
	assert_int_equal(c->dkim[0].n_keys, 1);
	assert_string_equal(c->dkim[1].domain.p, "a.example");
	assert_int_equal(c->dkim[1].n_keys, 2);
	assert_string_equal(c->dkim[1].keys[0].selector.p, "2026a");
	assert_int_equal(c->dkim[1].keys[0].type, KEY_RSA);
	assert_int_equal(c->dkim[1].keys[1].type, KEY_ED25519);
	config_unref(c);
	fixture_copy("bad-encrypted.pem", "state/dkim/c.example/x.pem", 0600);
	assert_null(fixture_load("", &report));
	assert_non_null(strstr(buf_z(&report), "c.example/x.pem is encrypted"));
	unlink(fixture_path("state/dkim/c.example/x.pem"));
	buf_free(&report);
}

/* Mail of a domain whose keys cannot be looked for must not go unsigned. */
static void
a_folder_of_keys_that_cannot_be_read_is_an_error(void **state)
{
	static const char usual[] = "hostname m.example\ndomains a.example\n";
	static const struct {
		const char *name, *text, *said;
	} rows[] = {
		{"state/dkim/loop.example", usual, "loop.example: Too many levels of symbolic links"},
		{"state/dkim/loop.example", "hostname m.example\n", NULL}, /* nothing is signed */
		{"state/dkim/loop.example", "hostname m.example\ndomains a.example\ndkim-sign off\n", NULL},
		{"state/dkim/.loop", usual, NULL},
	};

	(void)state;
	mkdir(fixture_path("state/dkim"), 0700);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf     report = BUF(65536);
		struct config *c;

		assert_int_equal(symlink(strrchr(rows[i].name, '/') + 1, fixture_path(rows[i].name)), 0);
		c = fixture_load(rows[i].text, &report);
		if ((c == NULL) != (rows[i].said != NULL) ||
		    (rows[i].said != NULL && strstr(buf_z(&report), rows[i].said) == NULL))
			fail_msg("row %zu: %s", i, buf_z(&report));
		config_unref(c);
		unlink(fixture_path(rows[i].name));
		buf_free(&report);
	}
}

/* It looks whole from outside, so nothing else would ever ask for another look. */
static void
a_file_that_broke_off_counts_as_changed(void **state)
{
	struct buf     report = BUF(65536);
	struct config *next, *c;

	(void)state;
	fixture_write("broken", "secret", 0600);
	c = fixture_load("route * { via h.example:587 tls user x password file:broken }\n", &report);
	assert_non_null(c);
	unlink(fixture_path("broken"));
	/* the one file whose every read fails with EIO: nothing is mapped at address 0 */
	assert_int_equal(symlink("/proc/self/mem", fixture_path("broken")), 0);
	for (unsigned i = 0; i < 3; i++) {
		buf_clear(&report);
		assert_null(config_refresh(c, &report));
		assert_non_null(strstr(buf_z(&report), "broken: Input/output error"));
	}
	fixture_write("broken", "other", 0600);
	next = config_refresh(c, &report);
	assert_non_null(next);
	assert_string_equal(next->routes[0].password.p, "other");
	config_unref(c);
	config_unref(next);
	buf_free(&report);
}

static void
changed_files_make_a_new_configuration(void **state)
{
	struct buf     report = BUF(65536);
	struct config *next, *c = fixture_load(
	        "users users\ntls cert.pem key.pem\nroute * { via h.example:587 tls user x password file:secret }\n",
	        &report);

	(void)state;
	if (c == NULL) {
		fail_msg("%s", buf_z(&report));
		return;
	}
	assert_null(config_refresh(c, &report));
	fixture_write("c.conf", "log json\n", 0600); /* only a reload reads this */
	assert_null(config_refresh(c, &report));

	fixture_write("secret", "other\n", 0600);
	next = config_refresh(c, &report);
	assert_non_null(next);
	assert_string_equal(next->routes[0].password.p, "other");
	assert_string_equal(c->routes[0].password.p, "open-sesame");
	assert_string_equal(next->hostname.p, c->hostname.p);
	assert_int_equal(next->generation, c->generation + 1);
	assert_false(next->log_json);
	config_unref(c);
	assert_null(config_refresh(next, &report));

	/* A certificate that does not fit is told once and changes nothing. */
	buf_clear(&report);
	fixture_write("cert.pem", "nonsense", 0644);
	assert_null(config_refresh(next, &report));
	assert_non_null(strstr(buf_z(&report), "certificate cannot be used"));
	buf_clear(&report);
	assert_null(config_refresh(next, &report));
	assert_int_equal(report.n, 0);

	/* A key that appears in the state folder is found. */
	fixture_copy("ed25519.pkcs8.pem", "state/dkim/c.example/y.pem", 0600);
	assert_null(config_refresh(next, &report));
	unlink(fixture_path("cert.pem"));
	config_unref(config_ref(next));
	config_unref(next);
	buf_free(&report);
}

static void
a_new_key_is_found_without_a_reload(void **state)
{
	struct buf     report = BUF(65536);
	struct config *next, *c = fixture_load("", &report);
	size_t         n;

	(void)state;
	assert_non_null(c);
	n = c->n_dkim;
	mkdir(fixture_path("state/dkim/new.example"), 0700);
	fixture_copy("ed25519.pkcs8.pem", "state/dkim/new.example/y.pem", 0600);
	next = config_refresh(c, &report);
	assert_non_null(next);
	assert_int_equal(next->n_dkim, n + 1);
	config_unref(c);
	config_unref(next);
	buf_free(&report);
}

static int64_t days_ahead;

static int64_t
later(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((int64_t)now.tv_sec + days_ahead * 86400) * 1000;
}

static int64_t
mono(void)
{
	return 1;
}

static void
old_certificates_are_told_but_do_not_stop(void **state)
{
	static const struct {
		int         days;
		const char *said;
	} rows[] = {{0, NULL}, {360, "this certificate expires in "}, {400, "this certificate has expired"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf     report = BUF(65536);
		struct config *c;

		days_ahead = rows[i].days;
		time_hook(later, mono);
		c = fixture_load("tls tls\n", &report);
		time_hook(NULL, NULL);
		if (c == NULL || (rows[i].said == NULL ? report.n > 0
		                                       : strstr(buf_z(&report), rows[i].said) == NULL))
			fail_msg("%d days: %s", rows[i].days, buf_z(&report));
		config_unref(c);
		buf_free(&report);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_directive_has_three_ways_in),
		cmocka_unit_test(the_table_of_this_test_is_complete),
		cmocka_unit_test(without_anything_it_captures_on_loopback),
		cmocka_unit_test(variables_commas_and_files_are_weighed),
		cmocka_unit_test(wrong_variables_are_errors),
		cmocka_unit_test(a_whole_file_comes_in_a_variable),
		cmocka_unit_test(files_are_included_and_variables_put_in),
		cmocka_unit_test(keys_of_the_state_folder_sign_by_default),
		cmocka_unit_test(a_folder_of_keys_that_cannot_be_read_is_an_error),
		cmocka_unit_test(a_file_that_broke_off_counts_as_changed),
		cmocka_unit_test(changed_files_make_a_new_configuration),
		cmocka_unit_test(a_new_key_is_found_without_a_reload),
		cmocka_unit_test(old_certificates_are_told_but_do_not_stop),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
