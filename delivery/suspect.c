/* SPDX-License-Identifier: ISC */
#include "delivery/suspect.h"

enum { ANY = 255 };

struct rule {
	const char *checks;
	uint8_t     subject, detail; /* of the enhanced status; ANY */
	const char *text;            /* in the text, without case; NULL: any */
};

static const char ptr[] = "ptr. ehlo.";
static const char six[] = "ptr. spf. net.ipv6";
static const char spf[] = "spf.";
static const char dkim[] = "dkim.";
static const char dmarc[] = "dmarc. spf. dkim.";
static const char both[] = "spf. dkim.";
static const char list[] = "dnsbl. ptr.";
static const char sender[] = "bounce.mx spf.";
static const char hello[] = "ehlo. host.name ptr.";

/*
 * The first that fits. Words come before numbers, exact ones before vague ones: 5.7.1 means
 * everything, and 5.7.27 is SPF for Gmail and a null MX for RFC 7505.
 */
static const struct rule rules[] = {
	{six, ANY, ANY, "ipv6 sending guidelines"},
	{dmarc, ANY, ANY, "dmarc"},
	{dmarc, ANY, ANY, "required authentication level"},
	{dmarc, ANY, ANY, "aligned"},
	{both, ANY, ANY, "spf or dkim"},
	{both, ANY, ANY, "spf and dkim"},
	{dmarc, ANY, ANY, "[hme1]"},
	{spf, ANY, ANY, "sender policy framework"},
	{spf, ANY, ANY, "spf"},
	{dkim, ANY, ANY, "dkim"},
	{ptr, ANY, ANY, "reverse dns"},
	{ptr, ANY, ANY, "reverse hostname"},
	{ptr, ANY, ANY, "reverse lookup"},
	{ptr, ANY, ANY, "reverse name"},
	{ptr, ANY, ANY, "ptr record"},
	{ptr, ANY, ANY, "dns ptr"},
	{ptr, ANY, ANY, "no ptr"},
	{ptr, ANY, ANY, "rdns"},
	{ptr, ANY, ANY, "cxdns"},
	{ptr, ANY, ANY, "aup#i-11"},
	{hello, ANY, ANY, "bad helo"},
	{hello, ANY, ANY, "invalid helo"},
	{hello, ANY, ANY, "helo command rejected"},
	{list, ANY, ANY, "spamhaus"},
	{list, ANY, ANY, "dnsbl"},
	{list, ANY, ANY, "rbl"},
	{list, ANY, ANY, "block list"},
	{list, ANY, ANY, "blocklist"},
	{list, ANY, ANY, "block listed"},
	{list, ANY, ANY, "blacklist"},
	{list, ANY, ANY, "blocked using"},
	{list, ANY, ANY, "banned sending ip"},
	{list, ANY, ANY, "not accepted from this ip"},
	{list, ANY, ANY, "not authorized to send email directly"},
	{list, ANY, ANY, "reputation"},
	{list, ANY, ANY, "[bl"},
	{list, ANY, ANY, "[tss09]"},
	{list, ANY, ANY, "[tss11]"},
	{list, ANY, ANY, "cxbl"},
	{list, ANY, ANY, "due to policy violations"},
	{list, ANY, ANY, "due to policy restrictions"},
	{list, ANY, ANY, "unsolicited mail"},
	{sender, ANY, ANY, "sender address rejected"},
	{sender, ANY, ANY, "domain of sender"},
	{sender, ANY, ANY, "unresolvable"},
	/* RFC 7372 section 3, and the numbers that the large ones add to it */
	{dkim, 7, 20, NULL},
	{dkim, 7, 21, NULL},
	{dkim, 7, 22, NULL},
	{spf, 7, 23, NULL},
	{spf, 7, 24, NULL},
	{ptr, 7, 25, NULL},
	{dmarc, 7, 26, NULL},
	{sender, 7, 27, NULL},
	{dkim, 7, 30, NULL},
	{dmarc, 7, 31, NULL},
	{dmarc, 7, 32, NULL},
	{dmarc, 7, 40, NULL},
	{sender, 1, 8, NULL},
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
	if (rule->subject != ANY &&
	    (r.status[0] == 0 || rule->subject != r.status[1] || rule->detail != r.status[2]))
		return false;
	return rule->text == NULL || has_text(r.text, str_of(rule->text));
}

const char *
suspect_checks(struct reply r)
{
	if (!reply_is_temporary(r) && !reply_is_permanent(r))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (fits(&rules[i], r))
			return rules[i].checks;
	return NULL;
}
