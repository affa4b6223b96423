/* SPDX-License-Identifier: ISC */
#include "smtpd/command.h"
#include "smtpd/session.h"

struct reply
run_rset(struct session *s, struct str args UNUSED)
{
	session_reset(s);
	if (s->phase != PHASE_START)
		session_enter(s, PHASE_READY);
	return REPLY(250, 2, 0, 0, "ok");
}

struct reply
run_noop(struct session *s UNUSED, struct str args UNUSED)
{
	return REPLY(250, 2, 0, 0, "ok");
}

/* Nothing is delivered here, so nothing is known about any address. */
struct reply
run_vrfy(struct session *s UNUSED, struct str args UNUSED)
{
	return REPLY(252, 2, 5, 0, "not checked: send mail and see");
}

struct reply
run_expn(struct session *s UNUSED, struct str args UNUSED)
{
	return REPLY(502, 5, 5, 1, "there are no lists here");
}

struct reply
run_help(struct session *s UNUSED, struct str args UNUSED)
{
	return REPLY(214, 2, 0, 0,
	             "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT");
}

struct reply
run_quit(struct session *s, struct str args UNUSED)
{
	session_end(s, REPLY(221, 2, 0, 0, "bye"));
	return REPLY_LATER;
}

/* A claim to be somebody else, from one whom the config does not name as a balancer. */
struct reply
run_proxy(struct session *s, struct str args UNUSED)
{
	struct reply r = REPLY(554, 5, 7, 0, "no PROXY header is taken from your address: closing");

	session_log_reject(s, "connect", "proxy-header", r, STR_NONE);
	session_end(s, r);
	return REPLY_LATER;
}

/*
 * A web page can have its visitor's browser send octets of the page's choice to a port of this
 * machine, where he is trusted: they must not reach the line on which SMTP begins.
 */
struct reply
run_http(struct session *s, struct str args UNUSED)
{
	struct reply r = REPLY(421, 4, 7, 0, "this is SMTP, not HTTP: closing");

	session_log_reject(s, "command", "not-smtp", r, STR_NONE);
	session_end(s, r);
	return REPLY_LATER;
}
