/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/replies.h"

/* Lines are separated by "|"; `state` is what the last one gives. */
static const struct {
	const char        *name;
	const char        *lines;
	enum replies_state state;
	const char        *reply; /* as reply_format() writes it */
} rows[] = {
	{"one line", "250 2.1.0 fine", REPLIES_WHOLE, "250 2.1.0 fine"},
	{"code alone", "250", REPLIES_WHOLE, "250"},
	{"code and blank", "250 ", REPLIES_WHOLE, "250"},
	{"no enhanced status", "550 no such user", REPLIES_WHOLE, "550 no such user"},
	{"354 is a reply", "354 go on", REPLIES_WHOLE, "354 go on"},
	{"lines are joined", "550-first|550-second|550 third", REPLIES_WHOLE, "550 first second third"},
	{"status on each line is kept once", "550-5.7.26 not|550-5.7.26 signed|550 5.7.26 x", REPLIES_WHOLE,
	 "550 5.7.26 not signed x"},
	{"another status on a later line stays", "550-5.7.1 a|550 5.7.2 b", REPLIES_WHOLE, "550 5.7.1 a 5.7.2 b"},
	{"empty lines add nothing", "250-|250-a|250 ", REPLIES_WHOLE, "250 a"},
	{"not over yet", "250-a|250-b", REPLIES_MORE, NULL},
	{"status of another class is text", "250 5.0.0 odd", REPLIES_WHOLE, "250 5.0.0 odd"},
	{"a tab behind the code", "250\tx", REPLIES_BROKEN, NULL},
	{"codes differ", "250-a|550 b", REPLIES_BROKEN, NULL},
	{"no code", "hello there", REPLIES_BROKEN, NULL},
	{"empty line", "", REPLIES_BROKEN, NULL},
	{"two digits", "25 x", REPLIES_BROKEN, NULL},
	{"four digits", "2500 x", REPLIES_BROKEN, NULL},
	{"below 200", "100 x", REPLIES_BROKEN, NULL},
	{"over 599", "600 x", REPLIES_BROKEN, NULL},
	{"negative", "-25 x", REPLIES_BROKEN, NULL},
	{"not ASCII digits", "\xd9\xa2\xd9\xa5\xd9\xa0", REPLIES_BROKEN, NULL},
	{"an HTTP server", "HTTP/1.1 400 Bad Request", REPLIES_BROKEN, NULL},
};

static enum replies_state
feed(struct replies *r, const char *lines, struct reply *reply)
{
	struct str         rest = str_of(lines), line = STR_NONE;
	enum replies_state state = REPLIES_MORE;

	if (rest.n == 0)
		return replies_line(r, rest, reply);
	while (state == REPLIES_MORE && str_cut(&rest, '|', &line))
		state = replies_line(r, line, reply);
	return state;
}

static void
lines_become_replies(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct replies r;
		struct reply   reply = {0};
		struct buf     got = BUF(2000);

		replies_init(&r);
		if (feed(&r, rows[i].lines, &reply) != rows[i].state)
			fail_msg("%s: wrong state", rows[i].name);
		if (rows[i].reply != NULL) {
			reply_format(&got, reply);
			if (!str_eq(buf_str(&got), str_of(rows[i].reply)))
				fail_msg("%s: %s", rows[i].name, buf_z(&got));
		}
		buf_free(&got);
		replies_free(&r);
	}
}

static void
endless_replies_break(void **unused)
{
	struct replies r;
	struct reply   reply;
	unsigned       n = 0;

	(void)unused;
	replies_init(&r);
	while (replies_line(&r, STR("250-more"), &reply) == REPLIES_MORE)
		n++;
	assert_int_equal(n, REPLY_LINES_MAX);
	replies_free(&r);
}

static void
long_text_is_cut_and_the_rest_still_read(void **unused)
{
	static const char line[REPLY_LINE_MAX] = "250-";
	struct replies    r;
	struct reply      reply;

	(void)unused;
	replies_init(&r);
	for (int i = 0; i < 50; i++)
		assert_int_equal(replies_line(&r, (struct str){line, sizeof line}, &reply), REPLIES_MORE);
	assert_int_equal(replies_line(&r, STR("250 end"), &reply), REPLIES_WHOLE);
	assert_int_equal(reply.code, 250);
	assert_true(reply.text.n <= REPLY_TEXT_MAX);
	assert_true(r.raw.n <= REPLY_KEPT_MAX);
	replies_free(&r);
}

static void
one_reader_serves_one_reply_after_another(void **unused)
{
	struct replies r;
	struct reply   reply = {0};

	(void)unused;
	replies_init(&r);
	assert_int_equal(feed(&r, "250-a|250 b", &reply), REPLIES_WHOLE);
	assert_int_equal(feed(&r, "354 c", &reply), REPLIES_WHOLE);
	assert_int_equal(reply.code, 354);
	assert_true(str_eq(reply.text, STR("c")));
	assert_true(str_eq(replies_raw(&r), STR("c")));
	replies_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_become_replies),
		cmocka_unit_test(endless_replies_break),
		cmocka_unit_test(long_text_is_cut_and_the_rest_still_read),
		cmocka_unit_test(one_reader_serves_one_reply_after_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
