/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"

enum { TURN_MS = 30 * 1000, LOG_MAX = 64 * 1024 };

/* Two roles in one process; what one hears is written into a text. */
struct side {
	struct channel *channel;
	struct buf      heard;
	unsigned        messages;
	size_t          octets;
	bool            close_next;
	const char     *gone;
	unsigned        until; /* stop the loop after this many messages */
	ino_t           last_inode;
};

static struct loop  *loop;
static struct timer *limit;
static struct side   queue, smtpd;
static int           raw; /* the other end, when a test plays a hostile smtpd */

static void
too_late(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct side *s = arg;
	struct stat  st;

	s->messages++;
	if (s->heard.n < LOG_MAX / 2)
		buf_addf(&s->heard, "%s ", wire_name(id));
	if (id == WIRE_PUT) {
		const struct wire_put *put = msg;

		s->octets += put->body.n;
	}
	if (fd >= 0) {
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		s->last_inode = st.st_ino;
		close(fd);
		buf_addz(&s->heard, "+fd ");
	}
	if (s->close_next) {
		channel_close(s->channel);
		s->channel = NULL;
		loop_stop(loop);
	}
	if (s->messages == s->until)
		loop_stop(loop);
}

static void
gone(void *arg, const char *why)
{
	struct side *s = arg;

	s->gone = why;
	channel_close(s->channel);
	s->channel = NULL;
	loop_stop(loop);
}

static const struct channel_hooks hooks = {message, gone};

static int
set_up(void **state)
{
	int ends[2];

	(void)state;
	loop = loop_create();
	limit = timer_create_on(loop, too_late, NULL);
	queue = smtpd = (struct side){.until = 0};
	buf_init(&queue.heard, LOG_MAX);
	buf_init(&smtpd.heard, LOG_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	queue.channel = channel_open(loop, ends[0], ROLE_QUEUE, ROLE_SMTPD, &hooks, &queue);
	smtpd.channel = NULL;
	raw = ends[1];
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	channel_close(queue.channel);
	channel_close(smtpd.channel);
	if (raw >= 0)
		close(raw);
	buf_free(&queue.heard);
	buf_free(&smtpd.heard);
	timer_destroy(limit);
	loop_destroy(loop);
	return 0;
}

static void
open_smtpd(void)
{
	smtpd.channel = channel_open(loop, raw, ROLE_SMTPD, ROLE_QUEUE, &hooks, &smtpd);
	raw = -1;
}

static void
turn(int64_t ms)
{
	timer_set(limit, ms);
	loop_run(loop);
	timer_clear(limit);
}

static int
temporary_file(void)
{
	char path[] = "/tmp/test_channel-XXXXXX";
	int  fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void
frames_arrive_in_order_with_their_descriptors(void **state)
{
	struct stat st;
	int         fd;

	(void)state;
	open_smtpd();
	fd = temporary_file();
	assert_int_equal(fstat(fd, &st), 0);
	channel_send(queue.channel, WIRE_INTAKE, &(struct wire_intake){0, STR_NONE}, -1);
	channel_send(queue.channel, WIRE_SPILLED, &(struct wire_spilled){1, 1}, fd);
	channel_send(queue.channel, WIRE_SPILLED, &(struct wire_spilled){2, 0}, -1);
	channel_send(queue.channel, WIRE_STORED, &(struct wire_stored){3, 250, STR("ok")}, -1);
	channel_send(queue.channel, WIRE_SPILLED, &(struct wire_spilled){4, 1}, temporary_file());
	channel_send(queue.channel, WIRE_SPILLED, &(struct wire_spilled){5, 1}, temporary_file());
	channel_send(queue.channel, WIRE_STORED, &(struct wire_stored){6, 250, STR("ok")}, -1);
	assert_true(channel_unsent(queue.channel) > 0);
	smtpd.until = 7;
	turn(TURN_MS);
	assert_string_equal(buf_z(&smtpd.heard),
	                    "intake spilled +fd spilled stored spilled +fd spilled +fd stored ");
	assert_int_equal(channel_unsent(queue.channel), 0);
	assert_int_not_equal(fcntl(fd, F_GETFD), 0); /* ours was closed */
}

static void
the_right_file_comes_with_the_right_frame(void **state)
{
	(void)state;
	open_smtpd();
	for (unsigned i = 1; i <= 50; i++) {
		struct stat st;
		int         fd = temporary_file();

		assert_int_equal(fstat(fd, &st), 0);
		channel_send(queue.channel, WIRE_STORED, &(struct wire_stored){i, 250, STR_NONE},
		             -1);
		channel_send(queue.channel, WIRE_SPILLED, &(struct wire_spilled){i, 1}, fd);
		if (i % 10 != 0)
			continue;
		smtpd.until = i * 2;
		turn(TURN_MS);
		assert_int_equal(smtpd.messages, i * 2);
		assert_int_equal(smtpd.last_inode, st.st_ino);
	}
}

/* More than the socket takes, in both sizes of frames: all of it comes, nothing blocks. */
static void
a_flood_is_carried_whole(void **state)
{
	char           *body = calloc(1, WIRE_INLINE_MAX);
	struct wire_put small = {.id = 1, .body = {body, 4096}},
			large = {.id = 2, .body = {body, WIRE_INLINE_MAX}};
	size_t octets = 0;

	(void)state;
	assert_non_null(body);
	open_smtpd();
	for (unsigned i = 0; i < 2000; i++) {
		bool big = i % 100 == 99;

		channel_send(smtpd.channel, WIRE_PUT, big ? &large : &small, -1);
		octets += big ? large.body.n : small.body.n;
	}
	assert_true(channel_unsent(smtpd.channel) > octets);
	queue.until = 2000;
	turn(TURN_MS);
	assert_int_equal(queue.messages, 2000);
	assert_int_equal(queue.octets, octets);
	assert_int_equal(channel_unsent(smtpd.channel), 0);
	free(body);
}

static void
the_callee_may_close_inside_a_message(void **state)
{
	(void)state;
	open_smtpd();
	for (int i = 0; i < 5; i++)
		channel_send(queue.channel, WIRE_INTAKE, &(struct wire_intake){0, STR_NONE}, -1);
	smtpd.close_next = true;
	turn(TURN_MS);
	assert_int_equal(smtpd.messages, 1);
	assert_null(smtpd.channel);
	turn(TURN_MS); /* the other side hears of it, once */
	assert_string_equal(queue.gone, "ended");
}

static void
what_was_sent_before_the_end_is_heard(void **state)
{
	(void)state;
	open_smtpd();
	channel_send(smtpd.channel, WIRE_DROP, &(struct wire_drop){7}, -1);
	assert_true(channel_finish(smtpd.channel, 1000));
	channel_close(smtpd.channel);
	smtpd.channel = NULL;
	channel_send(queue.channel, WIRE_INTAKE, &(struct wire_intake){0, STR_NONE}, -1);
	turn(TURN_MS);
	assert_string_equal(buf_z(&queue.heard), "drop ");
	assert_string_equal(queue.gone, "ended");
}

static void
a_message_over_its_limit_is_not_sent(void **state)
{
	struct buf big = BUF(64 * 1024);

	(void)state;
	open_smtpd();
	while (big.n < 10000)
		buf_addz(&big, "xxxxxxxxxxxxxxxx");
	channel_send(queue.channel, WIRE_STORED, &(struct wire_stored){1, 250, buf_str(&big)}, -1);
	assert_int_equal(channel_unsent(queue.channel), 0);
	buf_free(&big);
}

static void
finish_gives_up_when_nobody_reads(void **state)
{
	char           *body = calloc(1, WIRE_INLINE_MAX);
	struct wire_put put = {.id = 2, .body = {body, WIRE_INLINE_MAX}};

	(void)state;
	open_smtpd();
	for (int i = 0; i < 10; i++)
		channel_send(smtpd.channel, WIRE_PUT, &put, -1);
	assert_false(channel_finish(smtpd.channel, 20));
	free(body);
}

/* A hostile smtpd writes octets by itself. */

static void
add_frame(struct buf *b, uint32_t length, unsigned id, unsigned flags)
{
	for (int i = 0; i < 4; i++)
		buf_addc(b, (char)(length >> 8 * i & 0xff));
	buf_addc(b, (char)(id & 0xff));
	buf_addc(b, (char)(id >> 8 & 0xff));
	buf_addc(b, (char)(flags & 0xff));
	buf_addc(b, (char)(flags >> 8 & 0xff));
}

static void
add_drop(struct buf *b)
{
	add_frame(b, 8, WIRE_DROP, 0);
	buf_add(b, STR("\1\0\0\0\0\0\0\0"));
}

static void
write_raw(struct str s)
{
	assert_int_equal(send(raw, s.p, s.n, MSG_NOSIGNAL), s.n);
}

static void
frames_may_come_octet_by_octet(void **state)
{
	struct buf b = BUF(1024);

	(void)state;
	add_drop(&b);
	add_drop(&b);
	for (size_t i = 0; i < b.n; i++) {
		write_raw(str_sub(buf_str(&b), i, 1));
		turn(1);
		assert_int_equal(queue.messages, i + 1 < b.n / 2 ? 0 : i + 1 < b.n ? 1 : 2);
	}
	assert_non_null(queue.channel);
	buf_free(&b);
}

static const struct {
	const char *name;
	uint32_t    length;
	unsigned    id, flags;
	const char *why;
} hostile[] = {
	{"no message", 0, WIRE_NONE, 0, "unknown message"},
	{"behind the last", 0, WIRE_COUNT, 0, "unknown message"},
	{"far behind", 0, 0xffff, 0, "unknown message"},
	{"the supervisor's", 0, WIRE_DRAIN, 0, "message that this role may not send"},
	{"delivery's", 4, WIRE_CAPACITY, 0, "message that this role may not send"},
	{"the queue's own", 9, WIRE_SPILLED, 0, "message that this role may not send"},
	{"too long", 4097, WIRE_DROP, 0, "message too long"},
	{"longest", UINT32_MAX, WIRE_PUT, 0, "message too long"},
	{"flags", 8, WIRE_DROP, 2, "unknown flags"},
	{"all flags", 8, WIRE_DROP, 0xffff, "unknown flags"},
	{"with a descriptor that none may have", 8, WIRE_DROP, 1,
         "message with a descriptor that takes none"},
	{"long for its kind", 12, WIRE_DROP, 0, "message that cannot be decoded"},
	{"empty", 0, WIRE_DROP, 0, "message that cannot be decoded"},
};

static void
hostile_frames_end_the_channel_and_nothing_else(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		struct buf b = BUF(1024);

		if (i > 0) {
			tear_down(state);
			set_up(state);
		}
		add_drop(&b);
		add_frame(&b, hostile[i].length, hostile[i].id, hostile[i].flags);
		buf_add(&b, STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
		write_raw(buf_str(&b));
		turn(TURN_MS);
		assert_int_equal(queue.messages, 1);
		assert_null(queue.channel);
		assert_string_equal(queue.gone, hostile[i].why);
		buf_free(&b);
	}
}

static void
an_end_inside_a_frame_is_told(void **state)
{
	struct buf b = BUF(1024);

	(void)state;
	add_drop(&b);
	write_raw(str_sub(buf_str(&b), 0, b.n - 1));
	close(raw);
	raw = -1;
	turn(TURN_MS);
	assert_int_equal(queue.messages, 0);
	assert_string_equal(queue.gone, "ended inside a message");
	buf_free(&b);
}

static void
send_fds(int fd, unsigned n)
{
	union {
		struct cmsghdr head;
		char           space[CMSG_SPACE(8 * sizeof(int))];
	} control;
	char            octet = 8; /* the first of a frame */
	struct iovec    iov = {&octet, 1};
	struct msghdr   m = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.space,
	                     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *h;

	memset(&control, 0, sizeof control);
	h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(h) + i * sizeof fd, &fd, sizeof fd);
	assert_int_equal(sendmsg(raw, &m, MSG_NOSIGNAL), 1);
}

static unsigned
count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Nobody asked for these: they are bounded, and closed with the channel. */
static void
heaps_of_descriptors_end_the_channel(void **state)
{
	unsigned before = count_fds();
	int      fd = temporary_file();

	(void)state;
	for (int i = 0; i < 20 && queue.channel != NULL; i++) {
		send_fds(fd, 8);
		turn(5);
	}
	assert_null(queue.channel);
	close(fd);
	assert_int_equal(count_fds(), before - 1); /* the channel's own is gone, too */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(frames_arrive_in_order_with_their_descriptors),
		T(the_right_file_comes_with_the_right_frame),
		T(a_flood_is_carried_whole),
		T(the_callee_may_close_inside_a_message),
		T(what_was_sent_before_the_end_is_heard),
		T(a_message_over_its_limit_is_not_sent),
		T(finish_gives_up_when_nobody_reads),
		T(frames_may_come_octet_by_octet),
		T(hostile_frames_end_the_channel_and_nothing_else),
		T(an_end_inside_a_frame_is_told),
		T(heaps_of_descriptors_end_the_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
