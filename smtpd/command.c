/* SPDX-License-Identifier: ISC */
#include "smtpd/command.h"

#include "lib/proc/config.h"
#include "smtpd/session.h"

enum {
	MISTAKES_MAX = 10,
	LINE_MAX_SHORT = 512,  /* RFC 5321 section 4.5.3.1.4 */
	LINE_MAX_PATH = 2048,  /* with the parameters of MAIL and RCPT: ORCPT alone may have 500 */
	LINE_END = 2,
};

enum flag {
	NEEDS_TLS = 1,  /* if the listener says tls-required */
	NEEDS_AUTH = 2, /* if the listener says auth-required */
	NO_ARGS = 4,
	IDLE = 8,    /* sends no mail: strangers have only so many of these in a row */
	IN_TURN = 16, /* what follows has to wait for the answer */
};

enum {
	ANYTIME = PHASES_COMMAND,
	IN_MAIL = PHASE_MAIL | PHASE_RCPT,
};

struct command {
	const char  *verb;
	unsigned     when;
	unsigned     flags;
	size_t       limit_octets;
	struct reply (*run)(struct session *s, struct str args);
};

/* clang-format off */
/* The frequent ones first: the search is linear. */
static const struct command commands[] = {
	/* verb       when                   flags                   line            handler */
	{"RCPT",     IN_MAIL,                0,                      LINE_MAX_PATH,  run_rcpt},
	{"MAIL",     PHASE_READY,            NEEDS_TLS | NEEDS_AUTH, LINE_MAX_PATH,  run_mail},
	{"DATA",     IN_MAIL,                NO_ARGS,                LINE_MAX_SHORT, run_data},
	/*
	 * Its octets follow in any case and must not be taken for commands: the handler sees
	 * to it.
	 */
	{"BDAT",     ANYTIME,                0,                      COMMAND_LINE_MAX, run_bdat},
	{"RSET",     ANYTIME,                NO_ARGS | IDLE,         LINE_MAX_SHORT, run_rset},
	{"QUIT",     ANYTIME,                NO_ARGS,                LINE_MAX_SHORT, run_quit},
	{"EHLO",     ANYTIME,                IDLE,                   LINE_MAX_SHORT, run_ehlo},
	{"HELO",     ANYTIME,                IDLE,                   LINE_MAX_SHORT, run_helo},
	{"STARTTLS", PHASE_READY,            NO_ARGS | IDLE,         LINE_MAX_SHORT, run_starttls},
	{"AUTH",     PHASE_READY,            NEEDS_TLS | IDLE | IN_TURN, COMMAND_LINE_MAX, run_auth},
	{"NOOP",     ANYTIME,                IDLE,                   LINE_MAX_SHORT, run_noop},
	{"VRFY",     ANYTIME & ~PHASE_START, IDLE,                   LINE_MAX_SHORT, run_vrfy},
	{"EXPN",     ANYTIME,                IDLE,                   LINE_MAX_SHORT, run_expn},
	{"HELP",     ANYTIME,                IDLE,                   LINE_MAX_SHORT, run_help},
	{"PROXY",    ANYTIME,                0,                      LINE_MAX_SHORT, run_proxy},
	{"GET",      ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
	{"POST",     ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
	{"PUT",      ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
	{"HEAD",     ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
	{"OPTIONS",  ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
	{"CONNECT",  ANYTIME,                0,                      COMMAND_LINE_MAX, run_http},
};
/* clang-format on */

#define FINE REPLY(250, 2, 0, 0, "ok")

static const struct command *
find(struct str verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_ieq(verb, str_of(commands[i].verb)))
			return &commands[i];
	return NULL;
}

static struct reply
out_of_turn(const struct session *s, const struct command *c)
{
	if (s->phase == PHASE_START)
		return REPLY(503, 5, 5, 1, "say EHLO and your name first");
	if (s->phase == PHASE_BDAT)
		return REPLY(503, 5, 5, 1, "a message is half sent: BDAT or RSET");
	if (c->run == run_mail)
		return REPLY(503, 5, 5, 1, "one sender is given already: RSET to begin anew");
	if ((c->when & IN_MAIL) != 0)
		return REPLY(503, 5, 5, 1, "MAIL comes first");
	return REPLY(503, 5, 5, 1, "not within a mail: RSET first");
}

/* What all commands have in common. */
static struct reply
check(const struct session *s, const struct command *c, struct str line, struct str args)
{
	if (c == NULL)
		return REPLY(500, 5, 5, 2, "no such command: HELP lists them");
	if (line.n + LINE_END > c->limit_octets)
		return REPLY(500, 5, 5, 2, "the line is too long");
	if ((s->phase & c->when) == 0)
		return out_of_turn(s, c);
	if ((c->flags & NO_ARGS) != 0 && args.n > 0)
		return REPLY(501, 5, 5, 4, "this command takes no argument");
	if ((c->flags & NEEDS_TLS) != 0 && s->on->tls_required && !s->secure)
		return REPLY(530, 5, 7, 0, "say STARTTLS first");
	if ((c->flags & NEEDS_AUTH) != 0 && s->on->auth_required && s->login.n == 0)
		return REPLY(530, 5, 7, 0, "log in first: this listener demands AUTH");
	return FINE;
}

/*
 * What speaks for a broken or prying client. Refusals of mail count against
 * strangers only: an application may have many recipients that are no good.
 */
static bool
is_mistake(const struct session *s, struct reply r)
{
	if (r.code >= 500 && r.code <= 504)
		return true;
	return r.code == 555 || (r.code >= 500 && !s->trusted && s->login.n == 0);
}

void
command_mistake(struct session *s, struct reply r)
{
	session_say(s, r);
	if (++s->errors < MISTAKES_MAX)
		return;
	r = REPLY(421, 4, 7, 0, "too many errors: closing");
	session_log_reject(s, "command", "too-many-errors", r, STR_NONE);
	session_end(s, r);
}

/* Only strangers are watched: a program on this machine may write all it has to say at once. */
static bool
is_out_of_turn(const struct session *s, const struct command *c)
{
	return c != NULL && (c->flags & IN_TURN) != 0 && !s->trusted && s->login.n == 0 &&
	       stream_waiting(s->stream) > 0;
}

static bool
is_wasting(struct session *s, const struct command *c)
{
	unsigned limit = s->site->config->limit_commands;

	if (c == NULL || (c->flags & IDLE) == 0 || s->trusted || limit == 0)
		return false;
	return ++s->idle_commands > limit;
}

static void
send_away(struct session *s, const char *why, struct reply r)
{
	session_log_reject(s, "command", why, r, STR_NONE);
	session_end(s, r);
}

void
command_run(struct session *s, struct str line)
{
	struct str            rest = line;
	const struct command *c = find(str_word(&rest));
	struct str            args = str_trim(rest);
	struct reply          r = check(s, c, line, args);

	if (is_wasting(s, c)) {
		send_away(s, "too-many-commands",
		          REPLY(421, 4, 7, 0, "too many commands without a mail: closing"));
		return;
	}
	if (is_out_of_turn(s, c)) {
		send_away(s, "pipelining",
		          REPLY(554, 5, 5, 0, "wait for the answer before you go on: closing"));
		return;
	}
	if (r.code == 250)
		r = c->run(s, args);
	if (r.code == 0)
		return;
	if (is_mistake(s, r))
		command_mistake(s, r);
	else
		session_say(s, r);
}
