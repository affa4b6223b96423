/* SPDX-License-Identifier: ISC */
/* config_suggest - what somebody may have meant. */
#include <string.h>

#include "lib/proc/config_private.h"

enum { WORD_MAX = 40, SLIPS_MAX = 2 };

/* Words of other mail programs, lower case with dashes, and ours. */
static const struct {
	const char *theirs, *ours;
} foreign[] = {
	/* Postfix */
	{"relayhost", "route"},
	{"mynetworks", "trust"},
	{"myhostname", "hostname"},
	{"mydomain", "domains"},
	{"myorigin", "domains"},
	{"mydestination", "domains"},
	{"inet-interfaces", "listen"},
	{"inet-protocols", "outbound { ipv6 off }"},
	{"smtpd-tls-cert-file", "tls"},
	{"smtpd-tls-key-file", "tls"},
	{"smtpd-tls-chain-files", "tls"},
	{"smtpd-tls-security-level", "listen ... starttls"},
	{"smtpd-sasl-auth-enable", "listen ... auth"},
	{"smtpd-sasl-path", "pwcheck"},
	{"smtp-sasl-password-maps", "route { user password }"},
	{"smtp-tls-security-level", "route { via HOST:PORT tls }"},
	{"smtp-bind-address", "outbound { bind }"},
	{"smtp-helo-name", "outbound { helo }"},
	{"smtp-connect-timeout", "outbound { connect-timeout }"},
	{"smtp-helo-timeout", "outbound { greeting-timeout }"},
	{"smtpd-timeout", "idle-timeout"},
	{"smtpd-recipient-limit", "max-recipients"},
	{"message-size-limit", "max-size"},
	{"maximal-queue-lifetime", "expire"},
	{"bounce-queue-lifetime", "expire"},
	{"minimal-backoff-time", "retry"},
	{"maximal-backoff-time", "retry"},
	{"delay-warning-time", "delay-notice"},
	{"queue-directory", "spool"},
	{"data-directory", "state"},
	{"mail-owner", "user-account"},
	{"transport-maps", "route"},
	{"smtpd-client-restrictions", "trust"},
	{"smtpd-relay-restrictions", "trust"},
	/* OpenDKIM */
	{"keytable", "dkim"},
	{"signingtable", "dkim"},
	{"keyfile", "dkim"},
	{"selector", "dkim DOMAIN { key SELECTOR FILE }"},
	{"trustedhosts", "trust"},
	{"internalhosts", "trust"},
	/* Exim, OpenSMTPD, others */
	{"primary-hostname", "hostname"},
	{"local-interfaces", "listen"},
	{"relay-from-hosts", "trust"},
	{"retry-time", "retry"},
	{"pki", "tls"},
	{"action", "route"},
	{"match", "trust"},
	{"smarthost", "route"},
	{"relay", "route"},
	{"forward", "route"},
	{"networks", "trust"},
	{"allow", "trust"},
	{"servername", "hostname"},
	{"server-name", "hostname"},
	{"port", "listen"},
	{"bind", "listen"},
	{"interface", "listen"},
	{"cert", "tls"},
	{"certificate", "tls"},
	{"ssl", "tls"},
	{"passwd", "users"},
	{"accounts", "users"},
	{"nameserver", "resolver"},
	{"dns", "resolver"},
	{"queue", "spool"},
	{"lifetime", "expire"},
	{"sender-domains", "domains"},
	{"allowed-sender-domains", "domains"},
	{"workers", "smtpd-processes"},
	{"user-name", "user-account"},
	{"run-as", "user-account"},
	{"verbose", "debug"},
	{"log-format", "log"},
	{"timeout", "idle-timeout"},
	{"size-limit", "max-size"},
};

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static char
fold(char c)
{
	return (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Changed, missing, extra and swapped neighbouring letters between two words. */
static unsigned
distance(struct str a, struct str b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a.n; i++)
		d[i][0] = (unsigned)i;
	for (size_t k = 0; k <= b.n; k++)
		d[0][k] = (unsigned)k;
	for (size_t i = 1; i <= a.n; i++) {
		for (size_t k = 1; k <= b.n; k++) {
			char     x = fold(a.p[i - 1]), y = fold(b.p[k - 1]);
			unsigned best = d[i - 1][k - 1] + (x != y);

			best = least(best, least(d[i - 1][k], d[i][k - 1]) + 1);
			if (i > 1 && k > 1 && x == fold(b.p[k - 2]) && fold(a.p[i - 2]) == y)
				best = least(best, d[i - 2][k - 2] + 1);
			d[i][k] = best;
		}
	}
	return d[a.n][b.n];
}

const char *
conf_nearest(struct str word, const char *(*next)(const void *arg, size_t i), const void *arg)
{
	unsigned    best = SLIPS_MAX + 1;
	const char *found = NULL, *name;

	if (word.n == 0 || word.n > WORD_MAX)
		return NULL;
	for (size_t i = 0; (name = next(arg, i)) != NULL; i++) {
		struct str s = str_of(name);
		unsigned   slips = s.n > WORD_MAX ? best : distance(word, s);

		/* Two slips in a word of three letters make another word. */
		if (slips < best && slips * 2 < s.n) {
			best = slips;
			found = name;
		}
	}
	return found;
}

const char *
conf_foreign(struct str word, unsigned slips)
{
	const char *found = NULL;
	unsigned    best = slips + 1;

	for (size_t i = 0; i < ARRAY_LEN(foreign) && word.n <= WORD_MAX; i++) {
		struct str s = str_of(foreign[i].theirs);
		unsigned   n = distance(word, s);

		if (n < best && n * 3 < s.n) {
			best = n;
			found = foreign[i].ours;
		}
	}
	return found;
}
