/* SPDX-License-Identifier: ISC */
#include "delivery/client_inner.h"

#include <string.h>

#include "lib/util/encode.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	HANDSHAKE_MS = 30 * 1000,
	LOGIN_MAX = 16 * 1024, /* bearer tokens are long */
};

static void
command(struct client *c, enum step_id step, const char *verb, struct str arg)
{
	buf_addz(&c->out, verb);
	if (arg.n > 0) {
		buf_addc(&c->out, ' ');
		buf_add(&c->out, arg);
	}
	buf_addz(&c->out, "\r\n");
	client_ask(c, step);
	client_flush(c);
}

/*
 * A peer's refusal before any mail is a temporary failure of this host, whatever
 * its class: one host's 554 says nothing for the next. Only 521 stays what
 * it is: "no mail here, ever" (RFC 7504).
 */
static void
refused(struct client *c, enum client_stage stage, const char *what, struct reply r)
{
	struct buf text = BUF(REPLY_TEXT_MAX);

	if (reply_is_temporary(r) || r.code == 521) {
		client_fail(c, stage, r);
		return;
	}
	reply_format(&text, r);
	client_failf(c, stage, "%s: %s", what, buf_z(&text));
	buf_free(&text);
}

static bool
needs_verified(const struct client *c)
{
	return c->conf.tls != ROUTE_OPPORTUNISTIC;
}

void
opening_secure(struct client *c)
{
	client_enter(c, CLIENT_SECURING);
	c->since_ms = time_mono_ms();
	stream_timeout(c->stream, HANDSHAKE_MS);
	if (c->conf.trust == NULL)
		client_failf(c, STAGE_TLS, "TLS is demanded, but no trust anchors could be loaded");
	else if (!stream_tls_connect(c->stream, c->conf.trust, c->conf.name))
		client_failf(c, STAGE_TLS, "%.*s sent text behind its reply to STARTTLS: somebody may be in between",
		             (int)c->conf.name.n, c->conf.name.p);
}

/* All that was known is forgotten: what was said before TLS may be anybody's (RFC 3207 section 4.2). */
void
opening_secured(struct client *c)
{
	const struct tls_info *t = stream_tls(c->stream);

	c->tls_ms = time_mono_ms() - c->since_ms;
	if (needs_verified(c) && (t == NULL || !t->verified)) {
		client_failf(c, STAGE_TLS, "certificate of %.*s is not trusted: %s", (int)c->conf.name.n,
		             c->conf.name.p, t != NULL && t->why != NULL ? t->why : "no reason given");
		return;
	}
	c->tls = t != NULL && strcmp(t->version, "1.2") == 0 ? "1.2" : "1.3";
	c->verified = t != NULL && t->verified;
	client_enter(c, CLIENT_OPENING);
	c->hello = (struct hello){0};
	if (c->conf.tls == ROUTE_TLS)
		client_ask(c, STEP_GREETING);
	else
		command(c, STEP_EHLO, "EHLO", c->conf.helo);
}

static void
ready(struct client *c)
{
	client_enter(c, CLIENT_READY);
	client_limit(c);
	c->hooks->ready(c->arg);
}

static void
authenticate(struct client *c, const char *mech, struct buf *initial)
{
	struct buf arg = BUF(LOGIN_MAX * 2);

	buf_addz(&arg, mech);
	if (initial != NULL) {
		buf_addc(&arg, ' ');
		base64_encode(&arg, buf_str(initial));
	}
	command(c, STEP_AUTH, "AUTH", buf_str(&arg));
	if (arg.p != NULL)
		mem_wipe(arg.p, arg.n);
	buf_free(&arg);
}

static void
authenticate_xoauth2(struct client *c)
{
	struct buf token = BUF(LOGIN_MAX);

	buf_addz(&token, "user=");
	buf_add(&token, c->conf.user);
	buf_addz(&token, "\001auth=Bearer ");
	buf_add(&token, c->conf.password);
	buf_addz(&token, "\001\001");
	authenticate(c, "XOAUTH2", &token);
	mem_wipe(token.p, token.n);
	buf_free(&token);
}

static void
authenticate_plain(struct client *c)
{
	struct buf login = BUF(LOGIN_MAX);

	buf_addc(&login, '\0');
	buf_add(&login, c->conf.user);
	buf_addc(&login, '\0');
	buf_add(&login, c->conf.password);
	authenticate(c, "PLAIN", &login);
	mem_wipe(login.p, login.n);
	buf_free(&login);
}

/* Behind EHLO on the connection as it will stay. */
static void
log_in(struct client *c)
{
	const struct tls_info *t = stream_tls(c->stream);

	if (c->conf.user.n == 0)
		ready(c);
	else if (t == NULL || !t->verified)
		client_failf(c, STAGE_AUTH, "the password goes only over verified TLS");
	else if (c->conf.xoauth2 && c->hello.auth_xoauth2)
		authenticate_xoauth2(c);
	else if (!c->conf.xoauth2 && c->hello.auth_plain)
		authenticate_plain(c);
	else if (!c->conf.xoauth2 && c->hello.auth_login)
		authenticate(c, "LOGIN", NULL);
	else
		client_failf(c, STAGE_AUTH, "%.*s offers no AUTH that fits (%s)", (int)c->conf.name.n,
		             c->conf.name.p, c->conf.xoauth2 ? "XOAUTH2" : "PLAIN or LOGIN");
}

static void
greeted(struct client *c)
{
	if (stream_tls(c->stream) == NULL && !c->plain) {
		if (c->hello.starttls && c->conf.trust != NULL) {
			command(c, STEP_STARTTLS, "STARTTLS", STR_NONE);
			return;
		}
		if (needs_verified(c)) {
			client_failf(c, STAGE_TLS, "%.*s does not offer STARTTLS, which the route demands",
			             (int)c->conf.name.n, c->conf.name.p);
			return;
		}
	}
	log_in(c);
}

void
got_greeting(struct client *c, struct reply r)
{
	if (r.code == 220)
		command(c, STEP_EHLO, "EHLO", c->conf.helo);
	else
		refused(c, STAGE_GREETING, "greeting", r);
}

void
got_ehlo(struct client *c, struct reply r)
{
	if (r.code == 250) {
		hello_parse(&c->hello, replies_raw(&c->replies));
		greeted(c);
	} else if (reply_is_permanent(r) && stream_tls(c->stream) == NULL && !needs_verified(c)) {
		command(c, STEP_HELO, "HELO", c->conf.helo);
	} else {
		refused(c, STAGE_GREETING, "EHLO", r);
	}
}

void
got_helo(struct client *c, struct reply r)
{
	c->hello = (struct hello){0};
	if (r.code == 250)
		greeted(c);
	else
		refused(c, STAGE_GREETING, "HELO", r);
}

/*
 * A refused STARTTLS leaves the connection as it was: without a demand, the mail
 * goes on over it. (A failed handshake does not: the owner then opens a new one.)
 */
void
got_starttls(struct client *c, struct reply r)
{
	if (r.code == 220) {
		opening_secure(c);
	} else if (needs_verified(c)) {
		refused(c, STAGE_TLS, "STARTTLS", r);
	} else {
		c->plain = true;
		greeted(c);
	}
}

void
got_auth(struct client *c, struct reply r)
{
	struct buf text = BUF(LOGIN_MAX);

	if (r.code == 235) {
		ready(c);
	} else if (r.code == 334 && c->auth_step < 2) {
		/* LOGIN asks for name and password; a challenge of another mechanism is an error report. */
		if (!c->conf.xoauth2 && !c->hello.auth_plain)
			base64_encode(&text, c->auth_step == 0 ? c->conf.user : c->conf.password);
		c->auth_step++;
		command(c, STEP_AUTH, text.n > 0 ? buf_z(&text) : "", STR_NONE);
	} else {
		refused(c, STAGE_AUTH, "AUTH", r);
	}
	if (text.p != NULL)
		mem_wipe(text.p, text.n);
	buf_free(&text);
}
