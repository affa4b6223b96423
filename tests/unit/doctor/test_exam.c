/* SPDX-License-Identifier: ISC */
/* The criteria of each check, with answers from a table: one good world, one change a row. */
#include "doctor/exam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dkim/key.h"
#include "doctor/records.h"
#include "doctor/report.h"
#include "tests/unit/check.h"
#include "tests/unit/doctor/answers.h"

enum { TEXT_LIMIT = 1 << 20 };

/* "KEY" stands for the record of our key, "OTHER" for that of another. */
static const char good[] =
	"10.2.0.192.in-addr.arpa PTR mail.s.example\n"
	"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR mail.s.example\n"
	"mail.s.example A 192.0.2.10\n"
	"mail.s.example AAAA 2001:db8::7\n"
	"mail.s.example TXT v=spf1 a -all\n"
	"s.example MX 10 mx.s.example\n"
	"s.example NS ns1.s.example\n"
	"s.example NS ns2.s.example\n"
	"s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 -all\n"
	"mx.s.example A 192.0.2.20\n"
	"ns1.s.example A 192.0.2.51\n"
	"ns2.s.example A 192.0.2.52\n"
	"k1._domainkey.s.example TXT KEY\n"
	"_dmarc.s.example TXT v=DMARC1; p=reject; rua=mailto:d@s.example\n"
	"2.0.0.127.zen.spamhaus.org A 127.0.0.2\n"
	"2.0.0.127.bl.spamcop.net A 127.0.0.2\n"
	"dbltest.com.dbl.spamhaus.org A 127.0.1.2\n"
	"gmail.com MX 5 mx.gmail.com\n"
	"mx.gmail.com A 198.51.100.1\n"
	"mx.gmail.com AAAA 2001:db8:1::1\n"
	"outlook.com MX 5 mx.outlook.com\n"
	"mx.outlook.com A 198.51.100.2\n"
	"org SOA ns.org\n"
	"org SECURE\n"
	"@192.0.2.10 talk:RCPT SAYS 550 5.7.1 no\n"
	"@2001:db8::7 talk:RCPT SAYS 550 5.7.1 no\n"
	"_mta-sts.s.example TXT v=STSv1; id=1\n"
	"_smtp._tls.s.example TXT v=TLSRPTv1; rua=mailto:t@s.example\n";

#define PTR6 "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"

/* clang-format off */
static const struct {
	const char       *name;
	const char       *without; /* lines that begin so are left out; "|" between two */
	const char       *with;    /* lines that come in addition */
	const char       *id;
	enum check_status want;    /* of any finding of that id: the worst */
} rows[] = {
	{"all is well", "", "", "ptr.exists", CHECK_PASS},
	{"all is well", "", "", "ptr.single", CHECK_PASS},
	{"all is well", "", "", "ptr.fcrdns", CHECK_PASS},
	{"all is well", "", "", "ptr.generic", CHECK_PASS},
	{"all is well", "", "", "ehlo.resolves", CHECK_PASS},
	{"all is well", "", "", "ehlo.match", CHECK_PASS},
	{"all is well", "", "", "spf.record", CHECK_PASS},
	{"all is well", "", "", "spf.auth", CHECK_PASS},
	{"all is well", "", "", "spf.helo", CHECK_PASS},
	{"all is well", "", "", "spf.lookups", CHECK_PASS},
	{"all is well", "", "", "spf.void", CHECK_PASS},
	{"all is well", "", "", "spf.all", CHECK_PASS},
	{"all is well", "", "", "spf.style", CHECK_PASS},
	{"all is well", "", "", "dkim.record", CHECK_PASS},
	{"all is well", "", "", "dkim.match", CHECK_PASS},
	{"all is well", "", "", "dkim.bits", CHECK_PASS},
	{"all is well", "", "", "dkim.flags", CHECK_PASS},
	{"all is well", "", "", "dkim.all-ns", CHECK_PASS},
	{"all is well", "", "", "dkim.sign", CHECK_PASS},
	{"all is well", "", "", "dmarc.record", CHECK_PASS},
	{"all is well", "", "", "dmarc.policy", CHECK_PASS},
	{"all is well", "", "", "dmarc.rua", CHECK_PASS},
	{"all is well", "", "", "dmarc.align", CHECK_PASS},
	{"all is well", "", "", "bounce.mx", CHECK_PASS},
	{"all is well", "", "", "dnsbl.ip", CHECK_PASS},
	{"all is well", "", "", "dnsbl.domain", CHECK_PASS},
	{"all is well", "", "", "net.ipv6", CHECK_PASS},
	{"all is well", "", "", "net.port25", CHECK_PASS},
	{"all is well", "", "", "dmarc.style", CHECK_PASS},
	{"all is well", "", "", "ehlo.stable", CHECK_PASS},
	{"all is well", "", "", "bounce.rcpt", CHECK_PASS},
	{"all is well", "", "", "contact", CHECK_PASS},
	{"all is well", "", "", "dns.resolver", CHECK_PASS},
	{"all is well", "", "", "relay.open", CHECK_PASS},
	{"all is well", "", "", "tls.policy", CHECK_PASS},
	{"all is well", "", "", "src.public", CHECK_PASS},

	{"no answer is no judgement", "10.2.0", "10.2.0.192.in-addr.arpa TIMEOUT", "ptr.exists", CHECK_SKIP},
	{"no answer is no judgement", "s.example TXT", "s.example TIMEOUT", "spf.record", CHECK_SKIP},
	{"no answer is no judgement", "s.example TXT", "s.example TIMEOUT", "spf.auth", CHECK_SKIP},
	{"no answer is no judgement", "k1", "k1._domainkey.s.example TIMEOUT", "dkim.record", CHECK_SKIP},
	{"no answer is no judgement", "_dmarc", "_dmarc.s.example TIMEOUT", "dmarc.record", CHECK_SKIP},
	{"no answer is no judgement", "s.example MX", "s.example TIMEOUT", "bounce.mx", CHECK_SKIP},

	{"no v6 reverse name", PTR6, "", "ptr.exists", CHECK_FAIL},
	{"no v6 reverse name", PTR6, "", "net.ipv6", CHECK_FAIL},
	{"v6 name does not lead back", "mail.s.example AAAA", "mail.s.example AAAA 2001:db8::8", "ptr.fcrdns", CHECK_FAIL},
	{"PTR by CNAME (RFC 2317)", "10.2.0", "10.2.0.192.in-addr.arpa CNAME 10.sub.example\n10.sub.example PTR mail.s.example", "ptr.fcrdns", CHECK_PASS},
	{"one of two names leads back", "", "10.2.0.192.in-addr.arpa PTR other.s.example", "ptr.fcrdns", CHECK_PASS},
	{"amazon", "10.2.0", "10.2.0.192.in-addr.arpa PTR ec2-1.eu.compute.amazonaws.com", "ptr.generic", CHECK_WARN},
	{"two octets", "10.2.0", "10.2.0.192.in-addr.arpa PTR h-192-10.s.example", "ptr.generic", CHECK_WARN},
	{"one octet", "10.2.0", "10.2.0.192.in-addr.arpa PTR mx10.s.example", "ptr.generic", CHECK_PASS},
	{"a firm called pool", "10.2.0", "10.2.0.192.in-addr.arpa PTR mail.pool.example", "ptr.generic", CHECK_PASS},

	{"8 lookups", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 a:mail.s.example a:mail.s.example a:mail.s.example a:mail.s.example"
	 " a:mail.s.example a:mail.s.example a:mail.s.example a:mail.s.example -all", "spf.lookups", CHECK_WARN},
	{"7 lookups", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 a:mail.s.example a:mail.s.example a:mail.s.example a:mail.s.example"
	 " a:mail.s.example a:mail.s.example a:mail.s.example -all", "spf.lookups", CHECK_PASS},
	{"softfail at the end is fine", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 ~all", "spf.all", CHECK_PASS},
	{"redirect's all counts", "s.example TXT", "s.example TXT v=spf1 redirect=r.example\nr.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 +all", "spf.all", CHECK_FAIL},
	{"macros", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 exists:%{i}.s.example -all", "spf.style", CHECK_WARN},
	{"v6 not allowed", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 -all", "spf.auth", CHECK_FAIL},

	{"key folded by the panel", "k1", "k1._domainkey.s.example TXT FOLDED", "dkim.match", CHECK_PASS},
	{"another key", "k1", "k1._domainkey.s.example TXT OTHER", "dkim.match", CHECK_FAIL},
	{"another key", "k1", "k1._domainkey.s.example TXT OTHER", "dkim.record", CHECK_PASS},
	{"another key", "k1", "k1._domainkey.s.example TXT OTHER", "dkim.sign", CHECK_FAIL},
	{"p= missing", "k1", "k1._domainkey.s.example TXT v=DKIM1; k=rsa", "dkim.record", CHECK_FAIL},
	{"revoked", "k1", "k1._domainkey.s.example TXT v=DKIM1; p=", "dkim.record", CHECK_FAIL},
	{"not base64", "k1", "k1._domainkey.s.example TXT v=DKIM1; p=MII!", "dkim.record", CHECK_FAIL},
	{"parentheses", "k1", "k1._domainkey.s.example TXT (v=DKIM1; p=MIIB)", "dkim.record", CHECK_FAIL},
	{"no tag", "k1", "k1._domainkey.s.example TXT v=DKIM1; rsa; p=MIIB", "dkim.record", CHECK_FAIL},
	{"version 2", "k1", "k1._domainkey.s.example TXT v=DKIM2; p=MIIB", "dkim.record", CHECK_FAIL},
	{"one server is behind", "", "@192.0.2.52 k1._domainkey.s.example TXT v=DKIM1; p=", "dkim.all-ns", CHECK_WARN},
	{"servers are silent", "ns1|ns2", "", "dkim.all-ns", CHECK_SKIP},

	{"DMARC of the parent", "_dmarc", "_dmarc.example TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@s.example", "dmarc.record", CHECK_PASS},
	{"sp of the parent", "_dmarc", "_dmarc.example TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@s.example", "dmarc.policy", CHECK_WARN},
	{"parent has two", "_dmarc", "_dmarc.example TXT v=DMARC1; p=reject\n_dmarc.example TXT v=DMARC1; p=none", "dmarc.record", CHECK_FAIL},
	{"p in front", "_dmarc", "_dmarc.s.example TXT p=reject; v=DMARC1", "dmarc.record", CHECK_FAIL},
	{"consent given", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; rua=mailto:d@r.test!5m\ns.example._report._dmarc.r.test TXT v=DMARC1", "dmarc.rua", CHECK_PASS},
	{"consent by wildcard missing", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; rua=mailto:d@r.test", "dmarc.rua", CHECK_FAIL},
	{"reports to the parent", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; rua=mailto:d@sub.s.example", "dmarc.rua", CHECK_PASS},

	{"np=none", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; np=none; rua=mailto:d@s.example", "dmarc.policy", CHECK_WARN},
	{"sp=none at the domain itself", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; sp=none; rua=mailto:d@s.example", "dmarc.policy", CHECK_WARN},
	{"pct=", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; pct=50; rua=mailto:d@s.example", "dmarc.style", CHECK_WARN},
	{"ri=", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; ri=3600; rua=mailto:d@s.example", "dmarc.style", CHECK_NOTE},
	{"strict, and the key is of the domain", "_dmarc", "_dmarc.s.example TXT v=DMARC1; p=reject; adkim=s", "dmarc.align", CHECK_PASS},

	{"SPF of type 99", "", "s.example SPF v=spf1 -all", "spf.style", CHECK_WARN},
	{"SPF does not allow IPv6", "s.example TXT", "s.example TXT v=spf1 ip4:192.0.2.10 -all", "net.ipv6", CHECK_FAIL},

	{"postmaster is refused", "", "@192.0.2.20 talk:RCPT_TO:<postmaster SAYS 550 5.1.1 nobody of this name", "contact", CHECK_WARN},
	{"abuse is refused", "", "@192.0.2.20 talk:RCPT_TO:<abuse SAYS 550 5.1.1 nobody of this name", "contact", CHECK_WARN},
	{"the MX defers", "", "@192.0.2.20 talk:RCPT_TO:<abuse SAYS 450 4.2.0 later", "contact", CHECK_SKIP},
	{"the MX defers", "", "@192.0.2.20 talk:RCPT SAYS 450 4.2.0 later", "bounce.rcpt", CHECK_SKIP},
	{"the MX takes no null sender", "", "@192.0.2.20 talk:MAIL SAYS 550 5.7.1 no", "bounce.rcpt", CHECK_FAIL},
	{"the MX takes no null sender", "", "@192.0.2.20 talk:MAIL SAYS 550 5.7.1 no", "contact", CHECK_SKIP},
	{"the MX does not know the domain", "", "@192.0.2.20 talk:RCPT SAYS 554 5.7.1 relay access denied", "bounce.rcpt", CHECK_FAIL},
	{"the MX is not reached", "", "@192.0.2.20 talk: DEAD", "bounce.rcpt", CHECK_SKIP},
	{"the MX is not reached", "", "@192.0.2.20 talk: DEAD", "contact", CHECK_SKIP},
	{"the MX does not greet", "", "@192.0.2.20 talk: SAYS 0", "contact", CHECK_SKIP},
	{"the MX does not like our address", "", "@192.0.2.20 talk: SAYS 554 go away", "bounce.rcpt", CHECK_SKIP},
	{"the second MX answers", "", "s.example MX 20 mx2.s.example\nmx2.s.example A 192.0.2.21\n@192.0.2.20 talk: DEAD\n"
	 "@192.0.2.21 talk:RCPT_TO:<abuse SAYS 550 5.1.1 nobody", "contact", CHECK_WARN},
	{"no MX to ask", "s.example MX", "s.example MX 0 .", "bounce.rcpt", CHECK_SKIP},
	{"a sender that is named", "", "@192.0.2.20 talk:RCPT_TO:<app@ SAYS 550 5.1.1 nobody", "bounce.rcpt", CHECK_FAIL},
	{"a sender that is named", "", "@192.0.2.20 talk:RCPT_TO:<postmaster SAYS 550 5.1.1 nobody", "bounce.rcpt", CHECK_PASS},

	{"port 25 is closed", "", "@198.51.100.1 talk: DEAD\n@198.51.100.2 talk: DEAD\n@2001:db8:1::1 talk: DEAD", "net.port25", CHECK_FAIL},
	{"port 25 is closed for IPv6", "", "@2001:db8:1::1 talk: DEAD", "net.port25", CHECK_WARN},
	{"port 25 is open for IPv6 alone", "", "@198.51.100.1 talk: DEAD\n@198.51.100.2 talk: DEAD", "net.port25", CHECK_WARN},
	{"a server does not greet", "", "@198.51.100.1 talk: SAYS 0", "net.port25", CHECK_PASS},

	{"the clock of others", "", "talk: SAYS 220 mx ESMTP at Mon, 1 Jan 2001 00:00:00 +0000 [x]", "clock", CHECK_FAIL},

	{"nothing is validated", "org SECURE", "", "dns.resolver", CHECK_NOTE},

	{"a trick gets through", "", "visit:RCPT_TO:<b%25 SAYS 250 ok", "relay.open", CHECK_FAIL},
	{"XCLIENT alone is harmless", "", "visit:XCLIENT SAYS 220 ok", "relay.open", CHECK_PASS},
	{"no way to our listeners", "", "visit: DEAD\n@192.0.2.10 talk: DEAD\n@2001:db8::7 talk: DEAD", "relay.open", CHECK_SKIP},
	{"a way over the network alone", "", "visit: DEAD", "relay.open", CHECK_PASS},
	{"our listeners say later", "", "visit:MAIL SAYS 451 later\nvisit:RCPT SAYS 503 MAIL first\n@192.0.2.10 talk: DEAD\n@2001:db8::7 talk: DEAD", "relay.open", CHECK_SKIP},
	{"a stranger gets through at the public address", "", "@192.0.2.10 talk:RCPT_TO:<@ SAYS 250 ok", "relay.open", CHECK_FAIL},
	{"the public address is not reached", "", "@192.0.2.10 talk: DEAD", "relay.open", CHECK_PASS},

	{"no TLS policy at all", "_mta|_smtp", "", "tls.policy", CHECK_NOTE},
	{"no reports", "_smtp", "", "tls.policy", CHECK_NOTE},
	{"DANE in place of MTA-STS", "_mta", "_25._tcp.mx.s.example TLSA x\n_25._tcp.mx.s.example SECURE", "tls.policy", CHECK_PASS},
	{"TLSA that nobody vouches for", "_mta", "_25._tcp.mx.s.example TLSA x", "tls.policy", CHECK_NOTE},
	{"no MX, no TLS policy", "s.example MX", "s.example MX 0 .", "tls.policy", CHECK_SKIP},

	{"list answers for v6", "", PTR6 ".zen.spamhaus.org A 127.0.0.2", "dnsbl.ip", CHECK_FAIL},
	{"parked list", "2.0.0.127", "2.0.0.127.zen.spamhaus.org A 203.0.113.1\n10.2.0.192.zen.spamhaus.org A 203.0.113.1", "dnsbl.ip", CHECK_SKIP},
	{"lists whose answers are forged", "", "10.2.0.192.zen.spamhaus.org BOGUS\n10.2.0.192.bl.spamcop.net BOGUS", "dnsbl.ip", CHECK_SKIP},
	{"asked too much", "2.0.0.127", "10.2.0.192.zen.spamhaus.org A 127.255.255.255", "dnsbl.ip", CHECK_SKIP},
};

/* What is changed in the configuration; "": nothing. */
enum change { ADKIM_PARENT, NO_KEY, SHORT_NAME, HELO_ADDRESS, HELO_OTHER, TRUST_ALL, NAT };

static const struct {
	const char       *name;
	enum change       change;
	const char       *without, *with, *id;
	enum check_status want;
} configs[] = {
	{"key of the parent", ADKIM_PARENT, "_dmarc", "_dmarc.sub.s.example TXT v=DMARC1; p=reject", "dmarc.align", CHECK_PASS},
	{"key of the parent, adkim=s", ADKIM_PARENT, "_dmarc", "_dmarc.sub.s.example TXT v=DMARC1; p=reject; adkim=s\nsub.s.example TXT v=spf1 ip4:192.0.2.10 ip6:2001:db8::7 -all", "dmarc.align", CHECK_WARN},
	{"key of the parent, adkim=s, no SPF", ADKIM_PARENT, "_dmarc", "_dmarc.sub.s.example TXT v=DMARC1; p=reject; adkim=s", "dmarc.align", CHECK_FAIL},
	{"key of the parent, DMARC silent", ADKIM_PARENT, "_dmarc", "_dmarc.sub.s.example TIMEOUT", "dmarc.align", CHECK_SKIP},
	{"no key", NO_KEY, "", "", "dkim.key", CHECK_FAIL},
	{"no key", NO_KEY, "", "", "dmarc.align", CHECK_WARN},
	{"no key, no SPF", NO_KEY, "s.example TXT", "", "dmarc.align", CHECK_FAIL},
	{"name without domain", SHORT_NAME, "", "", "host.name", CHECK_FAIL},
	{"name without domain", SHORT_NAME, "", "", "msgid", CHECK_WARN},
	{"an address in EHLO", HELO_ADDRESS, "", "", "host.name", CHECK_WARN},
	{"an address in EHLO", HELO_ADDRESS, "", "", "ehlo.resolves", CHECK_NOTE},
	{"another name in EHLO", HELO_OTHER, "", "", "ehlo.stable", CHECK_WARN},
	{"another name in EHLO", HELO_OTHER, "", "", "ehlo.match", CHECK_WARN},
	{"all the world is trusted", TRUST_ALL, "", "", "relay.nets", CHECK_FAIL},
	{"behind NAT", NAT, "", "", "src.public", CHECK_WARN},
	{"behind NAT", NAT, "", "", "ptr.exists", CHECK_SKIP},
};
/* clang-format on */

struct fixture {
	struct key          *key, *other;
	struct buf           pem, record, other_record, folded;
	struct dkim_key_conf key_conf;
	struct dkim_conf     dkim;
	struct config        config;
	struct listen_conf   listens[2];
	struct trust_conf    trust;
	struct str           sender;
	struct addr          sources[2];
	struct str           domain;
};

static int
setup(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	x->key = key_create(KEY_RSA);
	x->other = key_create(KEY_RSA);
	buf_init(&x->pem, TEXT_LIMIT);
	buf_init(&x->record, TEXT_LIMIT);
	buf_init(&x->other_record, TEXT_LIMIT);
	buf_init(&x->folded, TEXT_LIMIT);
	key_format_pem(x->key, &x->pem);
	key_format_record(x->key, &x->record);
	key_format_record(x->other, &x->other_record);
	for (size_t i = 0; i < x->record.n; i++)
		buf_addf(&x->folded, "%s%c", i > 40 && i % 60 == 0 ? " \t" : "", x->record.p[i]);
	x->key_conf = (struct dkim_key_conf){.selector = STR("k1"),
	                                     .path = STR("/nonexistent/k1.pem"),
	                                     .type = KEY_RSA,
	                                     .pem = buf_str(&x->pem)};
	x->dkim = (struct dkim_conf){.domain = STR("s.example"), .keys = &x->key_conf, .n_keys = 1};
	x->config = (struct config){.hostname = STR("mail.s.example"),
	                            .dkim = &x->dkim,
	                            .n_dkim = 1,
	                            .dkim_sign = true,
	                            .spool = STR("/nonexistent")};
	x->config.outbound.port = 25;
	assert_true(addr_parse_port(STR("127.0.0.1:25"), 25, &x->listens[0].addr));
	assert_true(addr_parse_port(STR("0.0.0.0:25"), 25, &x->listens[1].addr));
	x->config.listens = x->listens;
	x->config.n_listens = 2;
	x->sender = STR("app@s.example");
	x->trust.from = (struct strs){&x->sender, 1};
	assert_true(cidr_parse(STR("10.0.0.0/24"), &x->trust.net));
	x->config.trusts = &x->trust;
	x->config.n_trusts = 1;
	x->domain = STR("s.example");
	assert_true(addr_parse(STR("192.0.2.10"), &x->sources[0]));
	assert_true(addr_parse(STR("2001:db8::7"), &x->sources[1]));
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;

	key_destroy(x->key);
	key_destroy(x->other);
	buf_free(&x->pem);
	buf_free(&x->record);
	buf_free(&x->other_record);
	buf_free(&x->folded);
	free(x);
	return 0;
}

static void
add_lines(const struct fixture *x, struct answers *a, struct str text, struct str without)
{
	struct str line, rest, prefix;

	while (str_cut(&text, '\n', &line)) {
		struct buf out = BUF(TEXT_LIMIT);
		bool       skip = false;
		ptrdiff_t  last = str_rfind(line, ' ');
		struct str word = str_skip(line, (size_t)(last + 1));

		for (rest = without; str_cut(&rest, '|', &prefix);)
			skip = skip || (prefix.n > 0 && str_starts(line, prefix));
		buf_add(&out, str_sub(line, 0, (size_t)(last + 1)));
		buf_add(&out, str_eq(word, STR("KEY"))      ? buf_str(&x->record)
		              : str_eq(word, STR("OTHER"))  ? buf_str(&x->other_record)
		              : str_eq(word, STR("FOLDED")) ? buf_str(&x->folded)
		                                            : word);
		if (!skip && line.n > 0)
			answers_add(a, buf_str(&out));
		buf_free(&out);
	}
}

static struct exam
examine(const struct fixture *x, struct answers *a)
{
	struct exam e = {.config = &x->config,
	                 .facts = answers_facts(a),
	                 .sources = x->sources,
	                 .n_sources = 2,
	                 .domains = &x->domain,
	                 .n_domains = 1};

	return e;
}

struct row {
	const char       *name, *without, *with, *id;
	enum check_status want;
};

static void
check_row(const struct fixture *x, const struct row *row)
{
	struct answers    a;
	struct exam       e;
	struct finding   *f;
	char              name[200];
	size_t            found = 0;
	enum check_status worst = CHECK_PASS;

	answers_init(&a);
	/* what only one server says must come before what all say */
	add_lines(x, &a, str_of(row->with), STR_NONE);
	add_lines(x, &a, STR(good), str_of(row->without));
	e = examine(x, &a);
	assert_true(exam_run(&e));
	LIST_EACH(&e.findings, f, struct finding, link)
		if (strcmp(f->id, row->id) == 0) {
			found++;
			worst = f->status > worst ? f->status : worst;
			assert_true(f->why.n > 0);
		}
	snprintf(name, sizeof name, "%s: %s", row->name, row->id);
	check_int(name, found > 0, 1);
	check_text(name, str_of(check_status_name(worst)), check_status_name(row->want));
	exam_free(&e);
	facts_destroy(e.facts);
	answers_free(&a);
}

static void
test_criteria(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(*state, &(struct row){rows[i].name, rows[i].without, rows[i].with,
		                                rows[i].id, rows[i].want});
}

static void
apply(struct fixture *x, enum change change)
{
	switch (change) {
	case ADKIM_PARENT:
		x->domain = STR("sub.s.example");
		break;
	case NO_KEY:
		x->config.n_dkim = 0;
		break;
	case SHORT_NAME:
		x->config.hostname = STR("mail");
		break;
	case HELO_ADDRESS:
		x->config.outbound.helo = STR("[192.0.2.10]");
		break;
	case HELO_OTHER:
		x->config.outbound.helo = STR("out.s.example");
		break;
	case TRUST_ALL:
		x->trust.net = (struct cidr){.addr = {.family = 4}};
		break;
	case NAT:
		assert_true(addr_parse(STR("10.1.2.3"), &x->sources[0]));
		break;
	}
}

static void
test_configurations(void **state)
{
	const struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		struct fixture changed = *x;

		changed.config.dkim = &changed.dkim;
		changed.config.listens = changed.listens;
		changed.config.trusts = &changed.trust;
		apply(&changed, configs[i].change);
		check_row(&changed, &(struct row){configs[i].name, configs[i].without,
		                                  configs[i].with, configs[i].id, configs[i].want});
	}
}

static const struct {
	const char *name, *without, *with;
	const char *state; /* of the MX that is wanted; NULL: none is */
} mx_rows[] = {
	{"an MX is there", "", "", NULL},
	{"an address stands in for it", "s.example MX", "s.example A 192.0.2.30", NULL},
	{"nothing is there", "s.example MX", "", "missing"},
	{"a null MX is there", "s.example MX", "s.example MX 0 .", "differs"},
	{"nobody knows", "s.example MX", "s.example TIMEOUT", NULL},
	{"what is there is forged", "s.example MX", "s.example BOGUS", NULL},
};

static void
test_wanted_mx(void **state)
{
	const struct fixture *x = *state;

	for (size_t i = 0; i < ARRAY_LEN(mx_rows); i++) {
		struct answers a;
		struct exam    e;
		struct records r;
		const char    *found = NULL;

		answers_init(&a);
		add_lines(x, &a, str_of(mx_rows[i].with), STR_NONE);
		add_lines(x, &a, STR(good), str_of(mx_rows[i].without));
		e = examine(x, &a);
		records_make(&r, &e);
		for (size_t k = 0; k < r.n; k++)
			if (strcmp(r.v[k].type, "MX") == 0)
				found = record_state_name(r.v[k].state);
		check_text(mx_rows[i].name, str_of(found), mx_rows[i].state != NULL ? mx_rows[i].state : "");
		records_free(&r);
		facts_destroy(e.facts);
		answers_free(&a);
	}
}

/* What the disk does to senders; how long it takes is given. */
static void
test_disk(void **state)
{
	struct fixture *x = *state;
	static const struct {
		int64_t           sync_us;
		enum check_status want;
	} disks[] = {{3000, CHECK_PASS}, {200 * 1000, CHECK_NOTE}, {2000 * 1000, CHECK_WARN}};
	struct str spool = x->config.spool;

	x->config.spool = STR("/dev/shm");
	for (size_t i = 0; i < ARRAY_LEN(disks); i++) {
		struct exam    e = {.config = &x->config, .sync_us = disks[i].sync_us};
		struct finding f = {.observed = BUF(200), .why = BUF(400), .fix = BUF(400)};

		check_fs(&e, &(struct subject){0}, &f);
		check_text("disk", str_of(check_status_name(f.status)),
		           check_status_name(disks[i].want));
		buf_free(&f.observed);
		buf_free(&f.why);
		buf_free(&f.fix);
	}
	x->config.spool = spool;
}

/* Two conversations are one only if address, port and every letter are the same. */
static void
test_conversations(void **state)
{
	struct answers     a;
	struct facts      *f;
	const struct fact *one;
	struct addr        to, other;

	(void)state;
	answers_init(&a);
	f = answers_facts(&a);
	assert_true(addr_parse_port(STR("192.0.2.1:25"), 25, &to));
	other = to;
	other.port = 587;
	one = facts_talk(f, to, STR("EHLO a"));
	assert_ptr_equal(facts_talk(f, to, STR("EHLO a")), one);
	assert_ptr_not_equal(facts_talk(f, other, STR("EHLO a")), one);
	assert_ptr_not_equal(facts_talk(f, to, STR("EHLO A")), one);
	assert_ptr_not_equal(facts_visit(f, to, STR("EHLO a")), one);
	facts_destroy(f);
	answers_free(&a);
}

/* The verdict, the lines to paste, and each cure only once. */
static void
test_report(void **state)
{
	const struct fixture *x = *state;
	struct answers        a;
	struct exam           e;
	struct buf            text = BUF(TEXT_LIMIT), json = BUF(TEXT_LIMIT);

	answers_init(&a);
	add_lines(x, &a, STR(good), STR("10.2.0|s.example TXT"));
	e = examine(x, &a);
	assert_true(exam_run(&e));
	report_text(&e, &text, false);
	report_json(&e, &json);
	assert_true(str_find_str(buf_str(&text), STR("refused: Gmail 550")) > 0);
	assert_true(str_find_str(buf_str(&text),
	                         STR("10.2.0.192.in-addr.arpa. 3600 IN PTR mail.s.example.")) > 0);
	/* three checks miss the SPF record; the cure is told once */
	ptrdiff_t at = str_find_str(buf_str(&text), STR("s.example. 3600 IN TXT \"v=spf1 ip4"));
	assert_true(at > 0);
	assert_true(str_find_str(str_skip(buf_str(&text), (size_t)at + 10),
	                         STR("s.example. 3600 IN TXT \"v=spf1 ip4")) < 0);
	assert_true(str_find_str(buf_str(&json), STR("\"id\":\"ptr.exists\"")) > 0);
	buf_free(&text);
	buf_free(&json);
	exam_free(&e);
	facts_destroy(e.facts);
	answers_free(&a);
}

/* What was not asked promises nothing. */
static void
test_report_of_nothing(void **state)
{
	const struct fixture *x = *state;
	struct answers        a;
	struct exam           e;
	struct buf            text = BUF(TEXT_LIMIT);

	answers_init(&a);
	e = examine(x, &a);
	e.offline = true;
	assert_true(exam_run(&e));
	report_text(&e, &text, false);
	assert_true(str_find_str(buf_str(&text), STR("Too little could be checked")) > 0);
	assert_true(str_find_str(buf_str(&text), STR("should arrive")) < 0);
	buf_free(&text);
	exam_free(&e);
	facts_destroy(e.facts);
	answers_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_criteria), cmocka_unit_test(test_configurations),
		cmocka_unit_test(test_disk),     cmocka_unit_test(test_conversations),
		cmocka_unit_test(test_report),   cmocka_unit_test(test_report_of_nothing),
		cmocka_unit_test(test_wanted_mx),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
