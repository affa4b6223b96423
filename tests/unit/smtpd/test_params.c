/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtpd/params.h"

static const struct {
	const char *text;
	unsigned    code;
	uint64_t    size;
	bool        eightbit, smtputf8;
	enum ret    ret;
	const char *envid;
} mails[] = {
	{"", 250, 0, false, false, RET_NONE, ""},
	{" ", 250, 0, false, false, RET_NONE, ""},
	{" SIZE=1234", 250, 1234, false, false, RET_NONE, ""},
	{" size=1234 body=8bitmime", 250, 1234, true, false, RET_NONE, ""},
	{" BODY=7BIT", 250, 0, false, false, RET_NONE, ""},
	{" BODY=BINARYMIME", 501, 0, false, false, RET_NONE, ""},
	{" SMTPUTF8", 250, 0, false, true, RET_NONE, ""},
	{" SMTPUTF8=1", 501, 0, false, false, RET_NONE, ""},
	{" RET=FULL", 250, 0, false, false, RET_FULL, ""},
	{" RET=hdrs ENVID=QQ314159", 250, 0, false, false, RET_HDRS, "QQ314159"},
	{" RET=SOME", 501, 0, false, false, RET_NONE, ""},
	{" ENVID=a+2Bb", 250, 0, false, false, RET_NONE, "a+b"},
	{" ENVID=a+2bb", 250, 0, false, false, RET_NONE, "a+b"},
	{" ENVID=a+0D+0Afrom:+20evil", 501, 0, false, false, RET_NONE, ""},
	{" ENVID=a+00b", 501, 0, false, false, RET_NONE, ""},
	{" ENVID=+7F", 501, 0, false, false, RET_NONE, ""},
	{" ENVID=", 501, 0, false, false, RET_NONE, ""},
	{" ENVID", 501, 0, false, false, RET_NONE, ""},
	{" ENVID=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 501,
	 0, false, false, RET_NONE, ""},
	{" AUTH=<>", 250, 0, false, false, RET_NONE, ""},
	{" AUTH=ann@example.com", 250, 0, false, false, RET_NONE, ""},
	{" AUTH=nobody", 501, 0, false, false, RET_NONE, ""},
	{" SIZE=", 501, 0, false, false, RET_NONE, ""},
	{" SIZE=-1", 501, 0, false, false, RET_NONE, ""},
	{" SIZE=12x", 501, 0, false, false, RET_NONE, ""},
	{" SIZE=99999999999999999999999", 501, 0, false, false, RET_NONE, ""},
	{" SIZE=1 SIZE=2", 501, 0, false, false, RET_NONE, ""},
	{" NOTIFY=NEVER", 555, 0, false, false, RET_NONE, ""},
	{" FOO", 555, 0, false, false, RET_NONE, ""},
	{" FOO=bar", 555, 0, false, false, RET_NONE, ""},
	{" =bar", 555, 0, false, false, RET_NONE, ""},
	{"SIZE=12", 501, 0, false, false, RET_NONE, ""},
	{"x SIZE=12", 501, 0, false, false, RET_NONE, ""},
	{"  SIZE=12   RET=FULL ", 250, 12, false, false, RET_FULL, ""},
};

static const struct {
	const char *text;
	unsigned    code, notify;
	const char *orcpt;
} rcpts[] = {
	{"", 250, 0, ""},
	{" NOTIFY=NEVER", 250, NOTIFY_NEVER, ""},
	{" NOTIFY=SUCCESS,FAILURE,DELAY", 250, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, ""},
	{" notify=delay", 250, NOTIFY_DELAY, ""},
	{" NOTIFY=NEVER,FAILURE", 501, 0, ""},
	{" NOTIFY=SOMETIMES", 501, 0, ""},
	{" NOTIFY=", 501, 0, ""},
	{" ORCPT=rfc822;ann@example.com", 250, 0, "rfc822;ann@example.com"},
	{" ORCPT=rfc822;ann+2Btag@example.com NOTIFY=FAILURE", 250, NOTIFY_FAILURE, "rfc822;ann+tag@example.com"},
	{" ORCPT=utf-8;x", 250, 0, "utf-8;x"},
	{" ORCPT=ann@example.com", 501, 0, ""},
	{" ORCPT=;ann@example.com", 501, 0, ""},
	{" ORCPT=rfc822;", 501, 0, ""},
	{" ORCPT=rf c822;x", 501, 0, ""},
	{" ORCPT=rfc\x01;x", 501, 0, ""},
	{" ORCPT=rfc822;a+0Ab", 501, 0, ""},
	{" ORCPT=rfc822;a+b", 501, 0, ""},
	{" ORCPT=rfc822;a ORCPT=rfc822;b", 501, 0, ""},
	{" SIZE=1", 555, 0, ""},
};

static void
mail_takes_what_the_table_says(void **state)
{
	struct buf scratch = BUF(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
		struct mail_params p;

		print_message("# MAIL%s\n", mails[i].text);
		assert_int_equal(params_mail(str_of(mails[i].text), &p, &scratch).code, mails[i].code);
		if (mails[i].code != 250)
			continue;
		assert_int_equal(p.size, mails[i].size);
		assert_int_equal(p.eightbit, mails[i].eightbit);
		assert_int_equal(p.smtputf8, mails[i].smtputf8);
		assert_int_equal(p.ret, mails[i].ret);
		assert_true(str_eq(p.envid, str_of(mails[i].envid)));
	}
	buf_free(&scratch);
}

static void
rcpt_takes_what_the_table_says(void **state)
{
	struct buf scratch = BUF(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rcpts); i++) {
		struct rcpt_params p;

		print_message("# RCPT%s\n", rcpts[i].text);
		assert_int_equal(params_rcpt(str_of(rcpts[i].text), &p, &scratch).code, rcpts[i].code);
		if (rcpts[i].code != 250)
			continue;
		assert_int_equal(p.notify, rcpts[i].notify);
		assert_true(str_eq(p.orcpt, str_of(rcpts[i].orcpt)));
	}
	buf_free(&scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_takes_what_the_table_says),
		cmocka_unit_test(rcpt_takes_what_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
