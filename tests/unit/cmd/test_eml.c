/* SPDX-License-Identifier: ISC */
#include "cmd/eml.h"

#include "tests/unit/check.h"

#define ID   "X-Postern-Id: 0000000000001\r\n"
#define FROM "X-Postern-From: <a@b.example>\r\n"
#define TO   "X-Postern-To: <c@d.example>\r\n"
#define END  "X-Postern-End: 5\r\n"
#define MAIL "a\r\n\r\n"

/* clang-format off */
static const struct {
	const char *name, *text, *wrong; /* part of the sentence; NULL: it is taken */
} cases[] = {
	{"a message",             ID FROM TO END MAIL, NULL},
	{"lines without CR",      "X-Postern-Id: 0000000000001\n" FROM TO END MAIL, NULL},
	{"null sender",           ID "X-Postern-From: <>\r\n" TO END MAIL, NULL},
	{"its own lines in it",   ID FROM TO "X-Postern-End: 26\r\n" "X-Postern-To: <e@f.g>\r\n\r\nx", "CRLF"},
	{"what belongs to one",   ID FROM "X-Postern-To: notify=success,failure orcpt=rfc822;a+2Bb@c tries=3 <c@d.example>\r\n" END MAIL, NULL},
	{"nothing",               "", "ends in its envelope"},
	{"a mail of others",      "From: <a@b.example>\r\n\r\n", "not on top"},
	{"cut in the envelope",   ID FROM "X-Postern-T", "not on top"},
	{"no id",                 FROM TO END MAIL, "no id"},
	{"the id of nobody",      "X-Postern-Id: 0\r\n" FROM TO END MAIL, "id is wrong"},
	{"a path for an id",      "X-Postern-Id: ../../../../x\r\n" FROM TO END MAIL, "id is wrong"},
	{"no recipient",          ID FROM END MAIL, "no recipients"},
	{"recipient in no form",  ID FROM "X-Postern-To: c@d.example\r\n" END MAIL, "no address"},
	{"recipient of no form",  ID FROM "X-Postern-To: <c d>\r\n" END MAIL, "no address"},
	{"sender of no form",     ID "X-Postern-From: <a>\r\n" TO END MAIL, "no address"},
	{"a line in an orcpt",    ID FROM "X-Postern-To: orcpt=a+0Ato: <c@d.example>\r\n" END MAIL, "orcpt"},
	{"half an orcpt",         ID FROM "X-Postern-To: orcpt=a+0 <c@d.example>\r\n" END MAIL, "orcpt"},
	{"no such notify",        ID FROM "X-Postern-To: notify=loud <c@d.example>\r\n" END MAIL, "notify"},
	{"something else",        ID FROM "X-Postern-To: evil=1 <c@d.example>\r\n" END MAIL, "not known"},
	{"a word",                ID FROM "X-Postern-To: evil <c@d.example>\r\n" END MAIL, "not known"},
	{"no such line",          ID FROM TO "X-Postern-Evil: 1\r\n" END MAIL, "not known"},
	{"a CR in a line",        ID "X-Postern-Login: a\rb\r\n" FROM TO END MAIL, "CR"},
	{"no size",               ID FROM TO "X-Postern-End: all\r\n" MAIL, "size is wrong"},
	{"nothing to come",       ID FROM TO "X-Postern-End: 0\r\n", "size is wrong"},
	{"too much to come",      ID FROM TO "X-Postern-End: 99999999999\r\n" MAIL, "size is wrong"},
	{"longer than it says",   ID FROM TO END MAIL "\r\n", "as long"},
	{"shorter",               ID FROM TO END "a\r\n", "as long"},
	{"a bare LF",             ID FROM TO END "a\n\r\n\n", "CRLF"},
	{"a bare CR",             ID FROM TO END "a\rb\r\n", "CRLF"},
	{"a last line cut",       ID FROM TO END "a\r\nbc", "CRLF"},
};
/* clang-format on */

static void
what_is_taken(void **state UNUSED)
{
	struct buf scratch = BUF(4096);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct eml  m;
		const char *wrong = eml_parse(str_of(cases[i].text), &m, &scratch);

		if ((wrong == NULL) != (cases[i].wrong == NULL) ||
		    (wrong != NULL && str_find_str(str_of(wrong), str_of(cases[i].wrong)) < 0))
			check_text(cases[i].name, str_of(wrong), cases[i].wrong);
		envelope_free(&m.e);
	}
	buf_free(&scratch);
}

static void
written_and_read_back(void **state UNUSED)
{
	struct rcpt rcpts[] = {
		{.to = STR("c@d.example")},
		{.to = STR("\"a b\"@d.example"),
	         .orcpt = STR("rfc822;\"a <b>+c\"@d.example"),
	         .notify = NOTIFY_SUCCESS | NOTIFY_DELAY},
	};
	struct envelope e = {
		.from = STR("a@b.example"),
		.rcpts = rcpts,
		.n_rcpts = ARRAY_LEN(rcpts),
		.accepted_ms = 1763892431402,
		.login = STR("app\r\nX-Postern-To: <evil@x.example>"),
		.envid = STR("QQ=314"),
		.ret = RET_HDRS,
		.eightbit = true,
		.hops = 3,
		.msgid = STR("<1@b.example>"),
	};
	struct buf text = BUF(4096), scratch = BUF(4096);
	struct eml m;

	eml_begin(&text, STR("0000000000001"), &e);
	eml_rcpt(&text, &rcpts[0], 2);
	eml_rcpt(&text, &rcpts[1], 0);
	eml_end(&text, true, STR("for a look"), 5);
	buf_addz(&text, MAIL);
	assert_null(eml_parse(buf_str(&text), &m, &scratch));
	assert_int_equal(m.e.n_rcpts, 2);
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
		assert_true(str_eq(m.e.rcpts[i].to, rcpts[i].to));
		assert_true(str_eq(m.e.rcpts[i].orcpt, rcpts[i].orcpt));
		assert_int_equal(m.e.rcpts[i].notify, rcpts[i].notify);
	}
	check_text("login", m.e.login, "app??X-Postern-To: <evil@x.example>");
	check_text("envid", m.e.envid, "QQ=314");
	check_text("why", m.e.hold_why, "for a look");
	check_text("msgid", m.e.msgid, "<1@b.example>");
	check_text("body", m.body, MAIL);
	assert_true(m.e.hold && m.e.eightbit && !m.e.smtputf8);
	assert_int_equal(m.e.ret, RET_HDRS);
	assert_int_equal(m.e.hops, 3);
	assert_int_equal(m.e.accepted_ms, 1763892431402);
	envelope_free(&m.e);
	buf_free(&text);
	buf_free(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(written_and_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
