/* SPDX-License-Identifier: ISC */
#include "smtpd/cmd_auth.h"

#include <stdlib.h>

#include "lib/proc/config.h"
#include "lib/util/encode.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "smtpd/command.h"
#include "smtpd/logins.h"
#include "smtpd/session.h"

enum {
	FAILURES_MAX = 3,
	FIRST_PAUSE_MS = 1000, /* doubled with each failure */
	PAUSE_DOUBLINGS = 5,
	BINDING_OCTETS = 32,
	LOGIN_MAX = 256, /* as many octets as the users file takes (auth/users.h) */
};

/* One AUTH command. */
struct exchange {
	struct login    login;
	struct session *session;
	char            mech;  /* its first letter */
	struct str      tried; /* owned: who the client claims to be; for the log alone */
	struct str      name;  /* owned: who he is, until he has heard all */
	bool            finishing; /* the last 334 is out; an empty line is due, then 235 */
};

void
login_exchange_destroy(struct session *s)
{
	struct exchange *x = s->auth;

	if (x == NULL)
		return;
	login_cancel(s->server->logins, &x->login);
	free((void *)(uintptr_t)x->tried.p);
	free((void *)(uintptr_t)x->name.p);
	free(x);
	s->auth = NULL;
}

/*
 * In clear text AUTH exists on loopback listeners alone: applications there
 * often have credentials and cannot verify a certificate for "localhost".
 */
static bool
is_offered(const struct session *s)
{
	if (!s->on->auth)
		return false;
	return s->secure || (addr_is_loopback(s->on->addr) && !s->on->tls_required);
}

void
exchange_mechs(const struct session *s, struct buf *out)
{
	struct str list, mech;
	uint8_t    binding[BINDING_OCTETS];
	bool       bound;

	if (!is_offered(s) || s->login.n > 0)
		return;
	list = logins_mechs(s->server->logins, s->secure);
	bound = s->secure && stream_tls_exporter(s->stream, binding);
	while ((mech = str_word(&list)).n > 0) {
		if (str_ends(mech, STR("-PLUS")) && !bound)
			continue;
		buf_addc(out, ' ');
		buf_add(out, mech);
	}
}

static bool
has_mech(const struct session *s, struct str wanted)
{
	struct buf mechs = BUF(512);
	struct str list, mech;
	bool       found = false;

	exchange_mechs(s, &mechs);
	list = buf_str(&mechs);
	while (!found && (mech = str_word(&list)).n > 0)
		found = str_ieq(mech, wanted);
	buf_free(&mechs);
	return found;
}

/* The name in the first data that a client sends: "\0ann\0password", "ann", "n,,n=ann,r=nonce". */
static struct str
claimed_name(char mech, struct str data)
{
	struct str piece = STR_NONE;

	switch (mech) {
	case 'P':
		(void)str_cut(&data, '\0', &piece);
		return str_cut(&data, '\0', &piece) ? piece : STR_NONE;
	case 'L':
		return data;
	case 'S':
		while (str_cut(&data, ',', &piece))
			if (str_starts(piece, STR("n=")))
				return str_skip(piece, 2);
		break;
	default:
		break;
	}
	return STR_NONE;
}

static void
note_claim(struct exchange *x, struct str data)
{
	struct str name = claimed_name(x->mech, data);

	if (x->tried.p != NULL || data.n == 0)
		return;
	name = str_sub(name, 0, LOGIN_MAX);
	x->tried = (struct str){str_dup(name), name.n};
}

/* The words never change, so that one pattern of fail2ban or CrowdSec serves for ever. */
static void
log_failure(const struct session *s, struct str user)
{
	struct buf ip = BUF(64);

	if (s->server->mute)
		return;
	addr_format(&ip, s->client);
	log_warn(ev("auth-fail"), kv("ip", buf_str(&ip)), kv("user", str_sub(user, 0, LOGIN_MAX)),
	         kv("tries", s->auth_failures), kv("msg", "login failed"));
	buf_free(&ip);
}

/*
 * How often this client or this login has failed lately, whichever is more. A login is never
 * locked, or anybody could lock out anybody; but guessing at it becomes slow from everywhere.
 */
static unsigned
count_failure(struct session *s, struct str user)
{
	int64_t  now = time_mono_ms();
	unsigned n = ++s->auth_failures;
	unsigned of_login = limit_fail(limits_login(&s->server->limits, user, now), now);
	unsigned of_client = s->trusted ? 0 : limit_fail(s->place, now);

	s->server->counts.auth_failures++;
	n = of_login > n ? of_login : n;
	return of_client > n ? of_client : n;
}

/* Wrong passwords get their answer late, and each later than the one before. */
static void
pause_failed(struct session *s, struct str user)
{
	unsigned n;

	user = user.n > 0 ? user : s->auth->tried;
	n = count_failure(s, user) - 1;
	log_failure(s, user);
	login_exchange_destroy(s);
	session_enter(s, PHASE_PAUSE);
	stream_timeout(s->stream,
	               (int64_t)FIRST_PAUSE_MS << (n < PAUSE_DOUBLINGS ? n : PAUSE_DOUBLINGS));
}

/* Too often wrong, in whatever sessions. */
static bool
is_locked_out(const struct session *s)
{
	unsigned limit = s->site->config->limit_auth_failures;

	return limit > 0 && !s->trusted && limit_failures(s->place, time_mono_ms()) >= limit;
}

/* The last word of a session in which no login can come to anything. */
static void
send_away(struct session *s, const char *why, struct reply r)
{
	session_log_reject(s, "auth", why, r, STR_NONE);
	session_end(s, r);
}

void
exchange_refuse(struct session *s)
{
	session_enter(s, PHASE_READY);
	if (s->auth_failures >= FAILURES_MAX) {
		session_say(s, REPLY(535, 5, 7, 8, "user name or password is wrong"));
		session_end(s, REPLY(421, 4, 7, 0, "too many failed logins: closing"));
		return;
	}
	session_say(s, REPLY(535, 5, 7, 8, "user name or password is wrong"));
}

/* The exchange is over and nothing needs to wait. */
static void
answer(struct session *s, struct reply r)
{
	login_exchange_destroy(s);
	session_enter(s, PHASE_READY);
	session_say(s, r);
}

static void
succeed(struct session *s)
{
	struct str name = s->auth->name;

	s->auth->name = STR_NONE;
	if (!session_log_in(s, name)) {
		login_exchange_destroy(s);
		send_away(s, "too-many-connections",
		          REPLY(421, 4, 7, 0, "this login has too many connections: closing"));
		return;
	}
	answer(s, REPLY(235, 2, 7, 0, "welcome"));
}

static void
say_challenge(struct session *s, struct str challenge)
{
	struct buf *b = &s->server->line;

	buf_clear(b);
	buf_addz(b, "334 ");
	base64_encode(b, challenge);
	buf_addz(b, "\r\n");
	stream_write(s->stream, buf_str(b));
	session_enter(s, PHASE_AUTH);
}

static struct session *
of_login(struct login *lg)
{
	return CONTAINER(lg, struct exchange, login)->session;
}

static void
on_more(struct login *lg, struct str challenge)
{
	struct session *s = of_login(lg);

	say_challenge(s, challenge);
	session_continue(s);
}

static void
on_done(struct login *lg, const struct wire_auth_done *r)
{
	struct session  *s = of_login(lg);
	struct exchange *x = s->auth;

	if (r->code == 235 && r->login.n > 0 && r->login.n <= LOGIN_MAX) {
		x->name = (struct str){str_dup(r->login), r->login.n};
		x->finishing = r->has_final != 0;
		if (x->finishing)
			say_challenge(s, r->final);
		else
			succeed(s);
	} else if (r->code == 535 || r->code == 235) {
		pause_failed(s, r->login);
	} else if (r->code == 501) {
		answer(s, REPLY(501, 5, 5, 2, "this is no answer to the challenge"));
	} else if (r->code == 504) {
		answer(s, REPLY(504, 5, 5, 4, "this mechanism is not offered"));
	} else {
		answer(s, REPLY(454, 4, 7, 0, "logins cannot be checked now: try again"));
	}
	session_continue(s);
}

static void
start(struct session *s, struct str mech, const struct str *initial)
{
	const struct tls_info *tls = stream_tls(s->stream);
	struct buf             ip = BUF(64);
	uint8_t                binding[BINDING_OCTETS];
	struct exchange       *x = mem_zero(sizeof *x);
	struct wire_auth_start m = {.mech = mech, .tls_bits = tls != NULL ? tls->bits : 0};

	s->auth = x;
	x->session = s;
	x->login.more = on_more;
	x->login.done = on_done;
	addr_format(&ip, s->client);
	m.client = buf_str(&ip);
	x->mech = (char)(mech.p[0] & ~0x20); /* upper case */
	if (initial != NULL) {
		m.has_initial = 1;
		m.initial = *initial;
		note_claim(x, *initial);
	}
	if (s->secure && stream_tls_exporter(s->stream, binding))
		m.binding = (struct str){(const char *)binding, sizeof binding};
	session_enter(s, PHASE_WAIT);
	login_start(s->server->logins, &x->login, m);
	buf_free(&ip);
}

struct reply
run_auth(struct session *s, struct str args)
{
	struct str   mech = str_word(&args), word = str_trim(args), initial;
	struct buf   decoded = BUF(COMMAND_LINE_MAX);
	struct reply r = REPLY_LATER;

	if (s->login.n > 0)
		return REPLY(503, 5, 5, 1, "you are logged in already");
	if (!s->on->auth)
		return REPLY(502, 5, 5, 1, "AUTH is not offered on this listener");
	if (!is_offered(s))
		return REPLY(530, 5, 7, 0, "say STARTTLS first");
	if (is_locked_out(s)) {
		send_away(s, "too-many-failures",
		          REPLY(421, 4, 7, 0, "too many failed logins from your address: try again in an hour"));
		return REPLY_LATER;
	}
	if (logins_mechs(s->server->logins, s->secure).n == 0)
		return REPLY(454, 4, 7, 0, "logins cannot be checked now: try again");
	if (!has_mech(s, mech))
		return REPLY(504, 5, 5, 4, "this mechanism is not offered");
	/* "=" is an initial response of no octets (RFC 4954 section 4). */
	if (str_eq(word, STR("=")) || (word.n > 0 && base64_decode(&decoded, word))) {
		initial = buf_str(&decoded);
		start(s, mech, &initial);
	} else if (word.n > 0) {
		r = REPLY(501, 5, 5, 2, "this is not base64");
	} else {
		start(s, mech, NULL);
	}
	if (decoded.cap > 0)
		mem_wipe(decoded.p, decoded.n);
	buf_free(&decoded);
	return r;
}

static void
respond(struct session *s, struct str line)
{
	struct buf decoded = BUF(COMMAND_LINE_MAX);

	if (str_eq(line, STR("*"))) {
		answer(s, REPLY(501, 5, 7, 0, "login given up"));
	} else if (line.n > 0 && !base64_decode(&decoded, line)) {
		answer(s, REPLY(501, 5, 5, 2, "this is not base64"));
	} else if (s->auth->finishing) {
		if (line.n > 0)
			answer(s, REPLY(501, 5, 5, 2, "an empty line was due"));
		else
			succeed(s);
	} else {
		note_claim(s->auth, buf_str(&decoded));
		session_enter(s, PHASE_WAIT);
		login_step(s->server->logins, &s->auth->login, buf_str(&decoded));
	}
	if (decoded.cap > 0)
		mem_wipe(decoded.p, decoded.n);
	buf_free(&decoded);
}

bool
auth_input(struct session *s)
{
	struct str line;

	switch (stream_line(s->stream, COMMAND_LINE_MAX, &line)) {
	case LINE_NONE:
		return false;
	case LINE_OK:
		respond(s, line);
		break;
	case LINE_LONG:
	case LINE_BARE:
		login_exchange_destroy(s);
		session_enter(s, PHASE_READY);
		command_mistake(s,
		                REPLY(500, 5, 5, 2, "the line is too long or ends without CR LF"));
		break;
	}
	return true;
}
