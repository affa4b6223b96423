/* SPDX-License-Identifier: ISC */
/*
 * Plays the scripts of this folder against a session.
 *
 * `set` lines make the configuration: domains, trust (words), listen (starttls tls auth
 * auth-required tls-required), own (the listener's address), memory, max-size, max-recipients,
 * idle-timeout (seconds), user NAME PATTERN..., dkim DOMAIN SELECTOR..., certificate no, intake
 * full|broken|none, mechs none, lint strict|off, received-client full|none, limit-connections,
 * limit-commands and limit-auth-failures N, held N (connections that the client has already),
 * failed N (logins that the client failed at before), rate COUNT SECONDS and quota COUNT SECONDS (of all
 * networks, and of the user). Unset: no limits, domains example.com, trust 192.0.2.0/24 loopback.
 *
 * Steps: `do drain`, `do drained`, `do undrained`, `do sessions N`, `do logged TEXT`, `do unlogged TEXT`,
 * `do unsent-below N` (octets that wait for the client to read).
 */
#include <stdlib.h>
#include <string.h>

#include "lib/net/loop.h"
#include "lib/proc/config.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "smtpd/handover.h"
#include "smtpd/logins.h"
#include "smtpd/server.h"
#include "smtpd/session.h"
#include "tests/fake/script.h"

enum { WORDS_MAX = 16, LOG_MAX = 64 * 1024 };

struct bench {
	struct server      server;
	struct loop       *loop;
	struct config      config;
	struct listen_conf listen;
	struct tls_conf    tls;
	struct trust_conf  trusts[WORDS_MAX];
	struct user_conf   user;
	struct dkim_conf   dkim;
	struct str         domains[WORDS_MAX], patterns[WORDS_MAX];
	struct dkim_key_conf keys[WORDS_MAX];
	bool               drained;
};

static struct buf logged = {.limit = LOG_MAX};

static void
on_line(struct str line)
{
	buf_add(&logged, line);
	buf_addc(&logged, '\n');
}

static size_t
split(struct str text, struct str *words)
{
	size_t n = 0;

	while (n < WORDS_MAX && (words[n] = str_word(&text)).n > 0)
		n++;
	return n;
}

static struct str
get(const struct script *sc, const char *key, const char *otherwise)
{
	struct str v = script_get(sc, key);

	return v.n > 0 ? v : str_of(otherwise);
}

static bool
add_trust(struct bench *b, struct str word)
{
	struct trust_conf *t = &b->trusts[b->config.n_trusts];

	if (str_eq(word, STR("none")))
		return true;
	b->config.n_trusts++;
	if (!str_eq(word, STR("loopback")))
		return cidr_parse(word, &t->net);
	b->config.n_trusts++;
	return cidr_parse(STR("127.0.0.0/8"), &t[0].net) && cidr_parse(STR("::1/128"), &t[1].net);
}

static bool
set_listen(struct bench *b, const struct script *sc)
{
	struct str words[WORDS_MAX];
	size_t     n = split(script_get(sc, "listen"), words);

	for (size_t i = 0; i < n; i++) {
		if (str_eq(words[i], STR("starttls")))
			b->listen.tls = LISTEN_STARTTLS;
		else if (str_eq(words[i], STR("tls")))
			b->listen.tls = LISTEN_TLS;
		else if (str_eq(words[i], STR("auth")))
			b->listen.auth = true;
		else if (str_eq(words[i], STR("auth-required")))
			b->listen.auth = b->listen.auth_required = true;
		else if (str_eq(words[i], STR("tls-required")))
			b->listen.tls_required = true;
		else
			return false;
	}
	if (str_eq(script_get(sc, "lint"), STR("strict")))
		b->listen.lint = LISTEN_LINT_STRICT;
	if (str_eq(script_get(sc, "lint"), STR("off")))
		b->listen.lint = LISTEN_LINT_OFF;
	return addr_parse_port(get(sc, "own", "192.0.2.25:25"), 25, &b->listen.addr);
}

static void
set_names(struct bench *b, const struct script *sc)
{
	struct str words[WORDS_MAX];
	size_t     n = split(script_get(sc, "user"), words);

	for (size_t i = 1; i < n; i++)
		b->patterns[i - 1] = words[i];
	if (n > 0) {
		b->user = (struct user_conf){.name = words[0], .from = {b->patterns, n - 1}};
		b->config.user = &b->user;
		b->config.n_user = 1;
	}
	n = split(script_get(sc, "dkim"), words);
	for (size_t i = 1; i < n; i++)
		b->keys[i - 1].selector = words[i];
	if (n > 1) {
		b->dkim = (struct dkim_conf){.domain = words[0], .keys = b->keys, .n_keys = n - 1};
		b->config.dkim = &b->dkim;
		b->config.n_dkim = 1;
	}
}

static uint64_t
number(const struct script *sc, const char *key, uint64_t otherwise)
{
	uint64_t n;

	return str_number(script_get(sc, key), UINT64_MAX, &n) ? n : otherwise;
}

static struct rate_conf
get_rate(const struct script *sc, const char *key)
{
	struct str       words[WORDS_MAX];
	struct rate_conf r = {0, 0};
	uint64_t         seconds = 0;

	if (split(script_get(sc, key), words) == 2 && str_number(words[0], 1000000, &r.count) &&
	    str_number(words[1], 1000000, &seconds))
		r.per_ms = (int64_t)seconds * 1000;
	return r;
}

static void
set_limits(struct bench *b, struct rate_conf rate, struct rate_conf quota)
{
	for (size_t i = 0; i < b->config.n_trusts; i++) {
		b->trusts[i].rate = rate;
		b->trusts[i].quota = quota;
	}
	b->user.rate = rate;
	b->user.quota = quota;
}

static bool
make_config(struct bench *b, const struct script *sc)
{
	struct config *c = &b->config;
	struct str     words[WORDS_MAX], domains = get(sc, "domains", "example.com");
	size_t         n = split(get(sc, "trust", "192.0.2.0/24 loopback"), words);

	c->users = 1000; /* it is ours: never freed by the code under test */
	c->hostname = STR("mail.example.com");
	c->domains.v = b->domains;
	if (!str_eq(domains, STR("none")))
		c->domains.n = split(domains, b->domains);
	c->trusts = b->trusts;
	for (size_t i = 0; i < n; i++)
		if (!add_trust(b, words[i]))
			return false;
	c->domains_origin = (struct origin){.file = "/etc/postern/postern.conf", .line = 2};
	c->trust_origin = (struct origin){.file = "/etc/postern/postern.conf", .line = 7};
	c->dkim_sign = true;
	c->memory = number(sc, "memory", UINT64_C(1) << 40);
	c->max_size = number(sc, "max-size", 1000000);
	c->max_recipients = (unsigned)number(sc, "max-recipients", 1000);
	c->idle_timeout_ms = (int64_t)number(sc, "idle-timeout", 300) * 1000;
	c->listens = &b->listen;
	c->n_listens = 1;
	c->tls = &b->tls;
	c->n_tls = !str_eq(script_get(sc, "certificate"), STR("no"));
	b->tls = (struct tls_conf){.cert_pem = STR("cert"), .key_pem = STR("key")};
	c->limit_connections = (unsigned)number(sc, "limit-connections", 0);
	c->limit_commands = (unsigned)number(sc, "limit-commands", 0);
	c->limit_auth_failures = (unsigned)number(sc, "limit-auth-failures", 0);
	if (str_eq(script_get(sc, "received-client"), STR("full")))
		c->received_client = RECEIVED_FULL;
	if (str_eq(script_get(sc, "received-client"), STR("none")))
		c->received_client = RECEIVED_NONE;
	set_names(b, sc);
	set_limits(b, get_rate(sc, "rate"), get_rate(sc, "quota"));
	return set_listen(b, sc);
}

/* What the other roles say when they meet us. */
static bool
introduce(struct bench *b, const struct script *sc)
{
	struct wire_intake intake = {.state = INTAKE_OPEN};
	struct wire_mechs  mechs = {STR("PLAIN LOGIN"),
	                            STR("PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS")};
	struct str         state = script_get(sc, "intake");

	if (!str_eq(script_get(sc, "mechs"), STR("none"))) {
		logins_attach(b->server.logins, 0, -1);
		if (!fake_message(b->loop, WIRE_MECHS, &mechs, -1))
			return false;
	}
	if (str_eq(state, STR("none")))
		return true;
	handover_attach(b->server.handover, -1);
	if (str_eq(state, STR("full")))
		intake.state = INTAKE_FULL;
	if (str_eq(state, STR("broken")))
		intake.state = INTAKE_BROKEN;
	return fake_message(b->loop, WIRE_INTAKE, &intake, -1);
}

/* What the server remembers of the client from before. */
static void
remember(struct bench *b, const struct script *sc, struct addr peer)
{
	uint64_t     held = number(sc, "held", 0), failed = number(sc, "failed", 0);
	uint64_t     ann = number(sc, "held-by-ann", 0);
	int64_t      now = time_mono_ms();
	struct limit place = limits_client(&b->server.limits, peer, now);

	for (; held > 0 && limit_enter(&b->server.limits, place, 0); held--)
		;
	for (; failed > 0; failed--)
		(void)limit_fail(place, now);
	place = limits_login(&b->server.limits, STR("ann"), now);
	for (; ann > 0 && limit_enter(&b->server.limits, place, 0); ann--)
		;
}

static void *
start(struct script *sc, struct loop *l, struct buf *why)
{
	struct bench *b = mem_zero(sizeof *b);
	struct addr   peer;

	b->loop = l;
	buf_clear(&logged);
	log_hook(on_line);
	server_init(&b->server, l, 1);
	if (!make_config(b, sc) || !introduce(b, sc) ||
	    !addr_parse_port(get(sc, "peer", "192.0.2.1:40000"), 0, &peer)) {
		buf_addz(why, "a `set` that makes no sense");
		free(b);
		return NULL;
	}
	server_configure(&b->server, &b->config);
	fake_run(l);
	remember(b, sc, peer);
	server_accept(&b->server, 0, script_accept(sc), peer);
	return b;
}

static void
stop(void *it)
{
	struct bench *b = it;

	server_free(&b->server);
	log_hook(NULL);
	free(b);
}

static void
on_drained(void *arg)
{
	struct bench *b = arg;

	b->drained = true;
}

static bool
is_logged(struct str text)
{
	return str_find_str(buf_str(&logged), text) >= 0;
}

static bool
step(void *it, struct str word, struct str rest, struct buf *why)
{
	struct bench *b = it;
	uint64_t      n;

	if (str_eq(word, STR("drain"))) {
		server_drain(&b->server, on_drained, b);
		return true;
	}
	if (str_eq(word, STR("drained")) && b->drained)
		return true;
	if (str_eq(word, STR("undrained")) && !b->drained)
		return true;
	if (str_eq(word, STR("sessions")) && str_number(rest, 1000, &n) &&
	    b->server.sessions.n == n)
		return true;
	if (str_eq(word, STR("logged")) && is_logged(rest))
		return true;
	if (str_eq(word, STR("unlogged")) && !is_logged(rest))
		return true;
	if (str_eq(word, STR("unsent-below")) && str_number(rest, 1000000, &n) &&
	    stream_unsent(session_at(list_first(&b->server.sessions))->stream) < n)
		return true;
	buf_addz(why, "does not hold; logged:\n");
	buf_add(why, buf_str(&logged));
	return false;
}

int
main(int argc, char **argv)
{
	static const struct script_fixture fixture = {SCRIPT_SERVER, start, stop, step};

	return script_main(argc, argv, &fixture);
}
