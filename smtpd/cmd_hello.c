/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "lib/net/tls.h"
#include "lib/proc/config.h"
#include "smtpd/cmd_auth.h"
#include "smtpd/command.h"
#include "smtpd/session.h"

enum { HELO_MAX = 255 };

#define BAD_NAME REPLY(501, 5, 5, 4, "say your name, at most 255 octets and no blanks in it")

/*
 * A name is not checked beyond what it could break: applications say "localhost",
 * "[127.0.0.1]" or a container's id, and refusing them is a well-known plague.
 */
static bool
is_harmless(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f)
			return false;
	return name.n <= HELO_MAX;
}

/* False if the name is refused. Some trusted programs give none at all. */
static bool
greet(struct session *s, struct str name, bool esmtp)
{
	if (!is_harmless(name) || (name.n == 0 && !s->trusted))
		return false;
	session_reset(s);
	free((void *)(uintptr_t)s->helo.p);
	s->helo = (struct str){str_dup(name), name.n};
	s->esmtp = esmtp;
	session_enter(s, PHASE_READY);
	return true;
}

struct reply
run_helo(struct session *s, struct str args)
{
	if (!greet(s, args, false))
		return BAD_NAME;
	return (struct reply){250, {0}, s->site->config->hostname};
}

static void
add(struct buf *b, const char *keyword)
{
	buf_addz(b, "250-");
	buf_addz(b, keyword);
	buf_addz(b, "\r\n");
}

static void
add_number(struct buf *b, const char *keyword, uint64_t n)
{
	buf_addz(b, "250-");
	buf_addz(b, keyword);
	buf_addn(b, n);
	buf_addz(b, "\r\n");
}

static void
add_auth(struct session *s, struct buf *b)
{
	struct buf mechs = BUF(512);

	exchange_mechs(s, &mechs);
	if (mechs.n > 0) {
		buf_addz(b, "250-AUTH");
		buf_add(b, buf_str(&mechs));
		buf_addz(b, "\r\n");
	}
	buf_free(&mechs);
}

struct reply
run_ehlo(struct session *s, struct str args)
{
	const struct config *c = s->site->config;
	struct buf          *b = &s->server->line;

	if (!greet(s, args, true))
		return BAD_NAME;
	buf_clear(b);
	buf_addz(b, "250-");
	buf_add(b, c->hostname);
	buf_addz(b, "\r\n250-PIPELINING\r\n");
	add_number(b, "SIZE ", c->max_size);
	add(b, "8BITMIME");
	add(b, "SMTPUTF8");
	add(b, "DSN");
	add(b, "ENHANCEDSTATUSCODES");
	if (s->on->tls == LISTEN_STARTTLS && s->site->tls != NULL && !s->secure)
		add(b, "STARTTLS");
	add_auth(s, b);
	buf_addz(b, "250-LIMITS RCPTMAX=");
	buf_addn(b, c->max_recipients);
	buf_addf(b, " MAILMAX=%u\r\n", (unsigned)SESSION_MAILS_MAX);
	buf_addz(b, "250 CHUNKING\r\n");
	stream_write(s->stream, buf_str(b));
	return REPLY_LATER;
}
