/* SPDX-License-Identifier: ISC */
#include "lib/net/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "tests/unit/net/ends.h"

enum { MANY = 40 };

struct fixture {
	struct loop     *loop;
	struct listener *ls;
	struct addr      at;
	int              clients[MANY], accepted[MANY];
	size_t           n_clients, n_accepted;
	bool             close_first;
};

static size_t complaints;

static void
count_line(struct str line)
{
	complaints += str_find_str(line, STR("accept-rest")) >= 0;
}

static void
accepted(void *arg, int fd, struct addr peer)
{
	struct fixture *f = arg;

	assert_true(addr_is_loopback(peer));
	assert_true(peer.port != 0);
	f->accepted[f->n_accepted++] = fd;
	if (f->close_first) {
		listener_close(f->ls);
		f->ls = NULL;
	}
}

static int
setup(void **state)
{
	struct fixture *f = mem_zero(sizeof *f);

	f->loop = loop_create();
	f->ls = listener_open(f->loop, listen_anywhere(&f->at), accepted, f);
	complaints = 0;
	log_hook(count_line);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	listener_close(f->ls);
	for (size_t i = 0; i < f->n_clients; i++)
		close(f->clients[i]);
	for (size_t i = 0; i < f->n_accepted; i++)
		close(f->accepted[i]);
	loop_destroy(f->loop);
	log_hook(NULL);
	free(f);
	return 0;
}

static void
dial(struct fixture *f, size_t n)
{
	struct sockaddr_storage ss;
	socklen_t               size = addr_to_sockaddr(f->at, &ss);

	while (n-- > 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_true(fd >= 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&ss, size), 0);
		f->clients[f->n_clients++] = fd;
	}
}

/* However slow the machine is; and then nobody comes behind. */
static void
wait_accepted(struct fixture *f, size_t n)
{
	for (int i = 0; i < 10000 && f->n_accepted < n; i++)
		loop_run_ms(f->loop, 10);
	loop_run_ms(f->loop, 10);
	assert_int_equal(f->n_accepted, n);
}

static void
all_that_come_are_accepted(void **state)
{
	struct fixture *f = *state;

	dial(f, MANY);
	wait_accepted(f, MANY);
}

static void
a_paused_listener_accepts_later(void **state)
{
	struct fixture *f = *state;

	listener_pause(f->ls);
	dial(f, 2);
	loop_run_ms(f->loop, 10);
	assert_int_equal(f->n_accepted, 0);
	listener_resume(f->ls);
	wait_accepted(f, 2);
}

static void
a_listener_may_be_closed_by_its_function(void **state)
{
	struct fixture *f = *state;

	f->close_first = true;
	dial(f, 3);
	wait_accepted(f, 1);
}

/* It rests, says so once, does not spin, and goes on. */
static void
running_out_of_descriptors_is_survived(void **state)
{
	struct fixture *f = *state;
	struct rlimit   usual, few;
	int             highest;

	dial(f, 3);
	highest = f->clients[2];
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = (struct rlimit){(rlim_t)highest + 1, usual.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	loop_run_ms(f->loop, 250);
	assert_int_equal(f->n_accepted, 0);
	assert_int_equal(complaints, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	wait_accepted(f, 3);
}

static void
a_taken_address_is_explained(void **state)
{
	struct fixture *f = *state;
	struct buf      why = BUF(256), want = BUF(256);

	assert_int_equal(listener_bind(f->at, &why), -1);
	buf_addf(&want, "cannot listen on 127.0.0.1:%u: Address already in use",
	         (unsigned)f->at.port);
	assert_string_equal(buf_z(&why), buf_z(&want));
	buf_free(&why);
	buf_free(&want);
}

static void
both_families_can_have_one_port(void **state)
{
	struct addr             any4 = {.family = 4}, any6 = {.family = 6};
	struct buf              why = BUF(256);
	int                     fd4 = listener_bind(any4, &why), fd6;
	struct sockaddr_storage ss;
	socklen_t               size = sizeof ss;
	struct addr             bound;

	(void)state;
	assert_true(fd4 >= 0);
	getsockname(fd4, (struct sockaddr *)&ss, &size);
	assert_true(addr_from_sockaddr((struct sockaddr *)&ss, &bound));
	any6.port = bound.port;
	fd6 = listener_bind(any6, &why);
	close(fd4);
	buf_free(&why);
	if (fd6 < 0)
		skip(); /* a machine without IPv6 */
	close(fd6);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_that_come_are_accepted),
		T(a_paused_listener_accepts_later),
		T(a_listener_may_be_closed_by_its_function),
		T(running_out_of_descriptors_is_survived),
		T(a_taken_address_is_explained),
		T(both_families_can_have_one_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
