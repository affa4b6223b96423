/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/proc/notify.h"

/* systemd's side; `name` begins with "/" or "@". */
static int
listen_at(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(at.sun_path, name, strlen(name));
	if (*name == '@')
		at.sun_path[0] = '\0';
	else
		unlink(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
	                 0);
	return fd;
}

static void
expect(int fd, const char *text)
{
	char    got[1000];
	ssize_t n = recv(fd, got, sizeof got - 1, 0);

	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, text);
}

static void
lines_reach_systemd(void **state)
{
	char name[64];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(name, sizeof name, "%s%d", i == 0 ? "/tmp/test_notify-" : "@test_notify-",
		         (int)getpid());
		fd = listen_at(name);
		setenv("NOTIFY_SOCKET", name, 1);
		notify_send(STR("READY=1\nSTATUS=live\n"));
		expect(fd, "READY=1\nSTATUS=live\n");
		close(fd);
		if (i == 0)
			unlink(name);
	}
}

static void
reloading_has_the_time(void **state)
{
	char    name[64], got[1000];
	int     fd;
	ssize_t n;

	(void)state;
	snprintf(name, sizeof name, "@test_notify2-%d", (int)getpid());
	fd = listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_reloading();
	n = recv(fd, got, sizeof got - 1, 0);
	assert_true(n > 0);
	got[n] = '\0';
	assert_int_equal(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_true(strtoll(got + 27, NULL, 10) > 0);
	close(fd);
}

#define LONG "/a/path/that/is/longer/than/any/socket/address/can/be"

static void
without_systemd_nothing_happens(void **state)
{
	static const char too_long[] = LONG LONG LONG;
	static const char *const names[] = {"", "x", "relative", "/nowhere/at/all", too_long};

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_send(STR("READY=1\n"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_send(STR("READY=1\n"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_reach_systemd),
		cmocka_unit_test(reloading_has_the_time),
		cmocka_unit_test(without_systemd_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
