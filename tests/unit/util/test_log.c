/* SPDX-License-Identifier: ISC */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util/buf.h"
#include "lib/util/log.h"
#include "lib/util/time.h"
#include "tests/unit/check.h"

static struct buf caught = {.limit = 10000};

static int64_t
noon(void)
{
	return 1795428431402;
}

static void
catch_line(struct str line)
{
	buf_add(&caught, line);
}

static int
hook(void **state UNUSED)
{
	log_hook(catch_line);
	time_hook(noon, noon);
	buf_clear(&caught);
	log_setup("test", LOG_LOGFMT, false);
	return 0;
}

static int
unhook(void **state UNUSED)
{
	log_hook(NULL);
	time_hook(NULL, NULL);
	buf_free(&caught);
	return 0;
}

static void
fields_stand_in_the_order_given(void **state UNUSED)
{
	log_info(ev("accept"), kv("id", "7KQ2M"), kv("from", STR("a@b.c")), kv("rcpts", 3),
	         kv("size", (size_t)5123), kv_ms("delay", 300371));
	check_text("info", buf_str(&caught),
	           "ts=2026-11-23T10:07:11.402Z ev=accept id=7KQ2M from=a@b.c rcpts=3 size=5123 "
	           "delay=300.371 role=test");
}

static void
warnings_and_errors_say_so(void **state UNUSED)
{
	log_warn(ev("reject"), kv("code", 550));
	check_text("warn", buf_str(&caught),
	           "ts=2026-11-23T10:07:11.402Z ev=reject level=warn code=550 role=test");
	buf_clear(&caught);
	log_error(ev("stop"));
	check_text("error", buf_str(&caught),
	           "ts=2026-11-23T10:07:11.402Z ev=stop level=error role=test");
}

static void
debug_is_silent_unless_asked_for(void **state UNUSED)
{
	log_debug(ev("phase"));
	assert_int_equal(caught.n, 0);
	log_setup("test", LOG_LOGFMT, true);
	log_debug(ev("phase"));
	check_text("debug", buf_str(&caught), "ts=2026-11-23T10:07:11.402Z ev=phase role=test");
}

/* clang-format off */
static const struct {
	const char *value, *field;
} values[] = {
	{"plain",               "v=plain"},
	{"a\\b",                "v=a\\b"},
	{"two words",           "v=\"two words\""},
	{"a=b",                 "v=\"a=b\""},
	{"say \"hi\"",          "v=\"say \\\"hi\\\"\""},
	{"x\r\nts=1 ev=accept", "v=\"x\\r\\nts=1 ev=accept\""},
	{"\x1b[31m",            "v=\"\\u001b[31m\""},
	{"\x7f",                "v=\"\\u007f\""},
	{"j\xc3\xb6rg",         "v=\"j\xc3\xb6rg\""},
	{"j\xf6rg",             "v=\"j\xef\xbf\xbdrg\""},
};
/* clang-format on */

static void
no_value_can_forge_a_line(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct str line;

		buf_clear(&caught);
		log_info(ev("x"), kv("v", values[i].value));
		line = str_skip(buf_str(&caught), strlen("ts=2026-11-23T10:07:11.402Z ev=x "));
		line.n -= strlen(" role=test");
		check_text(values[i].value, line, values[i].field);
	}
}

static void
empty_text_is_left_out(void **state UNUSED)
{
	log_info(ev("x"), kv("a", ""), kv("b", STR_NONE), kv("c", (const char *)NULL), kv("d", 0));
	check_text("empty", buf_str(&caught), "ts=2026-11-23T10:07:11.402Z ev=x d=0 role=test");
}

static void
json_has_the_same_keys(void **state UNUSED)
{
	log_setup("test", LOG_JSON, false);
	log_warn(ev("accept"), kv("from", "a b"), kv("rcpts", 3), kv("max", UINT64_MAX),
	         kv_ms("delay", 42));
	check_text(
		"json", buf_str(&caught),
		"{\"ts\":\"2026-11-23T10:07:11.402Z\",\"ev\":\"accept\",\"level\":\"warn\","
		"\"from\":\"a b\",\"rcpts\":3,\"max\":9223372036854775807,\"delay\":0.042,\"role\":\"test\"}");
}

static void
lines_have_a_limit_and_keep_their_ends(void **state UNUSED)
{
	char       big[5000];
	struct str blanks = {big, sizeof big};

	memset(big, '\n', sizeof big);
	for (int json = 0; json < 2; json++) {
		struct str line;

		log_setup("test", json ? LOG_JSON : LOG_LOGFMT, false);
		buf_clear(&caught);
		log_info(ev("x"), kv("a", blanks), kv("b", blanks), kv("c", 7));
		line = buf_str(&caught);
		assert_true(line.n < 4096);
		assert_true(str_find_str(line, json ? STR(",\"c\":7,\"cut\":\"yes\"")
		                                    : STR(" c=7 cut=yes")) > 0);
		assert_true(str_ends(line, json ? STR("\"role\":\"test\"}") : STR(" role=test")));
	}
}

/* ---- lines that wait for each other: a datagram is a write() ---- */

static unsigned calls;

static void
soon(void *arg)
{
	assert_ptr_equal(arg, &calls);
	calls++;
}

/* Lines of the next write, 0 if there was none. */
static unsigned
lines_written(int fd)
{
	char     text[8192];
	ssize_t  n = recv(fd, text, sizeof text, MSG_DONTWAIT);
	unsigned lines = 0;

	assert_true(n <= 4096);
	for (ssize_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_true(n <= 0 || text[n - 1] == '\n');
	return lines;
}

static void
lines_of_a_turn_go_out_together(void **state UNUSED)
{
	int      pair[2], before = dup(STDERR_FILENO);
	unsigned n, all = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	assert_int_equal(dup2(pair[0], STDERR_FILENO), STDERR_FILENO);
	log_hook(NULL);
	log_info(ev("a"));
	assert_int_equal(lines_written(pair[1]), 1);
	log_gather(soon, &calls);
	log_info(ev("a"));
	log_info(ev("b"));
	assert_int_equal(calls, 1);
	assert_int_equal(lines_written(pair[1]), 0);
	log_send();
	assert_int_equal(lines_written(pair[1]), 2);
	log_send(); /* nothing waits: nothing is written */
	assert_int_equal(lines_written(pair[1]), 0);
	log_info(ev("c"));
	log_error(ev("d")); /* does not wait, and does not overtake */
	assert_int_equal(lines_written(pair[1]), 2);
	for (unsigned i = 0; i < 100; i++)
		log_info(ev("e"), kv("i", i));
	while ((n = lines_written(pair[1])) > 0)
		all += n;
	assert_in_range(all, 50, 99); /* what did not fit went ahead */
	log_send();
	assert_int_equal(all + lines_written(pair[1]), 100);
	dup2(before, STDERR_FILENO);
	close(before);
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fields_stand_in_the_order_given, hook, unhook),
		cmocka_unit_test_setup_teardown(warnings_and_errors_say_so, hook, unhook),
		cmocka_unit_test_setup_teardown(debug_is_silent_unless_asked_for, hook, unhook),
		cmocka_unit_test_setup_teardown(no_value_can_forge_a_line, hook, unhook),
		cmocka_unit_test_setup_teardown(empty_text_is_left_out, hook, unhook),
		cmocka_unit_test_setup_teardown(json_has_the_same_keys, hook, unhook),
		cmocka_unit_test(lines_of_a_turn_go_out_together),
		cmocka_unit_test_setup_teardown(lines_have_a_limit_and_keep_their_ends, hook,
	                                        unhook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
