/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/why.h"

static void
reasons(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{"421 4.7.28 Our system has detected an unusual rate of mail", "rate-limited"},
		{"421 4.7.0 Try again later, closing connection.", "rate-limited"},
		{"450 4.7.1 Greylisted, see https://example.net/", "greylisted"},
		{"451 4.7.1 greylisting in action", "greylisted"},
		{"554 5.7.1 Service unavailable; blocked using zen.spamhaus.org", "blocklisted"},
		{"550 5.7.1 very low reputation of the sending IP", "blocklisted"},
		{"550 5.1.1 The email account does not exist", "mailbox-unknown"},
		{"550 no such user here", "mailbox-unknown"},
		{"550 5.2.1 mailbox disabled", "mailbox-unknown"},
		{"452 4.2.2 The email account is over quota", "mailbox-full"},
		{"552 5.2.2 mailbox full", "mailbox-full"},
		{"550 5.7.26 unauthenticated mail is not accepted", "policy"},
		{"451 4.7.20 held: the DKIM key s1._domainkey.a.example may not sign: it is not published", "key-not-published"},
		{"451 4.7.25 held: the reverse name of our address fails its check", "preflight"},
		{"451 4.7.0 held: the checks of `preflight enforce` have not run yet", "preflight"},
		{"451 4.3.0 held: the message could not be signed: there is no such key", "not-signed"},
		{"451 4.3.0 the message could not be signed: signing failed", "other"},
		{"451 4.7.20 no DKIM signature", "policy"},
		{"556 5.1.10 the domain takes no mail", "dns-nxdomain"},
		{"550 5.1.2 no such domain", "dns-nxdomain"},
		{"451 4.4.3 DNS lookup failed", "dns-fail"},
		{"451 4.4.1 connection timed out", "conn-timeout"},
		{"451 4.4.1 connection refused", "conn-refused"},
		{"451 4.4.1 no answer on port 25 from 192.0.2.1", "conn-timeout"},
		{"454 4.7.0 TLS handshake failed", "tls-fail"},
		{"550 5.7.10 encryption needed", "tls-fail"},
		{"530 5.7.0 authentication required", "auth-required"},
		{"535 5.7.8 bad credentials", "auth-required"},
		{"552 5.3.4 message too large", "too-big"},
		{"552 message exceeds limit", "too-big"},
		{"554 5.6.0 message content rejected", "content"},
		{"550 this looks like spam", "content"},
		{"554 5.4.6 the message has passed more than 50 servers", "loop"},
		{"450 4.3.0 try again", "other"},
		{"550 5.0.0 no", "other"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reply r;

		assert_true(reply_parse(str_of(rows[i].line), &r));
		if (!str_eq(str_of(why_of(r)), str_of(rows[i].why)))
			fail_msg("%s: %s", rows[i].line, why_of(r));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(reasons)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
