/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/suspect.h"

/* What large receivers answer, and the check whose answer it is; "" for what is none of them. */
static const struct {
	const char *reply, *checks;
} rows[] = {
	{"550 5.7.25 The IP address sending this message does not have a PTR record setup", "ptr."},
	{"421 4.7.23 The sending IP address has no PTR record", "ptr."},
	{"550 5.7.1 Our system has detected that this message does not meet IPv6 sending guidelines regarding PTR records", "net.ipv6"},
	{"550 5.7.26 Unauthenticated email from a.example is not accepted due to domain's DMARC policy", "dmarc."},
	{"550 5.7.26 This mail is unauthenticated; authenticate with either SPF or DKIM", "spf. dkim."},
	{"550 5.7.26 no words", "dmarc."},
	{"550 5.7.27 did not pass: the sender has failed with SPF", "spf."},
	{"550 5.7.27 Sender address has null MX", "bounce.mx"},
	{"550 5.7.30 DKIM did not pass", "dkim."},
	{"421 4.7.32 the From: header is not aligned", "dmarc."},
	{"451 4.7.24 the SPF record of the sending domain has errors", "spf."},
	{"550 5.7.515 Access denied, sending domain does not meet the required authentication level", "dmarc."},
	{"550 5.7.23 The message was rejected because of Sender Policy Framework violation", "spf."},
	{"550 5.7.25 Service unavailable, reverse DNS", "ptr."},
	{"550 5.7.506 Access Denied, Bad HELO", "ehlo."},
	{"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent: part of their network is on our block list (S3140)", "dnsbl."},
	{"550 5.7.606 Access denied, banned sending IP", "dnsbl."},
	{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "dnsbl."},
	{"554 IP address is block listed", "dnsbl."},
	{"554 Transaction failed, Bad DNS PTR resource record", "ptr."},
	{"450 4.7.1 Client host rejected: cannot find your reverse hostname", "ptr."},
	{"450 4.1.8 <a@b.example>: Sender address rejected: Domain not found", "bounce.mx"},
	{"550 5.7.20 No passing signature", "dkim."},
	{"250 2.0.0 ok, spf and dkim passed", ""},
	{"550 5.1.1 no such user", ""},
	{"452 4.2.2 mailbox full", ""},
	{"450 4.7.1 greylisted, try again", ""},
	{"550 5.7.1 relaying denied", ""},
};

static void
replies_lead_to_checks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reply r;
		const char  *checks;

		assert_true(reply_parse(str_of(rows[i].reply), &r));
		checks = suspect_checks(r);
		if ((*rows[i].checks == '\0') != (checks == NULL) ||
		    (checks != NULL && strstr(checks, rows[i].checks) == NULL))
			fail_msg("%s: %s", rows[i].reply, checks == NULL ? "none" : checks);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(replies_lead_to_checks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
