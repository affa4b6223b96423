/* SPDX-License-Identifier: ISC */
#include "lib/proc/config.h"
#include "smtpd/command.h"
#include "smtpd/session.h"

struct reply
run_starttls(struct session *s, struct str args UNUSED)
{
	struct reply injected =
		REPLY(554, 5, 5, 1, "nothing may follow STARTTLS before TLS begins: closing");

	if (s->secure)
		return REPLY(503, 5, 5, 1, "TLS is active already");
	if (s->on->tls != LISTEN_STARTTLS || s->site->tls == NULL)
		return REPLY(502, 5, 5, 1, "TLS is not offered here");
	/* What came in clear behind STARTTLS may be somebody else's words (CVE-2011-0411). */
	if (stream_waiting(s->stream) == 0) {
		session_say(s, REPLY(220, 2, 0, 0, "begin TLS"));
		session_enter(s, PHASE_TLS);
		if (stream_tls_accept(s->stream, s->site->tls))
			return REPLY_LATER;
	}
	session_log_reject(s, "starttls", "injection", injected, STR_NONE);
	session_end(s, injected);
	return REPLY_LATER;
}
