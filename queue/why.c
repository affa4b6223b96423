/* SPDX-License-Identifier: ISC */
#include "queue/why.h"

enum { ANY = 255 };

struct rule {
	const char *why;
	unsigned    code;            /* 0: any; 4, 5: that class */
	uint8_t     subject, detail; /* ANY */
	const char *text;            /* in the text, without case; NULL: any */
};

/* The first that fits. Words come before numbers: what a server means is in its text, its numbers are often 5.7.1. */
static const struct rule rules[] = {
	/* our own words for what waits for a gate (delivery/gate.c) */
	{"key-not-published", 451, 7, 20, "held: the dkim key"},
	{"preflight", 451, 7, ANY, "held: "},
	{"not-signed", 451, 3, 0, "held: the message could not be signed"},
	{"greylisted", 4, ANY, ANY, "greylist"},
	{"greylisted", 4, ANY, ANY, "grey list"},
	{"greylisted", 4, ANY, ANY, "graylist"},
	{"greylisted", 4, ANY, ANY, "postgrey"},
	{"blocklisted", 0, ANY, ANY, "spamhaus"},
	{"blocklisted", 0, ANY, ANY, "blocklist"},
	{"blocklisted", 0, ANY, ANY, "block list"},
	{"blocklisted", 0, ANY, ANY, "blacklist"},
	{"blocklisted", 0, ANY, ANY, "dnsbl"},
	{"blocklisted", 0, ANY, ANY, "rbl"},
	{"blocklisted", 0, ANY, ANY, "poor reputation"},
	{"blocklisted", 0, ANY, ANY, "low reputation"},
	{"rate-limited", 0, ANY, ANY, "rate limit"},
	{"rate-limited", 0, ANY, ANY, "too many"},
	{"rate-limited", 0, ANY, ANY, "too quickly"},
	{"rate-limited", 0, ANY, ANY, "unusual rate"},
	{"rate-limited", 0, ANY, ANY, "throttl"},
	{"rate-limited", 0, ANY, ANY, "try again later, closing"},
	{"dns-nxdomain", 0, ANY, ANY, "no such domain"},
	{"dns-nxdomain", 0, ANY, ANY, "does not exist in dns"},
	{"dns-nxdomain", 0, 1, 2, NULL},
	{"dns-nxdomain", 0, 1, 10, NULL},
	{"dns-fail", 4, 4, 3, NULL},
	{"dns-fail", 4, ANY, ANY, "dns"},
	{"conn-refused", 4, ANY, ANY, "connection refused"},
	{"conn-timeout", 4, ANY, ANY, "timed out"},
	{"conn-timeout", 4, ANY, ANY, "timeout"},
	{"conn-timeout", 4, ANY, ANY, "no answer"},
	{"conn-timeout", 4, ANY, ANY, "unreachable"},
	{"tls-fail", 0, 7, 10, NULL},
	{"tls-fail", 4, ANY, ANY, "certificate"},
	{"tls-fail", 4, ANY, ANY, "tls"},
	{"loop", 0, 4, 6, NULL},
	{"loop", 0, ANY, ANY, "mail loop"},
	{"mailbox-full", 0, 2, 2, NULL},
	{"mailbox-full", 0, ANY, ANY, "over quota"},
	{"mailbox-full", 0, ANY, ANY, "mailbox full"},
	{"mailbox-full", 0, ANY, ANY, "mailbox is full"},
	{"mailbox-full", 0, ANY, ANY, "out of storage"},
	{"mailbox-unknown", 5, 1, 1, NULL},
	{"mailbox-unknown", 5, 1, 6, NULL},
	{"mailbox-unknown", 5, 2, 1, NULL},
	{"mailbox-unknown", 5, ANY, ANY, "user unknown"},
	{"mailbox-unknown", 5, ANY, ANY, "unknown user"},
	{"mailbox-unknown", 5, ANY, ANY, "no such user"},
	{"mailbox-unknown", 5, ANY, ANY, "does not exist"},
	{"mailbox-unknown", 5, ANY, ANY, "no mailbox"},
	{"too-big", 0, 3, 4, NULL},
	{"too-big", 0, 2, 3, NULL},
	{"too-big", 552, ANY, ANY, NULL},
	{"auth-required", 530, ANY, ANY, NULL},
	{"auth-required", 535, ANY, ANY, NULL},
	{"auth-required", 0, 7, 8, NULL},
	{"rate-limited", 4, 7, 28, NULL},
	{"content", 0, 6, ANY, NULL},
	{"content", 0, ANY, ANY, "spam"},
	{"content", 0, ANY, ANY, "virus"},
	{"content", 0, ANY, ANY, "content"},
	{"conn-timeout", 4, 4, 1, NULL},
	{"policy", 0, 7, ANY, NULL},
	{"policy", 0, ANY, ANY, "policy"},
};

static bool
has_text(struct str text, struct str what)
{
	for (size_t i = 0; i + what.n <= text.n; i++)
		if (str_istarts(str_skip(text, i), what))
			return true;
	return false;
}

static bool
fits(const struct rule *rule, struct reply r)
{
	if (rule->code != 0 && rule->code != r.code && rule->code != r.code / 100u)
		return false;
	if ((rule->subject != ANY || rule->detail != ANY) && r.status[0] == 0)
		return false;
	if (rule->subject != ANY && rule->subject != r.status[1])
		return false;
	if (rule->detail != ANY && rule->detail != r.status[2])
		return false;
	return rule->text == NULL || has_text(r.text, str_of(rule->text));
}

const char *
why_of(struct reply r)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (fits(&rules[i], r))
			return rules[i].why;
	return "other";
}
