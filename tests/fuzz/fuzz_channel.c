/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "tests/fuzz/fuzz.h"

struct end {
	struct loop    *loop;
	struct channel *channel;
	enum role_id    me, peer;
	unsigned        frames, gone;
};

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct end *e = arg;
	struct buf  again = BUF(WIRE_CONFIG_MAX);

	must(e->gone == 0 && wire_may_pass(id, e->peer, e->me));
	must(fd < 0 || wire_has_fd(id));
	wire_encode(&again, id, msg);
	must(!again.over && again.n <= wire_limit(id));
	buf_free(&again);
	e->frames++;
	if (fd >= 0)
		close(fd);
}

static void
on_gone(void *arg, const char *why)
{
	struct end *e = arg;

	must(e->gone++ == 0 && why[0] != '\0');
	loop_stop(e->loop);
}

/* With a descriptor beside the first octet, as frames have it that carry one. */
static void
send_octets(int fd, struct str octets, bool with_fd)
{
	struct iovec iov = {(void *)(uintptr_t)octets.p, octets.n};
	union {
		struct cmsghdr align;
		char           room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	int           passed = with_fd ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (with_fd) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof control.room;
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		*(int *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&m)) = passed;
	}
	(void)!sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (passed >= 0)
		close(passed);
}

/* The first octet says who speaks to whom; then pieces of octets, each sent at once: whatever comes, one end. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct channel_hooks hooks = {on_message, on_gone};
	struct str                        in = input(data, size);
	unsigned                          who = take_octet(&in);
	struct end                        e = {.loop = loop_create(), .me = who % ROLE_COUNT, .peer = who / ROLE_COUNT % ROLE_COUNT};
	int                               ends[2];

	hush();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	e.channel = channel_open(e.loop, ends[0], e.me, e.peer, &hooks, &e);
	while (in.n > 0) {
		bool with_fd = take_octet(&in) % 8 == 7;

		send_octets(ends[1], take_piece(&in), with_fd);
	}
	close(ends[1]);
	loop_run(e.loop);
	must(e.gone == 1);
	channel_close(e.channel);
	loop_destroy(e.loop);
	return 0;
}
