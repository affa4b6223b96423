/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/hello.h"

static void
a_usual_answer_is_understood(void **state)
{
	struct hello h;

	(void)state;
	hello_parse(&h, STR("mx.example.com at your service\nPIPELINING\nsize 36700160\nStartTLS\n8BITMIME\n"
	                    "SMTPUTF8\nDSN\nAUTH LOGIN PLAIN XOAUTH2\nENHANCEDSTATUSCODES\nCHUNKING\n"
	                    "LIMITS RCPTMAX=50 MAILMAX=7 RCPTDOMAINMAX=1"));
	assert_true(h.pipelining && h.starttls && h.eightbit && h.smtputf8 && h.dsn && h.size);
	assert_true(h.auth_login && h.auth_plain && h.auth_xoauth2);
	assert_int_equal(h.size_max, 36700160);
	assert_int_equal(h.rcpt_max, 50);
	assert_int_equal(h.mail_max, 7);
}

static void
the_first_line_offers_nothing(void **state)
{
	struct hello h;

	(void)state;
	hello_parse(&h, STR("PIPELINING"));
	assert_false(h.pipelining);
	hello_parse(&h, STR(""));
	assert_false(h.pipelining);
}

static void
odd_lines_do_no_harm(void **state)
{
	struct hello h;

	(void)state;
	hello_parse(&h, STR("x\n\n \nSIZE\nAUTH\nLIMITS =3 RCPTMAX RCPTMAX= RCPTMAX=0 RCPTMAX=99999999999\n"
	                    "AUTH=PLAIN\nPIPELININGX\nXPIPELINING"));
	assert_true(h.size);
	assert_int_equal(h.size_max, 0);
	assert_int_equal(h.rcpt_max, 0);
	assert_true(h.auth_plain);
	assert_false(h.pipelining);
	hello_parse(&h, STR("x\nSIZE 99999999999999999999999999"));
	assert_int_equal(h.size_max, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_usual_answer_is_understood),
		cmocka_unit_test(the_first_line_offers_nothing),
		cmocka_unit_test(odd_lines_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
