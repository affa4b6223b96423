/* SPDX-License-Identifier: ISC */#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "dkim/fields.h"
#include "tests/unit/dkim/verify.h"

#define ALWAYS_LEFT "reply-to:mime-version:content-type:content-transfer-encoding"

static const struct {
	const char *head, *names;
} rows[] = {
	{"From: a\r\nTo: b\r\nSubject: c\r\nDate: d\r\nMessage-ID: e\r\n",
         "from:from:to:to:cc:subject:subject:date:date:message-id:message-id:" ALWAYS_LEFT},
	{"", "from:to:cc:subject:date:message-id:" ALWAYS_LEFT},
	{"To: a\r\nto: b\r\nTO: c\r\n", "from:to:to:to:to:cc:subject:date:message-id:" ALWAYS_LEFT},
	{"Received: x\r\nReturn-Path: x\r\nX-A: x\r\nDKIM-Signature: x\r\nARC-Seal: x\r\nBcc: x\r\nComments: x\r\n"
         "Keywords: x\r\nAuthentication-Results: x\r\n",
         "from:to:cc:subject:date:message-id:" ALWAYS_LEFT},
	{"Sender: a\r\nList-Id: b\r\nReferences: c\r\nIn-Reply-To: d\r\n",
         "from:to:cc:subject:date:message-id:" ALWAYS_LEFT
         ":sender:in-reply-to:references:list-id"},
	{"List-Unsubscribe: a\r\nList-Unsubscribe-Post: b\r\n",
         "from:to:cc:subject:date:message-id:" ALWAYS_LEFT
         ":list-unsubscribe:list-unsubscribe:list-unsubscribe-post:list-unsubscribe-post"},
	{"Received: x\r\nResent-From: a\r\nResent-Date: b\r\nFrom: c\r\n",
         "from:from:to:cc:subject:date:message-id:" ALWAYS_LEFT ":resent-from:resent-date"},
	{"From: c\r\nResent-From: a\r\n", "from:from:to:cc:subject:date:message-id:" ALWAYS_LEFT},
	{"From : a\r\nno field\r\nFeedback-ID: f\r\nAuto-Submitted: g\r\nOrganization: h\r\nContent-ID: i\r\n",
         "from:from:to:cc:subject:date:message-id:" ALWAYS_LEFT
         ":content-id:feedback-id:auto-submitted:organization"},
};

static void
names_are_chosen(void **state)
{
	struct buf names = BUF(4096), data = BUF(4096), want = BUF(4096);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].head);
		buf_clear(&names);
		buf_clear(&data);
		buf_clear(&want);
		fields_select(str_of(rows[i].head), CANON_RELAXED, &names, &data);
		assert_string_equal(buf_z(&names), rows[i].names);
		verify_headers(&want, str_of(rows[i].head), buf_str(&names), CANON_RELAXED);
		assert_string_equal(buf_z(&data), buf_z(&want));
	}
	buf_free(&names);
	buf_free(&data);
	buf_free(&want);
}

static void
many_instances_are_covered_from_below(void **state)
{
	struct buf head = BUF(1 << 20), names = BUF(1 << 16), data = BUF(1 << 16),
		   want = BUF(1 << 16);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		buf_addf(&head, "Reply-To: %u\r\n", i);
	fields_select(buf_str(&head), CANON_SIMPLE, &names, &data);
	assert_true(str_starts(buf_str(&data), STR("Reply-To: 999\r\nReply-To: 998\r\n")));
	assert_true(str_ends(buf_str(&data), STR("Reply-To: 968\r\n")));
	verify_headers(&want, buf_str(&head), buf_str(&names), CANON_SIMPLE);
	assert_string_equal(buf_z(&data), buf_z(&want));
	buf_free(&head);
	buf_free(&names);
	buf_free(&data);
	buf_free(&want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_chosen),
		cmocka_unit_test(many_instances_are_covered_from_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
