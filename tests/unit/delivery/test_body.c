/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "delivery/body.h"
#include "lib/net/loop.h"
#include "lib/net/stream.h"
#include "lib/util/random.h"
#include "tests/fake/fake.h"

static void
ignore(void *arg, enum stream_event event)
{
	(void)arg;
	(void)event;
}

/* What should go out, written down octet by octet. */
static void
expect(struct buf *out, struct str signature, struct str message)
{
	buf_add(out, signature);
	for (size_t i = 0; i < message.n; i++) {
		bool begins = i == 0 || (i >= 2 && message.p[i - 2] == '\r' && message.p[i - 1] == '\n');

		if (begins && message.p[i] == '.')
			buf_addc(out, '.');
		buf_addc(out, message.p[i]);
	}
	if (message.n > 0 && !str_ends(message, STR("\r\n")))
		buf_addz(out, "\r\n");
	buf_addz(out, ".\r\n");
}

static void
send_and_compare(struct body *b, struct str signature, struct str message)
{
	struct loop      *l = loop_create();
	struct addr       to = {.family = 4};
	struct stream    *s = stream_connect(l, to, (struct addr){0}, ignore, NULL);
	struct fake_peer *p;
	struct buf        want = BUF(1000000);
	unsigned          pieces = 1;

	fake_run(l);
	p = fake_peer_at(l, 0);
	fake_connect(p);
	fake_run(l);
	while (body_write(b, s) == BODY_MORE)
		pieces++;
	fake_run(l);
	expect(&want, signature, message);
	assert_int_equal(fake_got(p).n, want.n);
	assert_memory_equal(fake_got(p).p, want.p, want.n);
	assert_true(pieces <= message.n / BODY_PIECE + 1);
	buf_free(&want);
	body_free(b);
	stream_close(s);
	loop_destroy(l);
}

/* The same from memory and from a descriptor. */
static void
check(struct str message)
{
	struct str  signature = STR("DKIM-Signature: x\r\n");
	struct body b;
	int         fd = memfd_create("message", MFD_CLOEXEC);

	assert_int_equal(write(fd, message.p, message.n), message.n);
	body_init(&b, signature, message);
	send_and_compare(&b, signature, message);
	body_init_fd(&b, signature, fd, message.n);
	send_and_compare(&b, signature, message);
	close(fd);
}

static void
dots_are_stuffed(void **state)
{
	static const char *const messages[] = {
		"", ".", ".\r\n", "..\r\n", "\r\n.\r\n", "a\r\n.b\r\n..c\r\n", "a.\r\n.\r\n.\r\n.\r\n", "x\r\n.",
		"no end", ".\r\n\r\n.\r\n", "\r\n.\r\n.\r\n..\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		check(str_of(messages[i]));
}

/* All ways in which "CR LF ." can lie across the edge of a piece. */
static void
edges_of_pieces_change_nothing(void **state)
{
	static char text[BODY_PIECE + 16];

	(void)state;
	for (size_t at = BODY_PIECE - 5; at <= BODY_PIECE + 2; at++) {
		memset(text, 'x', sizeof text);
		memcpy(text + at, "\r\n.", 3);
		memcpy(text + sizeof text - 2, "\r\n", 2);
		check((struct str){text, sizeof text});
	}
}

static void
any_mixture_of_dots_and_line_ends(void **state)
{
	static char       text[3 * BODY_PIECE];
	static const char kinds[] = "..\r\nx";

	(void)state;
	random_hook(11);
	for (int round = 0; round < 20; round++) {
		size_t n = random_below(sizeof text - 2) + 1;

		for (size_t i = 0; i < n; i++) {
			text[i] = kinds[random_below(sizeof kinds - 1)];
			if (text[i] == '\r')
				text[++i] = '\n';
		}
		check((struct str){text, n});
	}
	random_hook(0);
}

static void
a_file_that_is_shorter_than_it_should_be(void **state)
{
	struct loop   *l = loop_create();
	struct addr    to = {.family = 4};
	struct stream *s = stream_connect(l, to, (struct addr){0}, ignore, NULL);
	struct body    b;
	int            fd = memfd_create("message", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, "x\r\n", 3), 3);
	body_init_fd(&b, STR_NONE, fd, 4);
	assert_int_equal(body_write(&b, s), BODY_MORE);
	assert_int_equal(body_write(&b, s), BODY_UNREADABLE);
	body_free(&b);
	stream_close(s);
	loop_destroy(l);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_are_stuffed),
		cmocka_unit_test(edges_of_pieces_change_nothing),
		cmocka_unit_test(any_mixture_of_dots_and_line_ends),
		cmocka_unit_test(a_file_that_is_shorter_than_it_should_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
