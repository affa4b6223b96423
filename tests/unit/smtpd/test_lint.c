/* SPDX-License-Identifier: ISC */
/* Every rule, in every mode; and the rules as the corpus lists them. Usage: test_lint LINT.tsv */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lib/proc/config.h"
#include "lib/mail/header.h"
#include "smtpd/message.h"
#include "smtpd/refold.h"

#define S(z) {z, sizeof(z) - 1}
#define GOOD "Date: Fri, 02 Jan 2026 03:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nSubject: s\r\nTo: b@example.net\r\n"
#define FROM "From: a@example.com\r\n"
#define WHOLE FROM GOOD
#define TEN(z) z z z z z z z z z z
#define NOW_MS 1767323045000

static const char *corpus;
static struct str own[] = {S("example.com"), S("*.example.com"), S("gmail.com"), S("other.example"), S("nokey.example"), S("ymail.com"), S("t-online.de")};
static struct dkim_key_conf key = {.selector = S("s1")};
static struct dkim_conf keys[] = {{.domain = S("example.com"), .keys = &key, .n_keys = 1},
                                  {.domain = S("gmail.com"), .keys = &key, .n_keys = 1},
                                  {.domain = S("other.example"), .keys = &key, .n_keys = 1}};
static struct config config = {.hostname = S("mail.example.com"), .domains = {own, ARRAY_LEN(own)}, .dkim_sign = true, .dkim = keys, .n_dkim = 3};
static struct policy policy = {.config = &config};

enum { UTF8 = 1, EIGHTBIT = 2, NULL_SENDER = 4, MANY = 8 };

static const struct row {
	const char *in;
	unsigned    says;
	const char *found;          /* under "lint fix" */
	const char *fix, *strict, *off; /* the rule that refuses there, or NULL */
} rows[] = {
	{WHOLE "\r\nbody\r\n", 0, "", NULL, NULL, NULL},
	{FROM "Message-ID: <1@x.example>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "date-missing", NULL, "date-missing", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "msgid-missing", NULL, "msgid-missing", NULL},
	{GOOD "\r\n", 0, "from-missing", "from-missing", "from-missing", NULL},
	{GOOD "\r\n", NULL_SENDER, "from-missing", "from-missing", "from-missing", "from-missing"},
	{WHOLE FROM "\r\n", 0, "from-multiple-fields,from-multiple-addresses", "from-multiple-fields", "from-multiple-fields", "from-multiple-fields"},
	{GOOD "From: a@example.com, b@example.com\r\n\r\n", 0, "from-multiple-addresses", "from-multiple-addresses", "from-multiple-addresses", NULL},
	{GOOD "From: Ann <a@localhost>\r\n\r\n", 0, "from-empty-domain,from-not-allowed,from-no-key,mailfrom-unaligned", "from-empty-domain", "from-empty-domain", "from-not-allowed"},
	{GOOD "From: Nobody <>\r\n\r\n", 0, "from-empty-domain,from-not-allowed", "from-empty-domain", "from-empty-domain", "from-not-allowed"},
	{GOOD "From: <>\r\n\r\n", 0, "header-syntax", "header-syntax", "header-syntax", "header-syntax"},
	{GOOD "From: root\r\n\r\n", 0, "", NULL, NULL, NULL},
	{GOOD "From: x@elsewhere.example\r\n\r\n", 0, "from-not-allowed,from-no-key,mailfrom-unaligned", "from-not-allowed", "from-not-allowed", "from-not-allowed"},
	{WHOLE "Sender: x@elsewhere.example\r\n\r\n", 0, "from-not-allowed", "from-not-allowed", "from-not-allowed", "from-not-allowed"},
	{GOOD "From: a@nokey.example\r\n\r\n", 0, "from-no-key,mailfrom-unaligned", NULL, "from-no-key", NULL},
	{GOOD "From: a@other.example\r\n\r\n", 0, "mailfrom-unaligned", NULL, "mailfrom-unaligned", NULL},
	{GOOD "From: a@other.example\r\n\r\n", NULL_SENDER, "", NULL, NULL, NULL},
	{GOOD "From: a@News.Example.com\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "Subject: t\r\n\r\n", 0, "duplicate-field", "duplicate-field", "duplicate-field", NULL},
	{WHOLE "to: t@x.example\r\n\r\n", 0, "duplicate-field", "duplicate-field", "duplicate-field", NULL},
	{WHOLE "MIME-Version: 1.0\r\nContent-Type: a/b\r\nCONTENT-TYPE: a/c\r\n\r\n", 0, "duplicate-field", "duplicate-field", "duplicate-field", NULL},
	{WHOLE "Content-MD5: a\r\nContent-md5: a\r\n\r\n", 0, "duplicate-field", "duplicate-field", "duplicate-field", NULL},
	{WHOLE "Sender: a@example.com\r\nSender: a@example.com\r\n\r\n", 0, "duplicate-field", "duplicate-field", "duplicate-field", NULL},
	{WHOLE "X-Mine: 1\r\nX-Mine: 2\r\nReceived: a\r\nReceived: b\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "\r\na\nb\r\n", 0, "bare-lf", "bare-lf", "bare-lf", "bare-lf"},
	{WHOLE "\r\na\rb\r\n", 0, "bare-cr", "bare-cr", "bare-cr", "bare-cr"},
	{WHOLE "\r\n" TEN(TEN(TEN("x"))) "\r\n", 0, "line-long-body", NULL, "line-long-body", "line-long-body"},
	{WHOLE "no field\r\n" TEN(TEN(TEN("x"))) "\r\n\r\n", 0, "line-long-body,no-separator", NULL, "line-long-body", "line-long-body"},
	{WHOLE "DKIM-Signature: v=1\r\n\r\n" TEN(TEN(TEN("x"))) "\r\n", 0, "line-long-body", "line-long-body", "line-long-body", "line-long-body"},
	{WHOLE "X-Long: " TEN(TEN(TEN("x y"))) "\r\n\r\n", 0, "line-long-header", NULL, "line-long-header", "line-long-header"},
	{WHOLE "X-Long: " TEN(TEN(TEN("xy"))) "\r\n\r\n", 0, "line-long-header", "line-long-header", "line-long-header", "line-long-header"},
	{WHOLE "Cc: " TEN(TEN("abcdefgh@x.example,")) "c@x.example\r\n\r\n", 0, "line-long-header", NULL, "line-long-header", "line-long-header"},
	{WHOLE "X-A: \xc3\xbc\r\n\r\n", 0, "header-8bit", "header-8bit", "header-8bit", NULL},
	{WHOLE "X-A: \xc3\xbc\r\n\r\n", UTF8, "", NULL, NULL, NULL},
	{WHOLE "\r\n\xc3\xbc\r\n", 0, "body-8bit-undeclared", NULL, "body-8bit-undeclared", NULL},
	{WHOLE "\r\n\xc3\xbc\r\n", EIGHTBIT, "body-8bit-undeclared", NULL, "body-8bit-undeclared", NULL},
	{WHOLE "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xbc\r\n", EIGHTBIT, "", NULL, NULL, NULL},
	{FROM "no field\r\n" GOOD "\r\n", 0, "date-missing,msgid-missing,header-syntax,no-separator,subject-missing,to-missing", "header-syntax", "date-missing", NULL},
	{FROM GOOD "Two Words: x\r\nReply-To: c@x.example\r\n\r\n", 0, "header-syntax,no-separator", "header-syntax", "header-syntax", NULL},
	{GOOD "From: a@example.com b@example.com\r\n\r\n", 0, "header-syntax", "header-syntax", "header-syntax", "header-syntax"},
	{WHOLE "no field\r\nmore\r\n\r\n", 0, "no-separator", NULL, "no-separator", NULL},
	{WHOLE "Resent-To: c@x.example\r\n\r\n", 0, "resent-block", NULL, "resent-block", NULL},
	{WHOLE "Resent-Date: x\r\n\r\n", 0, "resent-block", NULL, "resent-block", NULL},
	{WHOLE "bcc: c@x.example\r\n\r\n", 0, "bcc-present", NULL, "bcc-present", NULL},
	{WHOLE "Return-Path: <c@x.example>\r\n\r\n", 0, "return-path-present", NULL, "return-path-present", NULL},
	{WHOLE TEN("Received: x\r\n") TEN("Received: x\r\n") "\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE TEN("Received: x\r\n") TEN("Received: x\r\n") TEN("Received: x\r\n") "\r\n", 0, "received-many", NULL, "received-many", NULL},
	{WHOLE TEN(TEN("Received: x\r\n")) "Received: x\r\n\r\n", 0, "received-count", "received-count", "received-count", "received-count"},
	{FROM "Date: Thu, 01 Jan 2026 03:04:04 +0000\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "date-skew", NULL, "date-skew", NULL},
	{FROM "Date: Sat, 03 Jan 2026 03:04:04 +0000\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "", NULL, NULL, NULL},
	{FROM "Date: yesterday\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "date-skew", NULL, "date-skew", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: 1@x.example\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "msgid-syntax", NULL, "msgid-syntax", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@localhost>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "msgid-syntax", NULL, "msgid-syntax", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@mac.local>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "msgid-syntax", NULL, "msgid-syntax", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@a b>\r\nSubject: s\r\nTo: b@x\r\n\r\n", 0, "msgid-syntax", NULL, "msgid-syntax", NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@x.example>\r\nTo: b@x\r\n\r\n", 0, "subject-missing", NULL, NULL, NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\n\r\n", 0, "to-missing", NULL, NULL, NULL},
	{FROM "Date: 2 Jan 2026 03:00:00 GMT\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\nCc: x@y\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "Content-Type: text/plain\r\n\r\n", 0, "mime-version-missing", NULL, "mime-version-missing", NULL},
	{WHOLE "Precedence: bulk\r\n\r\n", 0, "bulk-no-unsubscribe", NULL, "bulk-no-unsubscribe", NULL},
	{WHOLE "List-Id: <x.example>\r\n\r\n", 0, "bulk-no-unsubscribe", NULL, "bulk-no-unsubscribe", NULL},
	{WHOLE "\r\n", MANY, "bulk-no-unsubscribe", NULL, "bulk-no-unsubscribe", NULL},
	{WHOLE "Precedence: urgent\r\nList-Unsubscribe: <https://x.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n", MANY, "", NULL, NULL, NULL},
	{WHOLE "Precedence: bulk\r\nPrecedence: urgent\r\n\r\n", 0, "bulk-no-unsubscribe", NULL, "bulk-no-unsubscribe", NULL},
	{WHOLE "Precedence: urgent\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "List-Unsubscribe: <https://x.example/u>\r\n\r\n", 0, "unsubscribe-no-post", NULL, "unsubscribe-no-post", NULL},
	{WHOLE "List-Unsubscribe: <mailto:u@x.example>,\r\n <HTTPS://x.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "List-Unsubscribe: <https://x.example/u>\r\nList-Unsubscribe-Post: yes\r\n\r\n", 0, "unsubscribe-no-post", NULL, "unsubscribe-no-post", NULL},
	{WHOLE "List-Unsubscribe: <mailto:u@x.example>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n", 0, "unsubscribe-no-https", NULL, "unsubscribe-no-https", NULL},
	{GOOD "From: a@nokey.example\r\nList-Unsubscribe: <https://x.example/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n", NULL_SENDER,
	 "from-no-key,unsubscribe-unsigned", NULL, "from-no-key", NULL},
	{WHOLE "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=x\r\n\r\n", NULL_SENDER, "auto-submitted", NULL, "auto-submitted", NULL},
	{WHOLE "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=x\r\nAuto-Submitted: auto-replied\r\n\r\n", NULL_SENDER, "", NULL, NULL, NULL},
	{WHOLE "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=x\r\n\r\n", 0, "", NULL, NULL, NULL},
	{WHOLE "Authentication-Results: mail.example.com; dkim=pass\r\n\r\n", 0, "auth-results-forged", NULL, "auth-results-forged", NULL},
	{WHOLE "Authentication-Results: mail.example.com.other.example; dkim=pass\r\n\r\n", 0, "", NULL, NULL, NULL},
	{GOOD "From: someone@gmail.com\r\n\r\n", NULL_SENDER, "gmail-from", NULL, "gmail-from", NULL},
	{GOOD "From: someone@ymail.com\r\n\r\n", NULL_SENDER, "from-no-key,gmail-from", NULL, "from-no-key", NULL},
	{GOOD "From: someone@t-online.de\r\n\r\n", NULL_SENDER, "from-no-key,gmail-from", NULL, "from-no-key", NULL},
};

static struct fixup
plan(enum listen_lint mode, unsigned says)
{
	return (struct fixup){.policy = &policy,
	                      .received = STR("Received: by test\r\n"),
	                      .own_domain = STR("example.com"),
	                      .sender = (says & NULL_SENDER) != 0 ? STR_NONE : STR("bounce@Example.com"),
	                      .id = (uint64_t)NOW_MS << 20,
	                      .now_ms = NOW_MS,
	                      .lint = mode,
	                      .says_utf8 = (says & UTF8) != 0,
	                      .says_eightbit = (says & EIGHTBIT) != 0,
	                      .many = (says & MANY) != 0};
}

/* The message, judged. */
static struct message *
read(struct messages *ms, const struct fixup *p, struct str in, struct reply *r)
{
	struct message *m = message_create(ms, p, 100000);

	message_expect(m, DATA_COUNTED, false);
	(void)message_feed(m, in);
	*r = message_finish(m);
	return m;
}

static void
refused_is(size_t i, enum listen_lint mode, struct str in, const char *want)
{
	struct messages ms;
	struct fixup    p = plan(mode, rows[i].says);
	struct message *m;
	struct buf      tag = BUF(100);
	struct reply    r;

	messages_init(&ms);
	m = read(&ms, &p, in, &r);
	if (want == NULL) {
		if (r.code != 250)
			fail_msg("row %zu, mode %d: %u %.*s", i, mode, r.code, (int)r.text.n, r.text.p);
		assert_false(refold_is_needed(buf_str(&m->text)));
	} else {
		buf_addf(&tag, " [%s]", want);
		if (r.code != 550 || !str_ends(r.text, buf_str(&tag)))
			fail_msg("row %zu, mode %d: %u %.*s", i, mode, r.code, (int)r.text.n, r.text.p);
	}
	message_destroy(&ms, m);
	messages_free(&ms);
	buf_free(&tag);
}

static void
every_rule_finds_what_it_is_for(void **state)
{
	uint64_t covered = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct messages ms;
		struct fixup    p = plan(LISTEN_LINT_FIX, rows[i].says);
		struct buf      found = BUF(4096);
		struct str      in = str_of(rows[i].in);
		struct message *m;
		struct reply    r;

		messages_init(&ms);
		m = read(&ms, &p, in, &r);
		lint_format(&found, m->fix.verdict.found);
		if (!str_eq(buf_str(&found), str_of(rows[i].found)))
			fail_msg("row %zu: found %s", i, buf_z(&found));
		covered |= m->fix.verdict.found;
		message_destroy(&ms, m);
		messages_free(&ms);
		refused_is(i, LISTEN_LINT_FIX, in, rows[i].fix);
		refused_is(i, LISTEN_LINT_STRICT, in, rows[i].strict);
		refused_is(i, LISTEN_LINT_OFF, in, rows[i].off);
		buf_free(&found);
	}
	/* Of these a table of C strings cannot tell: see below. */
	covered |= LINT_BIT(LINT_NUL) | LINT_BIT(LINT_SIZE);
	assert_int_equal(covered, LINT_BIT(LINT_RULES) - 1);
}

static void
sizes_and_nuls_have_rules_too(void **state)
{
	struct messages ms;
	struct fixup    p = plan(LISTEN_LINT_FIX, 0);
	struct message *m;
	struct reply    r;

	(void)state;
	messages_init(&ms);
	m = read(&ms, &p, STR(WHOLE "\r\n\0\r\n"), &r);
	assert_true(str_ends(r.text, STR(" [nul]")));
	assert_true(m->fix.verdict.found == LINT_BIT(LINT_NUL));
	message_destroy(&ms, m);
	m = message_create(&ms, &p, 10);
	message_expect(m, DATA_COUNTED, false);
	(void)message_feed(m, STR(WHOLE "\r\n"));
	r = message_finish(m);
	assert_int_equal(r.code, 552);
	assert_true(str_ends(r.text, STR(" [size]")));
	assert_true(m->fix.verdict.found == LINT_BIT(LINT_SIZE));
	message_destroy(&ms, m);
	messages_free(&ms);
}

/* Folding changes white space and nothing else. */
static void
folded_fields_say_the_same(void **state)
{
	struct messages ms;
	struct fixup    p = plan(LISTEN_LINT_FIX, 0);
	struct message *m;
	struct reply    r;
	struct field    field;
	struct buf      plain = BUF(65536);
	struct buf      in = BUF(65536);
	struct str      rest, piece, head, body;

	(void)state;
	messages_init(&ms);
	buf_addz(&in, WHOLE "X-Long: " TEN(TEN(TEN("x y"))) "\r\n");
	buf_addz(&in, "Cc: root," TEN(TEN("\"a, b\"@x.example,")) "c@x.example\r\n\r\n");
	m = read(&ms, &p, buf_str(&in), &r);
	assert_int_equal(r.code, 250);
	header_split(buf_str(&m->text), &head, &body);
	assert_true(header_find(head, STR("X-Long"), 0, &field));
	header_unfold(&plain, field.value);
	assert_true(str_eq(buf_str(&plain), STR(TEN(TEN(TEN("x y"))))));
	buf_clear(&plain);
	assert_true(header_find(head, STR("Cc"), 0, &field));
	rest = field.value;
	while (str_cut(&rest, '\r', &piece)) {
		buf_add(&plain, piece);
		if (rest.n > 0)
			rest = str_skip(rest, 2);
	}
	assert_true(str_eq(buf_str(&plain), STR(" root@example.com," TEN(TEN("\"a, b\"@x.example,")) "c@x.example")));
	message_destroy(&ms, m);
	messages_free(&ms);
	buf_free(&in);
	buf_free(&plain);
}

static const char *
action_name(enum lint_rule rule)
{
	switch (lint_action(rule, LISTEN_LINT_FIX)) {
	case LINT_NOTE:
		return "note";
	case LINT_WARN:
		return "warn";
	case LINT_FIX:
		return "fix";
	case LINT_REJECT:
		return "reject";
	case LINT_PASS:
		break;
	}
	return "pass";
}

/* One rule of ours, the softer half of received-count, is no row there. */
static void
the_rules_are_those_of_the_corpus(void **state)
{
	FILE    *f = fopen(corpus, "r");
	char     line[4096];
	unsigned n = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		struct str rest = str_of(line), id, action;
		unsigned   i = 0;

		if (line[0] == '#')
			continue;
		assert_true(str_cut(&rest, '\t', &id) && str_cut(&rest, '\t', &action));
		while (i < LINT_RULES && !str_eq(id, str_of(lint_id((enum lint_rule)i))))
			i++;
		if (i == LINT_RULES)
			fail_msg("no rule %.*s", (int)id.n, id.p);
		if (str_eq(action, STR("reject-config")))
			action = STR("warn");
		if (!str_eq(action, str_of(action_name((enum lint_rule)i))))
			fail_msg("%.*s is to %.*s", (int)id.n, id.p, (int)action.n, action.p);
		n++;
	}
	fclose(f);
	assert_int_equal(n, LINT_RULES - 1);
}

static void
organisations_are_told_apart(void **state)
{
	static const struct {
		const char *a, *b;
		bool        aligned;
	} pairs[] = {
		{"example.com", "example.com", true},      {"a.example.com", "example.com", true},
		{"example.com", "a.example.com", true},    {"a.example.com", "b.example.com", true},
		{"badexample.com", "example.com", false},  {"a.example.net", "b.example.net", false},
		{"example.com", "other.example", false},   {"", "example.com", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (lint_is_aligned(&config, str_of(pairs[i].a), str_of(pairs[i].b)) != pairs[i].aligned)
			fail_msg("row %zu", i);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_finds_what_it_is_for),
		cmocka_unit_test(sizes_and_nuls_have_rules_too),
		cmocka_unit_test(folded_fields_say_the_same),
		cmocka_unit_test(the_rules_are_those_of_the_corpus),
		cmocka_unit_test(organisations_are_told_apart),
	};

	if (argc < 2)
		return 2;
	corpus = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
