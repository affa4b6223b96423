/* SPDX-License-Identifier: ISC */
/* Broken configurations: each says where, what and, where it can, how to mend it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/proc/config_fixture.h"

/* What most rows need to be about one thing only. */
#define LIVE "hostname mail.example.com\n"
#define USERS "users users\n"
#define TLS "tls cert.pem key.pem\n"

static const struct {
	const char *text;
	const char *at;    /* line:column */
	const char *cause; /* a part of it */
	const char *hint;  /* a part of it, or NULL */
} errors[] = {
	/* words and blocks */
	{"hostname \"mail.example.com\n", "1:10", "quote is not closed", NULL},
	{"user bob { from *@a.example\n", "1:10", "never closed", NULL},
	{"}\n", "1:1", "\"}\" without \"{\"", NULL},
	{"{ from x }\n", "1:1", "without a directive", NULL},
	{"user bob { from { a.example } }\n", "1:17", "do not stand inside blocks", NULL},
	{"expire ${POSTERN_TEST_NOT_SET}\n", "1:8", "POSTERN_TEST_NOT_SET is not set", ":-default"},
	{"expire ${A B}\n", "1:8", "is no variable", "${NAME}"},
	{"expire ${A\n", "1:8", "without \"}\"", NULL},
	{"expire 1\001d\n", "1:9", "control character 0x01", NULL},
	{"log { json }\n", "1:1", "\"log\" needs a value", "logfmt or json"},
	{"log json { x }\n", "1:12", "takes no block", NULL},
	{"include \"nowhere.conf\"\n", "1:9", "nowhere.conf: No such file", NULL},
	{"include\n", "1:1", "needs names", NULL},
	{"include c.conf\n", "1:9", "include each other", NULL},
	/* directives */
	{"\n\n  frobnicate yes\n", "3:3", "unknown directive \"frobnicate\"", NULL},
	{"hostname=mail.example.com\n", "1:1", "\"hostname\" is no directive", "hostname VALUE"},
	{"hostname: mail.example.com\n", "1:1", "\"hostname\" is no directive", "hostname VALUE"},
	{"hostname = mail.example.com\n", "1:10", "no \"=\"", "hostname VALUE"},
	{"hostname a.example b.example\n", "1:20", "takes one value", NULL},
	{"hostname\n", "1:1", "needs a value", NULL},
	{"hostname a.example\nhostname b.example\n", "2:1", "already on line 1", NULL},
	/* simple values */
	{"hostname -x.example\n", "1:10", "is no host name", NULL},
	{"hostname mail..example\n", "1:10", "is no host name", NULL},
	{"max-size 10Q\n", "1:10", "\"10Q\" is no size", "50M"},
	{"max-size 1\n", "1:10", "out of range", "1K to 2G"},
	{"max-size 99999999999999G\n", "1:10", "is no size", NULL},
	{"max-recipients many\n", "1:16", "is no number", NULL},
	{"max-recipients 0\n", "1:16", "out of range", "1 to 100000"},
	{"expire soon\n", "1:8", "is no time", "30s"},
	{"expire 400d\n", "1:8", "out of range", "1s to 60d"},
	{"retry 5m 10x\n", "1:10", "is no time", NULL},
	{"log syslog\n", "1:5", "not one of logfmt or json", NULL},
	{"dkim-sign yes\n", "1:11", "not one of off or on", "\"on\""},
	{"dnssec perhaps\n", "1:8", "not one of auto, on or off", NULL},
	{"resolver 8.8.8.8.8\n", "1:10", "is no resolver", "127.0.0.1@5353"},
	{"resolver system 127.0.0.1\n", "1:10", "stands alone", NULL},
	/* domains */
	{LIVE "domains exa_mple.com\n", "2:9", "is no domain", NULL},
	{LIVE "domains ann@example.com\n", "2:9", "an address, not a domain", "from ann@example.com"},
	{LIVE "domains a.example a.example\n", "2:19", "twice", NULL},
	{"hostname mail\ndomains a.example\n", "1:10", "no full host name", "mail.example.com"},
	/* listeners */
	{"listen 587\n", "1:8", "no address to listen on", "\":587\""},
	{"listen localhost:587\n", "1:8", "no address to listen on", "127.0.0.1:587"},
	{"listen 127.0.0.1:99999\n", "1:8", "no address to listen on", NULL},
	{"listen 127.0.0.1:25 tsl\n", "1:21", "unknown listener option \"tsl\"", "\"tls\""},
	{"listen tls 127.0.0.1:25\n", "1:8", "begins with an address", NULL},
	{"listen 127.0.0.1:25 auth 127.0.0.1:26\n", "1:26", "behind the options", "second \"listen\""},
	{"listen 127.0.0.1:25 tls starttls\n", "1:25", "not both", NULL},
	{"listen 127.0.0.1:25 auth auth\n", "1:26", "twice", NULL},
	{"listen 127.0.0.1:25 lint\n", "1:21", "fix, strict or off", NULL},
	{"listen 127.0.0.1:25 lint strct auth\n", "1:26", "fix, strict or off", "\"strict\""},
	{"dkim-selector s%x\n", "1:15", "makes no selector", "%h"},
	{"dkim-selector s%\n", "1:15", "makes no selector", "%Y"},
	{"dkim-selector a_b\n", "1:15", "makes no selector", "hyphens"},
	{"received-client shrt\n", "1:17", "shrt", "short"},
	{"user bob { rate 500 }\n", "1:17", "is no rate", "500/h"},
	{"user bob { quota 0/d }\n", "1:18", "is no rate", "500/h"},
	{"trust 10.0.0.0/8 { rate 5/week }\n", "1:25", "is no rate", "500/h"},
	{"memory 7M\n", "1:8", "out of range", "8M"},
	{"limit-connections many\n", "1:19", "many", NULL},
	{"listen 127.0.0.1:25 proxy\n", "1:21", "needs the networks", "192.0.2.0/24"},
	{"listen 127.0.0.1:25 proxy 10.0.0.1/8\n", "1:27", "is no network", NULL},
	{"listen 127.0.0.1:25\nlisten 127.0.0.1:25\n", "2:8", "beside 127.0.0.1:25 (line 1)", NULL},
	{TLS USERS "listen :2525 starttls auth\nlisten 127.0.0.1:2525\n", "4:8", "cannot be opened beside 0.0.0.0:2525 (line 3)", NULL},
	{"listen 127.0.0.1:465 tls\n", "1:8", "there is no certificate", "tls CERT.pem"},
	{"listen 127.0.0.1:587 auth\n", "1:8", "nobody is known", "users"},
	{USERS "listen 192.0.2.1:587 auth\n", "2:8", "in the clear", "starttls"},
	{"listen 127.0.0.1:587 tls-required\n", "1:8", "tls-required without", NULL},
	{"listen 192.0.2.1:25\n", "1:8", "nobody may send through it", "trust"},
	{TLS "listen :25 starttls\n", "2:8", "nobody may send through it", NULL},
	/* certificates */
	{"tls cert.pem other.pem\n", "1:5", "certificate cannot be used", NULL},
	{"tls nowhere\n", "1:5", "nowhere/fullchain.pem: No such file", NULL},
	{"tls rsa.pem key.pem\n", "1:5", "certificate cannot be used", NULL},
	{"tls state state\n", "1:5", "is a folder", NULL},
	/* trust */
	{"trust 0.0.0.0/0\n", "1:7", "lets anyone on the Internet send", "i-know-this-is-an-open-relay"},
	{"trust loopback ::/0\n", "1:16", "lets anyone on the Internet send", "i-know-this-is-an-open-relay"},
	{"trust 0.0.0.0/1 128.0.0.0/1\n", "1:7", "a large part of the Internet", NULL},
	{"trust 2000::/3\n", "1:7", "a large part of the Internet", NULL},
	{"trust 0.0.0.0/0 i-know-this-is-a-relay\n", "1:17", "neither a network nor a word", NULL},
	{"trust 10.1.2.3/8\n", "1:7", "is no network", "bits set behind /8"},
	{"trust 10.0.0.0/33\n", "1:7", "is no network", "0 to 32"},
	{"trust loopbck\n", "1:7", "neither a network nor a word", "\"loopback\""},
	{"trust none 10.0.0.0/8\n", "1:7", "does not go with", NULL},
	{"trust none\ntrust 10.0.0.0/8\n", "1:7", "does not go with", NULL},
	{"trust 10.0.0.0/8\ntrust none\n", "2:7", "does not go with", NULL},
	{"trust 10.0.0.0/8 10.0.0.0/8\n", "1:18", "trusted already", NULL},
	{"trust 10.0.0.0/8 { form *@a.example }\n", "1:20", "unknown word \"form\"", "\"from\""},
	{"trust 10.0.0.0/8 { from }\n", "1:20", "\"from\" needs a value", NULL},
	{"trust 10.0.0.0/8 { from *@*.a.example }\n", "1:25", "no \"*\" behind the @", "*.example.com"},
	{"trust 10.0.0.0/8 { from @a.example }\n", "1:25", "no address pattern", NULL},
	/* users */
	{USERS "user bob { from *@a.example }\nuser bob { from *@b.example }\n", "3:6", "a block already (line 2)", NULL},
	{"users badusers\n", "1:7", "line 2 holds no SCRAM-SHA-256 verifier", "postern user add"},
	{"users open\n", "1:7", "anyone may write to", "chmod o-w"},
	{"pwcheck saslauthd\n", "1:9", "needs the path", "/run/saslauthd/mux"},
	{"pwcheck salsauthd /x\n", "1:9", "not one of", "\"saslauthd\""},
	/* dkim */
	{"dkim a.example { key s nowhere.pem }\n", "1:24", "nowhere.pem: No such file", NULL},
	{"dkim a.example { key s }\n", "1:18", "\"key\" needs more values", NULL},
	{"dkim a.example\n", "1:6", "no key signs", NULL},
	{"dkim a.example { unpublished later }\n", "1:30", "\"later\" is neither hold nor unsigned", "goes without"},
	{"dkim a.example { unpublished hold }\n", "1:6", "no key signs", NULL},
	{"preflight strict\n", "1:11", "", NULL},
	{"outbound { ipv6 perhaps }\n", "1:17", "", NULL},
	{"outbound { public-ip mail.example }\n", "1:22", "is no address", NULL},
	{"dkim a.example { key s rsa.pem\n key s ed.pem }\n", "2:6", "selector s stands here twice", NULL},
	{"dkim a.example { key s rsa.pem }\ndkim A.example { key t ed.pem }\n", "2:6", "already (line 1)", "one block"},
	{"dkim a.example { key s rsa.pem canonicalization strict }\n", "1:49", "no canonicalization", "relaxed/relaxed"},
	{"dkim a.example { key s cert.pem }\n", "1:24", "is a certificate", "dkim new"},
	/* routes */
	{"route * { via h.example:587 tls user x }\n", "1:1", "needs both", NULL},
	{"route * { via h.example:587 user x password file:secret }\n", "1:1", "without verified TLS", "via h.example:587 tls"},
	{"route * { user x password file:secret }\n", "1:1", "leads nowhere", "via HOST:PORT"},
	{"route * { direct via h.example }\n", "1:1", "either \"direct\" or \"via\"", NULL},
	{"route * { via h.example:x }\n", "1:15", "no host and port", NULL},
	{"route * { via h.example:587 ssl }\n", "1:29", "not one of tls", "\"tls\""},
	{"route * { via h.example:587 tls user x password file:nowhere }\n", "1:49", "nowhere: No such file", NULL},
	{"route * { via h.example:587 tls user x password env:POSTERN_TEST_NOT_SET }\n", "1:49", "is not set", NULL},
	{"route * { via h.example:587 tls user x password cred:x }\n", "1:49", "CREDENTIALS_DIRECTORY", "LoadCredential"},
	{"route * { via h.example:587 tls user x password \"\" }\n", "1:49", "is empty", NULL},
	{"route a.example { direct }\nroute a.example { direct }\n", "2:7", "a route already (line 1)", NULL},
	{"route a_b { direct }\n", "1:7", "neither a domain nor", NULL},
	/* outbound */
	{"outbound { port 0 }\n", "1:17", "out of range", "1 to 65535"},
	{"outbound { conect-timeout 5s }\n", "1:12", "unknown word", "\"connect-timeout\""},
	{"outbound { port }\n", "1:12", "\"port\" needs a value", NULL},
	{"outbound { port 25 port 26 }\n", "1:20", "twice", NULL},
	{"outbound { bind 192.0.2.1 192.0.2.2 }\n", "1:27", "a second IPv4 address", NULL},
	{"outbound { private-mx maybe }\n", "1:23", "refuse or allow", NULL},
	{"outbound { ca key.pem }\n", "1:15", "holds no certificate", NULL},
	/* places */
	{"spool s\nstate s\n", "1:7", "cannot be the same folder", NULL},
	{"control /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
	 "1:9", "too long for a socket", NULL},
};

/* The problem with exactly this place and cause. NULL or where its first line ends. */
static const char *
find(const char *report, const char *at, const char *kind, const char *cause)
{
	char  head[4200];
	char *place;

	snprintf(head, sizeof head, "%s:%s: %s: ", fixture_path("c.conf"), at, kind);
	for (place = strstr(report, head); place != NULL; place = strstr(place + 1, head)) {
		const char *end = strchr(place, '\n');
		const char *found = strstr(place, cause);

		if (found != NULL && found < end)
			return end;
	}
	return NULL;
}

/* The caret under the column that was named. */
static void
check_caret(const char *after, const char *at)
{
	const char *caret_line = strchr(after + 1, '\n') + 1;
	long        column = strtol(strchr(at, ':') + 1, NULL, 10);

	assert_int_equal(caret_line[4 + column - 1], '^');
}

static void
every_error_is_placed_and_explained(void **state)
{
	(void)state;
	fixture_write("badusers", "bob:x\ncarl:crypt\n", 0600);
	fixture_write("open", "", 0666);
	fixture_write("self", "", 0600);
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct buf     report = BUF(1024 * 1024);
		struct config *c = fixture_load(errors[i].text, &report);
		const char    *end = find(buf_z(&report), errors[i].at, "error", errors[i].cause);
		const char    *hint = errors[i].hint;

		if (c != NULL || end == NULL || (hint != NULL && strstr(end, hint) == NULL))
			fail_msg("row %zu: %swanted %s: %s (%s), got:\n%s", i, errors[i].text,
			         errors[i].at, errors[i].cause, hint != NULL ? hint : "",
			         buf_z(&report));
		check_caret(end, errors[i].at);
		buf_free(&report);
	}
}

/* One mistake, one error: no row above makes the reader look at lines that are right. */
static void
one_mistake_is_one_error(void **state)
{
	static const char *const texts[] = {
		"expire ${POSTERN_TEST_NOT_SET}\n",
		"listen :587 startls auth\n",
		"trust 10.0.0.0/33\nlisten 192.0.2.1:25\n",
		"hostname mail..example\ndomains a.example\n",
		"user bob { from *@a.example\n",
		"{ from x }\n",
		"log = json\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf report = BUF(65536);

		assert_null(fixture_load(texts[i], &report));
		if (strstr(buf_z(&report), "\n1 error") == NULL)
			fail_msg("%s%s", texts[i], buf_z(&report));
		buf_free(&report);
	}
}

static const struct {
	const char *text, *at, *cause;
} warnings[] = {
	{LIVE "domains a.example\n", "2:9", "will not be signed"},
	{LIVE "domains *\n", "2:9", "any domain"},
	{"trust 0.0.0.0/0 i-know-this-is-an-open-relay\n", "1:7", "open relay"},
	{"users nowhere\n", "1:7", "not there yet"},
	{USERS "user carl { from *@a.example }\n", "2:6", "does not know the name"},
	{"user carl { from *@a.example }\n", "1:6", "no users file"},
	{"expire 10s\n", "1:8", "before its second attempt"},
	{"dkim a.example { key s rsa1024.pem }\n", "1:24", "1024 bits"},
	{"dkim a.example { key s readable.pem }\n", "1:24", "may read"},
	{"users readable-users\n", "1:7", "may read"},
	{"route * { via h.example:587 tls user x password file:readable-secret }\n", "1:49", "may read"},
};

static void
warnings_do_not_stop_anything(void **state)
{
	(void)state;
	fixture_copy("rsa1024.pkcs8.pem", "rsa1024.pem", 0600);
	fixture_copy("ed25519.pkcs8.pem", "readable.pem", 0644);
	fixture_write("readable-users", "", 0644);
	fixture_write("readable-secret", "x", 0644);
	for (size_t i = 0; i < ARRAY_LEN(warnings); i++) {
		struct buf     report = BUF(65536);
		struct config *c = fixture_load(warnings[i].text, &report);

		if (c == NULL ||
		    find(buf_z(&report), warnings[i].at, "warning", warnings[i].cause) == NULL)
			fail_msg("%s%s", warnings[i].text, buf_z(&report));
		config_unref(c);
		buf_free(&report);
	}
}

static const struct {
	const char *line, *meant;
} typos[] = {
	{"hostnme x.example", "hostname"},
	{"hostnamee x.example", "hostname"},
	{"Hostname x.example", "hostname"},
	{"domain a.example", "domains"},
	{"domians a.example", "domains"},
	{"lisen :25", "listen"},
	{"listne :25", "listen"},
	{"tsl a b", "tls"},
	{"turst loopback", "trust"},
	{"trus loopback", "trust"},
	{"user_account x", "user-account"},
	{"usres x", "users"},
	{"dkim-sing on", "dkim-sign"},
	{"dkm a.example", "dkim"},
	{"rotue * { direct }", "route"},
	{"spol x", "spool"},
	{"satte x", "state"},
	{"contrl x", "control"},
	{"resolvr system", "resolver"},
	{"dnsec on", "dnssec"},
	{"outbond { port 25 }", "outbound"},
	{"rety 5m", "retry"},
	{"exipre 5d", "expire"},
	{"max_size 5M", "max-size"},
	{"maxsize 5M", "max-size"},
	{"max-recipient 5", "max-recipients"},
	{"idle-timout 5s", "idle-timeout"},
	{"lgo json", "log"},
	{"debgu on", "debug"},
	{"delaynotice 4h", "delay-notice"},
	{"pwchek users", "pwcheck"},
	{"smtpd-proceses 1", "smtpd-processes"},
	{"delivery-process 1", "delivery-processes"},
	/* other programs' words */
	{"relayhost x", "route"},
	{"mynetworks x", "trust"},
	{"myhostname x", "hostname"},
	{"mydomain x", "domains"},
	{"inet_interfaces all", "listen"},
	{"message_size_limit 1", "max-size"},
	{"maximal_queue_lifetime 5d", "expire"},
	{"smtpd_tls_cert_file x", "tls"},
	{"queue_directory x", "spool"},
	{"KeyTable x", "dkim"},
	{"primary_hostname x", "hostname"},
	{"smarthost x", "route"},
	{"relayhosts x", "route"},
	{"mynetwork x", "trust"},
};

static void
typos_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(typos); i++) {
		struct buf  report = BUF(65536);
		char        hint[64];
		const char *end;

		assert_null(fixture_load(typos[i].line, &report));
		end = find(buf_z(&report), "1:1", "error", "unknown directive");
		snprintf(hint, sizeof hint, " \"%s\"", typos[i].meant);
		if (end == NULL || strstr(end, hint) == NULL)
			fail_msg("%s: wanted %s, got:\n%s", typos[i].line, hint, buf_z(&report));
		buf_free(&report);
	}
}

static void
all_errors_come_at_once_in_the_order_of_the_file(void **state)
{
	struct buf  report = BUF(65536);
	const char *a, *b, *c, *d;

	(void)state;
	assert_null(fixture_load("listen 127.0.0.1:465 tls\nlog xml\nfoo bar\n\tmax-size ten # ten\n", &report));
	a = find(buf_z(&report), "1:8", "error", "certificate");
	b = find(buf_z(&report), "2:5", "error", "xml");
	c = find(buf_z(&report), "3:1", "error", "foo");
	d = find(buf_z(&report), "4:11", "error", "ten");
	assert_true(a != NULL && b > a && c > b && d > c);
	/* A tab stays a tab in the line of the caret. */
	assert_non_null(strstr(d, "\n    \tmax-size ten # ten\n    \t         ^~~  write"));
	assert_true(str_ends(buf_str(&report), STR("\n4 errors.\n")));
	buf_free(&report);
}

static void
passwords_are_masked_in_reports(void **state)
{
	struct buf     report = BUF(65536);
	struct config *c;

	(void)state;
	assert_null(fixture_load("route * { via h.example:587 tsl user x password hush-hush }\n", &report));
	assert_non_null(strstr(buf_z(&report), "password *********"));
	assert_null(strstr(buf_z(&report), "hush"));
	buf_clear(&report);
	c = fixture_load("route * { via h.example:587 tls user x password \"hush hush\" }\n", &report);
	assert_non_null(c);
	assert_string_equal(c->routes[0].password.p, "hush hush");
	assert_null(strstr(c->routes[0].origin.text, "hush"));
	config_unref(c);
	/* Whoever may read the file would know the password. */
	fixture_write("open.conf", "route * { via h.example:587 tls user x password hush }\n", 0640);
	assert_null(config_load(fixture_path("open.conf"), &report, NULL, NULL));
	assert_non_null(strstr(buf_z(&report), "1:49: error: a secret in a file that others"));
	/* A variable is not in the file. */
	setenv("TEST_PASSWORD", "hush", 1);
	fixture_write("open.conf", "route * { via h.example:587 tls user x password ${TEST_PASSWORD} }\n", 0644);
	c = config_load(fixture_path("open.conf"), &report, NULL, NULL);
	assert_non_null(c);
	config_unref(c);
	buf_free(&report);
}

static void
a_writable_configuration_is_refused(void **state)
{
	struct buf report = BUF(65536);
	unsigned   errors_found = 0;

	(void)state;
	fixture_write("open.conf", "log json\n", 0666);
	assert_null(config_load(fixture_path("open.conf"), &report, &errors_found, NULL));
	assert_int_equal(errors_found, 1);
	assert_non_null(strstr(buf_z(&report), "anyone may write to"));
	buf_clear(&report);
	assert_null(config_load(fixture_path("nowhere.conf"), &report, &errors_found, NULL));
	assert_non_null(strstr(buf_z(&report), "nowhere.conf: No such file"));
	buf_free(&report);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_is_placed_and_explained),
		cmocka_unit_test(one_mistake_is_one_error),
		cmocka_unit_test(warnings_do_not_stop_anything),
		cmocka_unit_test(typos_are_understood),
		cmocka_unit_test(all_errors_come_at_once_in_the_order_of_the_file),
		cmocka_unit_test(passwords_are_masked_in_reports),
		cmocka_unit_test(a_writable_configuration_is_refused),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
