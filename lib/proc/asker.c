/* SPDX-License-Identifier: ISC */
#include "lib/proc/asker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util/time.h"

enum { HEADER = WIRE_HEADER, READ = 4096 };

void
asker_init(struct asker *a, enum role_id me, enum role_id peer)
{
	*a = (struct asker){.fd = -1, .me = me, .peer = peer};
	buf_init(&a->frame, WIRE_FRAME_MAX);
	buf_init(&a->answer, WIRE_FRAME_MAX);
}

void
asker_attach(struct asker *a, int fd)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = fd;
	buf_clear(&a->answer);
}

void
asker_free(struct asker *a)
{
	asker_attach(a, -1);
	buf_free(&a->frame);
	buf_free(&a->answer);
}

static bool
wait_until(int fd, short what, int64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = what};

	for (;;) {
		int64_t left = deadline_ms - time_mono_ms();
		int     n = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

static bool
is_later(int error)
{
	return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

static bool
send_all(const struct asker *a, int64_t deadline_ms)
{
	struct str rest = buf_str(&a->frame);

	while (rest.n > 0) {
		ssize_t n;

		if (!wait_until(a->fd, POLLOUT, deadline_ms))
			return false;
		n = sendmsg(a->fd,
		            &(struct msghdr){.msg_iov = &(struct iovec){(void *)(uintptr_t)rest.p, rest.n},
		                             .msg_iovlen = 1},
		            MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			rest = str_skip(rest, (size_t)n);
		else if (n == 0 || !is_later(errno))
			return false;
	}
	return true;
}

/* Until `answer` has `n` octets. */
static bool
read_up_to(struct asker *a, size_t n, int64_t deadline_ms)
{
	while (a->answer.n < n) {
		char   *room = buf_room(&a->answer, n > READ ? n : READ);
		ssize_t got;

		if (room == NULL || !wait_until(a->fd, POLLIN, deadline_ms))
			return false;
		/* No room for descriptors: one that comes along is closed by the kernel. */
		got = recvmsg(a->fd,
		              &(struct msghdr){.msg_iov = &(struct iovec){room, n - a->answer.n},
		                               .msg_iovlen = 1},
		              MSG_DONTWAIT);
		if (got > 0)
			buf_commit(&a->answer, (size_t)got);
		else if (got == 0 || !is_later(errno))
			return false;
	}
	return true;
}

static bool
receive(struct asker *a, const struct question *q, int64_t deadline_ms)
{
	struct wire_head h;

	buf_clear(&a->answer);
	if (!read_up_to(a, HEADER, deadline_ms))
		return false;
	h = wire_head_parse(a->answer.p);
	return h.id == q->answer && h.flags == 0 && wire_may_pass(q->answer, a->peer, a->me) &&
	       h.length <= wire_limit(q->answer) &&
	       read_up_to(a, HEADER + h.length, deadline_ms) &&
	       wire_decode(q->answer, str_skip(buf_str(&a->answer), HEADER), q->reply);
}

bool
asker_ask(struct asker *a, const struct question *q)
{
	int64_t deadline_ms = time_mono_ms() + q->ms;

	assert(wire_may_pass(q->ask, a->me, a->peer));
	if (a->fd < 0)
		return false;
	buf_clear(&a->frame);
	wire_head_add(&a->frame, (struct wire_head){wire_size(q->ask, q->msg), q->ask, 0});
	wire_encode(&a->frame, q->ask, q->msg);
	if (!a->frame.over && send_all(a, deadline_ms) && receive(a, q, deadline_ms))
		return true;
	asker_attach(a, -1);
	return false;
}
