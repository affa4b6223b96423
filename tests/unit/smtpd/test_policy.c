/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config.h"
#include "smtpd/policy.h"

#define PATTERNS(...)                                                      \
	{                                                                  \
		.v = (struct str[]){__VA_ARGS__},                          \
		.n = sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str) \
	}
#define AT(line_) {.file = "/etc/postern/postern.conf", .line = (line_), .column = 1}
#define S(z) {z, sizeof(z) - 1}

static struct user_conf users[] = {
	{.name = S("shop"), .from = PATTERNS(S("*@shop.example.org"), S("ann@example.com")), .origin = AT(20)},
	{.name = S("plain"), .origin = AT(21)},
	{.name = S("quoted"), .from = PATTERNS(S("\"A B\"@example.com")), .origin = AT(22)},
	{.name = S("all"), .from = PATTERNS(S("*")), .origin = AT(23)},
};

static struct trust_conf trusts[6] = {
	{.origin = AT(7)}, {.origin = AT(7)}, {.origin = AT(7)},
	{.from = PATTERNS(S("*@crm.example.com")), .origin = AT(8)},
	{.from = PATTERNS(S("*")), .origin = AT(9)},
	{.origin = AT(7)},
};

static struct str domains[] = {S("*.shop.example.org"), S("example.com"), S("xn--bcher-kva.example")};

static struct config normal, capture, closed, env;

static int
set_up(void **state)
{
	static const char *const nets[] = {"127.0.0.0/8",   "::1/128",        "10.1.2.0/24",
	                                   "10.3.0.0/16", "10.3.9.0/24", "2001:db8:1::/48"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nets); i++)
		assert_true(cidr_parse(str_of(nets[i]), &trusts[i].net));
	normal = (struct config){
		.hostname = S("mail.example.com"),
		.domains = {domains, ARRAY_LEN(domains)},
		.domains_origin = AT(2),
		.trust_origin = AT(7),
		.trusts = trusts,
		.n_trusts = ARRAY_LEN(trusts),
		.user = users,
		.n_user = ARRAY_LEN(users),
	};
	capture = (struct config){.hostname = S("host"), .trusts = trusts, .n_trusts = 2};
	closed = normal;
	closed.n_trusts = 0;
	env = closed;
	env.trust_origin = (struct origin){.file = "env POSTERN_TRUST"};
	return 0;
}

enum what { MAIL, RCPT, FROM };

/* "at": not a literal of the table, a whole path; what the mailbox of a header field looks like is without brackets. */
static const struct row {
	const char   *name;
	struct config *config;
	const char   *client, *login;
	enum what     what;
	const char   *path;
	unsigned      code;
	const char   *why, *says;
} rows[] = {
	/* who may send at all */
	{"loopback relays", &normal, "127.0.0.1", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"all of loopback relays", &normal, "127.9.9.9", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"IPv6 loopback relays", &normal, "::1", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"a trusted network relays", &normal, "10.1.2.200", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"a trusted IPv6 network relays", &normal, "2001:db8:1::5", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"the next IPv6 network does not", &normal, "2001:db8:2::5", "", RCPT, "<b@x.net>", 550, "relay-denied",
	 "2001:db8:2::5"},
	{"the next network does not", &normal, "10.1.3.1", "", RCPT, "<b@x.net>", 550, "relay-denied", "10.1.3.1"},
	{"a stranger does not", &normal, "203.0.113.9", "", RCPT, "<b@x.net>", 550, "relay-denied",
	 "relaying denied for 203.0.113.9: add it to \"trust\" (postern.conf:7) or log in"},
	{"nor to one of our own domains", &normal, "203.0.113.9", "", RCPT, "<b@example.com>", 550, "relay-denied", NULL},
	{"nor to postmaster", &normal, "203.0.113.9", "", RCPT, "<postmaster@example.com>", 550, "relay-denied", NULL},
	{"a stranger with a login does", &normal, "203.0.113.9", "plain", RCPT, "<b@x.net>", 250, "login", NULL},
	{"a login without a block does", &normal, "203.0.113.9", "other", RCPT, "<b@x.net>", 250, "login", NULL},
	{"an IPv4-mapped trusted address is trusted", &normal, "::ffff:10.1.2.3", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"an IPv4-mapped loopback is loopback", &normal, "::ffff:127.0.0.1", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"an IPv4-mapped stranger is named as IPv4", &normal, "::ffff:203.0.113.9", "", RCPT, "<b@x.net>", 550,
	 "relay-denied", "for 203.0.113.9:"},
	{"with trust none loopback is a stranger", &closed, "127.0.0.1", "", RCPT, "<b@x.net>", 550, "relay-denied",
	 "127.0.0.1"},
	{"with trust none a login sends", &closed, "127.0.0.1", "plain", RCPT, "<b@x.net>", 250, "login", NULL},
	{"an origin in the environment is named", &env, "192.0.2.1", "", RCPT, "<b@x.net>", 550, "relay-denied",
	 "(env POSTERN_TRUST)"},
	{"the unset address is a stranger", &normal, "", "", RCPT, "<b@x.net>", 550, "relay-denied", NULL},

	/* senders by `domains` */
	{"a sender of a listed domain", &normal, "127.0.0.1", "", MAIL, "<a@example.com>", 250, "send-as", NULL},
	{"domains compare without case", &normal, "127.0.0.1", "", MAIL, "<A@EXAMPLE.com>", 250, "send-as", NULL},
	{"a U-label is its A-label", &normal, "127.0.0.1", "", MAIL, "<a@b\xc3\xbc" "cher.example>", 250, "send-as", NULL},
	{"a subdomain is not the domain", &normal, "127.0.0.1", "", MAIL, "<a@sub.example.com>", 550, "sender-refused",
	 "sub.example.com\" to \"domains\" (postern.conf:2)"},
	{"a longer name is not the domain", &normal, "127.0.0.1", "", MAIL, "<a@badexample.com>", 550, "sender-refused", NULL},
	{"a wildcard covers what is below", &normal, "127.0.0.1", "", MAIL, "<a@eu.shop.example.org>", 250, "send-as", NULL},
	{"at any depth", &normal, "127.0.0.1", "", MAIL, "<a@x.eu.shop.example.org>", 250, "send-as", NULL},
	{"but not itself", &normal, "127.0.0.1", "", MAIL, "<a@shop.example.org>", 550, "sender-refused", NULL},
	{"a foreign sender is refused with the client's address", &normal, "10.1.2.3", "", MAIL, "<a@other.net>", 550,
	 "sender-refused", "sender <a@other.net> is not allowed for 10.1.2.3: add \"other.net\""},
	{"the null sender", &normal, "127.0.0.1", "", MAIL, "<>", 250, "null-sender", NULL},
	{"the null sender of a login with patterns", &normal, "192.0.2.1", "shop", MAIL, "<>", 250, "null-sender", NULL},
	{"the null sender of a stranger passes MAIL", &normal, "192.0.2.1", "", MAIL, "<>", 250, "null-sender", NULL},
	{"and stops at RCPT", &normal, "192.0.2.1", "", RCPT, "<a@example.com>", 550, "relay-denied", NULL},
	{"a stranger's own domain passes MAIL", &normal, "192.0.2.1", "", MAIL, "<a@other.net>", 250, "stranger", NULL},
	{"a stranger with our domain passes MAIL", &normal, "192.0.2.1", "", MAIL, "<a@example.com>", 250, "stranger", NULL},
	{"what is not ASCII is not repeated", &normal, "127.0.0.1", "", MAIL, "<\xc3\xa9@other.net>", 550, "sender-refused",
	 "<??@other.net>"},
	{"a literal as sender domain", &normal, "127.0.0.1", "", MAIL, "<a@[127.0.0.1]>", 550, "sender-refused", NULL},

	/* the send-as table */
	{"a login's own pattern", &normal, "192.0.2.1", "shop", MAIL, "<x@shop.example.org>", 250, "send-as", NULL},
	{"its exact address", &normal, "192.0.2.1", "shop", MAIL, "<ann@example.com>", 250, "send-as", NULL},
	{"not another of that domain", &normal, "192.0.2.1", "shop", MAIL, "<bob@example.com>", 550, "sender-refused",
	 "login shop at 192.0.2.1: add \"bob@example.com\" to \"from\" of this user (postern.conf:20)"},
	{"patterns bind a login on a trusted network too", &normal, "127.0.0.1", "shop", MAIL, "<bob@example.com>", 550,
	 "sender-refused", NULL},
	{"a login without patterns has the domains", &normal, "192.0.2.1", "plain", MAIL, "<bob@example.com>", 250, "send-as", NULL},
	{"and no more", &normal, "192.0.2.1", "plain", MAIL, "<bob@other.net>", 550, "sender-refused", "(postern.conf:2)"},
	{"a login in another case has the same patterns", &normal, "192.0.2.1", "SHOP", MAIL, "<x@shop.example.org>", 250, "send-as", NULL},
	{"and no others", &normal, "192.0.2.1", "SHOP", MAIL, "<bob@example.com>", 550, "sender-refused", NULL},
	{"a login for everything", &normal, "192.0.2.1", "all", MAIL, "<x@other.net>", 250, "send-as", NULL},
	{"a quoted pattern", &normal, "192.0.2.1", "quoted", MAIL, "<\"A B\"@example.com>", 250, "send-as", NULL},
	{"a network's own pattern", &normal, "10.3.1.1", "", MAIL, "<x@crm.example.com>", 250, "send-as", NULL},
	{"a network's pattern replaces the domains", &normal, "10.3.1.1", "", MAIL, "<x@example.com>", 550, "sender-refused",
	 "\"from\" of this network (postern.conf:8)"},
	{"the narrowest network decides", &normal, "10.3.9.1", "", MAIL, "<x@anything.net>", 250, "send-as", NULL},
	{"a login in that network has its own rule", &normal, "10.3.1.1", "plain", MAIL, "<x@example.com>", 250, "send-as", NULL},

	/* the header's authors */
	{"an allowed author", &normal, "127.0.0.1", "", FROM, "a@example.com", 250, "send-as", NULL},
	{"a foreign author", &normal, "127.0.0.1", "", FROM, "a@other.net", 550, "sender-refused", "From <a@other.net>"},
	{"a login's author", &normal, "192.0.2.1", "shop", FROM, "x@shop.example.org", 250, "send-as", NULL},
	{"a login's foreign author", &normal, "192.0.2.1", "shop", FROM, "x@example.com", 550, "sender-refused", NULL},
	{"an author without a domain", &normal, "127.0.0.1", "", FROM, "root", 550, "sender-refused", NULL},

	/* forms that hide where mail goes */
	{"percent hack", &normal, "127.0.0.1", "", RCPT, "<user%other.net@example.com>", 550, "hidden-route", "%"},
	{"bang path", &normal, "127.0.0.1", "", RCPT, "<other!user@example.com>", 550, "hidden-route", "second route"},
	{"quoted @", &normal, "127.0.0.1", "", RCPT, "<\"user@other.net\"@example.com>", 550, "hidden-route", NULL},
	{"percent hack by login", &normal, "192.0.2.1", "plain", RCPT, "<user%other.net@example.com>", 550, "hidden-route", NULL},
	{"percent hack by a stranger is relaying", &normal, "192.0.2.1", "", RCPT, "<user%other.net@example.com>", 550,
	 "relay-denied", NULL},
	{"source route", &normal, "127.0.0.1", "", RCPT, "<@example.com:user@other.net>", 550, "source-route", "source route"},
	{"source route by a stranger is relaying", &normal, "192.0.2.1", "", RCPT, "<@example.com:user@other.net>", 550,
	 "relay-denied", NULL},
	{"long source route", &normal, "127.0.0.1", "", RCPT, "<@a.net,@b.net:u@c.net>", 550, "source-route", NULL},
	{"source route as sender", &normal, "127.0.0.1", "", MAIL, "<@a.net:a@example.com>", 550, "source-route", NULL},
	{"percent hack as sender", &normal, "127.0.0.1", "", MAIL, "<a%b@example.com>", 550, "hidden-route", NULL},
	{"bang path as a stranger's sender", &normal, "192.0.2.1", "", MAIL, "<x!y@example.com>", 550, "hidden-route", NULL},
	{"a quoted blank is harmless", &normal, "127.0.0.1", "", RCPT, "<\"a b\"@x.net>", 250, "trusted", NULL},

	/* form */
	{"no brackets", &normal, "127.0.0.1", "", RCPT, "b@x.net", 501, "bad-address", NULL},
	{"two @", &normal, "127.0.0.1", "", RCPT, "<b@x@y.net>", 501, "bad-address", NULL},
	{"no recipient", &normal, "127.0.0.1", "", RCPT, "<>", 501, "bad-address", NULL},
	{"without a domain that nobody completed", &normal, "127.0.0.1", "", RCPT, "<root>", 550, "unqualified", "no domain"},
	{"an empty label", &normal, "127.0.0.1", "", RCPT, "<b@x..net>", 501, "bad-address", NULL},
	{"a control octet", &normal, "127.0.0.1", "", RCPT, "<b\x01@x.net>", 501, "bad-address", NULL},
	{"an address literal", &normal, "127.0.0.1", "", RCPT, "<b@[192.0.2.7]>", 250, "trusted", NULL},
	{"a local part of 65", &normal, "127.0.0.1", "", RCPT,
	 "<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@x.net>", 501, "bad-address", "too long"},
	{"a sender that is none", &normal, "127.0.0.1", "", MAIL, "<@>", 501, "bad-address", NULL},

	/* capture mode */
	{"capture: loopback sends", &capture, "127.0.0.1", "", RCPT, "<b@x.net>", 250, "trusted", NULL},
	{"capture: any sender", &capture, "127.0.0.1", "", MAIL, "<a@whatever.net>", 250, "capture", NULL},
	{"capture: any author", &capture, "127.0.0.1", "", FROM, "a@whatever.net", 250, "capture", NULL},
	{"capture: nobody else", &capture, "10.1.2.3", "", RCPT, "<b@x.net>", 550, "relay-denied",
	 "add it to \"trust\" (postern.conf)"},
	{"capture: hidden routes are refused as ever", &capture, "127.0.0.1", "", RCPT, "<a%b@c.net>", 550, "hidden-route", NULL},
};

static void
play(const struct row *row)
{
	struct policy      p = {.config = row->config, .login = str_of(row->login), .can_login = true};
	struct buf         text = BUF(POLICY_TEXT_MAX);
	struct str         rest = str_of(row->path);
	struct address     a;
	enum address_error error;
	struct verdict     v;

	print_message("# %s\n", row->name);
	if (row->client[0] != '\0' && strstr(row->client, "ffff") == NULL)
		assert_true(addr_parse(str_of(row->client), &p.client));
	if (strstr(row->client, "ffff") != NULL) {
		struct addr four;

		/* As a careless caller would have it: still in IPv6 clothes. */
		assert_true(addr_parse(str_of(row->client + 7), &four));
		p.client.family = 6;
		p.client.ip[10] = p.client.ip[11] = 0xff;
		memcpy(p.client.ip + 12, four.ip, 4);
	}
	error = row->what == FROM ? address_parse(rest, &a) : address_parse_path(&rest, &a);
	v = row->what == MAIL   ? policy_sender(&p, error, a, &text)
	    : row->what == RCPT ? policy_recipient(&p, error, a, &text)
	                        : policy_header(&p, STR("From"), a, &text);
	assert_int_equal(v.reply.code, row->code);
	assert_string_equal(v.why, row->why);
	assert_int_equal(policy_is_ok(v), row->code == 250);
	if (row->says != NULL && str_find_str(v.reply.text, str_of(row->says)) < 0)
		fail_msg("says: %.*s", (int)v.reply.text.n, v.reply.text.p);
	for (size_t i = 0; i < v.reply.text.n; i++)
		assert_true(v.reply.text.p[i] >= ' ' && v.reply.text.p[i] < 0x7f);
	buf_free(&text);
}

static void
verdicts_follow_the_table(void **state)
{
	(void)state;
	assert_true(ARRAY_LEN(rows) >= 60);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		play(&rows[i]);
}

static void
login_is_named_only_where_it_exists(void **state)
{
	struct policy  p = {.config = &normal};
	struct buf     text = BUF(POLICY_TEXT_MAX);
	struct verdict v;

	(void)state;
	assert_true(addr_parse(STR("192.0.2.1"), &p.client));
	v = policy_client(&p, &text);
	assert_true(str_find_str(v.reply.text, STR("log in")) < 0);
	p.can_login = true;
	v = policy_client(&p, &text);
	assert_true(str_find_str(v.reply.text, STR("log in")) > 0);
	buf_free(&text);
}

static void
the_deciding_line_is_told(void **state)
{
	struct policy  p = {.config = &normal};
	struct buf     text = BUF(POLICY_TEXT_MAX);
	struct address a;
	struct str     path = STR("<x@crm.example.com>");
	struct verdict v;

	(void)state;
	assert_true(addr_parse(STR("10.3.1.1"), &p.client));
	assert_int_equal(address_parse_path(&path, &a), ADDRESS_OK);
	v = policy_sender(&p, ADDRESS_OK, a, &text);
	assert_int_equal(v.origin->line, 8);
	v = policy_client(&p, &text);
	assert_int_equal(v.origin->line, 8);
	p.login = STR("plain");
	v = policy_client(&p, &text);
	assert_int_equal(v.origin->line, 21);
	v = policy_sender(&p, ADDRESS_OK, a, &text);
	assert_int_equal(v.origin->line, 2);
	buf_free(&text);
}

static void
own_domain_is_one_that_may_send(void **state)
{
	const struct {
		struct str  hostname;
		struct strs domains;
		const char *own;
	} cases[] = {
		{S("mail.example.com"), PATTERNS(S("example.org"), S("example.com")), "example.com"},
		{S("example.com"), PATTERNS(S("example.org"), S("example.com")), "example.com"},
		{S("mail.example.net"), PATTERNS(S("*.a.org"), S("example.org"), S("example.com")), "example.org"},
		{S("notexample.com"), PATTERNS(S("a.org"), S("example.com")), "a.org"},
		{S("mail.example.com"), PATTERNS(S("*.example.com")), "mail.example.com"},
		{S("box"), {0}, "box"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config c = {.hostname = cases[i].hostname, .domains = cases[i].domains};

		assert_true(str_eq(policy_own_domain(&c), str_of(cases[i].own)));
	}
}

static void
only_trusted_loopback_is_local(void **state)
{
	static const struct {
		struct config *config;
		const char    *client;
		bool           local;
	} cases[] = {
		{&normal, "127.0.0.1", true}, {&normal, "::1", true},      {&normal, "10.1.2.3", false},
		{&closed, "127.0.0.1", false}, {&normal, "192.0.2.1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct policy p = {.config = cases[i].config};

		assert_true(addr_parse(str_of(cases[i].client), &p.client));
		assert_int_equal(policy_is_local(&p), cases[i].local);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_follow_the_table),
		cmocka_unit_test(login_is_named_only_where_it_exists),
		cmocka_unit_test(the_deciding_line_is_told),
		cmocka_unit_test(own_domain_is_one_that_may_send),
		cmocka_unit_test(only_trusted_loopback_is_local),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
