/* SPDX-License-Identifier: ISC */
#include "auth/saslauthd.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util/buf.h"
#include "lib/util/log.h"

static char path[64];
static int listening;

/* Serves one connection: reads the question, answers what the row says. */
struct row {
	const char *name;
	struct str answer; /* with its count */
	enum password_result then;
};

static void *
serve(void *arg)
{
	const struct row *r = arg;
	int fd = accept(listening, NULL, NULL);
	char question[256];

	if (read(fd, question, sizeof question) > 0)
		(void)!write(fd, r->answer.p, r->answer.n);
	close(fd);
	return NULL;
}

static void
answers_become_results(void **state UNUSED)
{
	static const struct row rows[] = {
		{"ok", {"\0\2OK", 4}, PASSWORD_OK},
		{"ok with text", {"\0\6OK yes", 8}, PASSWORD_OK},
		{"no", {"\0\2NO", 4}, PASSWORD_WRONG},
		{"no with reason", {"\0\7NO nope", 9}, PASSWORD_WRONG},
		{"neither", {"\0\2??", 4}, PASSWORD_UNAVAILABLE},
		{"count too large", {"\xff\xffOK", 4}, PASSWORD_UNAVAILABLE},
		{"cut", {"\0\5OK", 4}, PASSWORD_UNAVAILABLE},
		{"nothing", {"", 0}, PASSWORD_UNAVAILABLE},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row row = rows[i];
		pthread_t server;

		assert_int_equal(pthread_create(&server, NULL, serve, &row), 0);
		if (saslauthd_check(path, STR("app1"), STR("secret")) != rows[i].then)
			fail_msg("%s", rows[i].name);
		pthread_join(server, NULL);
	}
}

static void
no_socket_is_unavailable(void **state UNUSED)
{
	assert_int_equal(saslauthd_check("/nonexistent/mux", STR("a"), STR("b")), PASSWORD_UNAVAILABLE);
}

static void
quiet(struct str line UNUSED)
{
}

static int
set_up(void **state UNUSED)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	static char dir[] = "/tmp/test-saslauthd-XXXXXX";

	log_hook(quiet);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/mux", dir);
	memcpy(at.sun_path, path, strlen(path));
	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listening, (const struct sockaddr *)&at, sizeof at), 0);
	return listen(listening, 4);
}

static int
tear_down(void **state UNUSED)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_become_results),
		cmocka_unit_test(no_socket_is_unavailable),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
