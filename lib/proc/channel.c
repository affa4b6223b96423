/* SPDX-License-Identifier: ISC */
#include "lib/proc/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	HEADER = WIRE_HEADER,
	WITH_FD = WIRE_WITH_FD, /* the oldest descriptor received belongs to this frame */
	CHUNK = 64 * 1024, /* frames are gathered up to this size */
	READ = 256 * 1024, /* input buffer, only there while it holds something */
	IOVECS = 16,
	FDS_MAX = 16,     /* descriptors received whose frames have not come yet */
	READS_A_TURN = 8, /* so that one busy peer does not starve the others */
	SHORT_MS = 20,    /* until the kernel may have memory again */
};

/*
 * Output is a list of chunks: many frames without a descriptor, or one frame
 * with one, or with secrets. A chunk with a descriptor is sent by a call of its own, so that the
 * order of descriptors is the order of their frames.
 */
struct chunk {
	struct link link;
	struct buf  b;
	size_t      sent;
	int         fd;
	bool        secret; /* keys and passwords: by itself, and wiped */
};

struct channel {
	struct loop                *loop;
	const struct channel_hooks *hooks;
	void                       *arg;
	struct watch               *watch;
	struct deferred             flush;
	struct timer               *later; /* flush again; NULL until it is needed */
	enum role_id                me, peer;
	int                         fd;
	struct list                 out;
	size_t                      unsent;
	char                       *in;
	size_t                      in_n, in_cap;
	int                         fds[FDS_MAX]; /* -1: it came while we had no descriptor free */
	unsigned                    n_fds;
	bool                        busy;   /* inside a callback: closing waits */
	bool                        closed; /* by the owner while busy */
	bool                        broken;
};

static void
drop_chunk(struct channel *c, struct chunk *k)
{
	list_remove(&c->out, &k->link);
	c->unsent -= k->b.n - k->sent;
	if (k->fd >= 0)
		close(k->fd);
	if (k->secret)
		mem_wipe(k->b.p, k->b.cap);
	buf_free(&k->b);
	free(k);
}

static void
drop_output(struct channel *c)
{
	struct chunk *k;

	LIST_EACH(&c->out, k, struct chunk, link)
		drop_chunk(c, k);
}

static void
destroy(struct channel *c)
{
	drop_output(c);
	loop_defer_cancel(c->loop, &c->flush);
	timer_destroy(c->later);
	watch_close(c->watch);
	for (unsigned i = 0; i < c->n_fds; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	close(c->fd);
	free(c->in);
	free(c);
}

/* The peer is no use any more. The owner may have closed: after this the channel is not touched. */
static void
fail(struct channel *c, const char *why)
{
	assert(!c->busy);
	c->broken = true;
	watch_close(c->watch);
	c->watch = NULL;
	drop_output(c);
	loop_defer_cancel(c->loop, &c->flush);
	timer_destroy(c->later);
	c->later = NULL;
	c->busy = true;
	c->hooks->gone(c->arg, why);
	c->busy = false;
	if (c->closed)
		destroy(c);
}

/* Sending */

static ssize_t
send_with_fd(struct channel *c, struct chunk *k)
{
	union {
		struct cmsghdr head;
		char           space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec    iov = {k->b.p + k->sent, k->b.n - k->sent};
	struct msghdr   m = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.space,
	                     .msg_controllen = sizeof control.space};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &k->fd, sizeof k->fd);
	return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static ssize_t
send_plain(struct channel *c)
{
	struct iovec  iov[IOVECS];
	struct msghdr m = {.msg_iov = iov};
	struct chunk *k;

	LIST_EACH(&c->out, k, struct chunk, link) {
		if (k->fd >= 0 || m.msg_iovlen == IOVECS)
			break;
		iov[m.msg_iovlen++] = (struct iovec){k->b.p + k->sent, k->b.n - k->sent};
	}
	return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static void
note_sent(struct channel *c, size_t n)
{
	while (n > 0) {
		struct chunk *k = CONTAINER(list_first(&c->out), struct chunk, link);
		size_t        part = k->b.n - k->sent < n ? k->b.n - k->sent : n;

		if (k->fd >= 0) { /* it went with the first octet */
			close(k->fd);
			k->fd = -1;
		}
		k->sent += part;
		c->unsent -= part;
		n -= part;
		if (k->sent == k->b.n)
			drop_chunk(c, k);
	}
}

/* As much as the socket takes. 0, or an errno value; EAGAIN: the rest must wait. */
static int
write_out(struct channel *c)
{
	while (!list_empty(&c->out)) {
		struct chunk *k = CONTAINER(list_first(&c->out), struct chunk, link);
		ssize_t       n = k->fd >= 0 ? send_with_fd(c, k) : send_plain(c);

		if (n > 0)
			note_sent(c, (size_t)n);
		else if (n == 0 || errno != EINTR)
			return n == 0 ? EPIPE : errno;
	}
	return 0;
}

/* The kernel is short of something: no fault of the peer's, who must not be given up for it. */
static bool
is_short(int error)
{
	return error == ENOBUFS || error == ENOMEM || error == ETOOMANYREFS;
}

static void
again(void *arg)
{
	struct channel *c = arg;

	loop_defer(c->loop, &c->flush);
}

static void
flush(void *arg)
{
	struct channel *c = arg;
	int             error = write_out(c);

	if (is_short(error)) {
		if (c->later == NULL)
			c->later = timer_create_on(c->loop, again, c);
		timer_set(c->later, SHORT_MS);
	} else if (error == 0) {
		watch_set(c->watch, WATCH_READ);
	} else if (error == EAGAIN) {
		watch_set(c->watch, WATCH_READ | WATCH_WRITE);
	} else if (error == EPIPE || error == ECONNRESET) {
		/* What the peer wrote before it ended is still to be read, and then the end. */
		drop_output(c);
		watch_set(c->watch, WATCH_READ);
	} else {
		fail(c, strerror(error));
	}
}

/* Room for a frame of `n` octets: in the last chunk, or in a new one. */
static struct chunk *
chunk_for(struct channel *c, size_t n, int fd, bool secret)
{
	struct chunk *last = c->out.n > 0 ? CONTAINER(c->out.head.prev, struct chunk, link) : NULL;
	struct chunk *k;

	if (fd < 0 && !secret && last != NULL && last->fd < 0 && !last->secret &&
	    last->b.n + n <= CHUNK)
		return last;
	k = mem_zero(sizeof *k);
	buf_init(&k->b, n > CHUNK ? n : CHUNK);
	k->fd = fd;
	k->secret = secret;
	/* The second chunk means that there is traffic: take the memory at once, not by doubling. */
	(void)buf_room(&k->b, fd < 0 && !secret && last != NULL && n < CHUNK ? CHUNK : n);
	list_push(&c->out, &k->link);
	return k;
}

void
channel_send(struct channel *c, enum wire_id id, const void *msg, int fd)
{
	size_t        n = wire_size(id, msg);
	struct chunk *k;

	assert(wire_may_pass(id, c->me, c->peer));
	assert(fd < 0 || wire_has_fd(id));
	if (n > wire_limit(id))
		log_error(ev("frame-too-large"), kv("message", wire_name(id)), kv("size", n));
	if (n > wire_limit(id) || c->broken || c->closed) {
		if (fd >= 0)
			close(fd);
		return;
	}
	k = chunk_for(c, HEADER + n, fd, id == WIRE_CONFIG);
	wire_head_add(&k->b, (struct wire_head){n, id, fd >= 0 ? WITH_FD : 0});
	wire_encode(&k->b, id, msg);
	assert(!k->b.over);
	c->unsent += HEADER + n;
	loop_defer(c->loop, &c->flush);
}

/* Receiving */

static bool
keep_fd(struct channel *c, int fd)
{
	if (c->n_fds == FDS_MAX) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	c->fds[c->n_fds++] = fd;
	return true;
}

static int
next_fd(struct channel *c)
{
	int fd = c->fds[0];

	c->n_fds--;
	memmove(c->fds, c->fds + 1, c->n_fds * sizeof *c->fds);
	return fd;
}

/* The descriptors of one read. The kernel never mixes those of two sends. */
static bool
keep_fds(struct channel *c, struct msghdr *m)
{
	bool ok = true, any = false;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h != NULL; h = CMSG_NXTHDR(m, h)) {
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
			ok = keep_fd(c, fd) && ok;
			any = true;
		}
	}
	/* The table of descriptors is full: the frame comes without, its reader copes. */
	if ((m->msg_flags & MSG_CTRUNC) != 0 && !any)
		ok = keep_fd(c, -1);
	return ok;
}

/* What is wrong with a frame, as its header tells; NULL: nothing. */
static const char *
check_header(const struct channel *c, struct wire_head f)
{
	if (!wire_is_known(f.id))
		return "unknown message";
	if (!wire_may_pass((enum wire_id)f.id, c->peer, c->me))
		return "message that this role may not send";
	if (f.length > wire_limit((enum wire_id)f.id))
		return "message too long";
	if ((f.flags & ~(unsigned)WITH_FD) != 0)
		return "unknown flags";
	if ((f.flags & WITH_FD) != 0 && !wire_has_fd((enum wire_id)f.id))
		return "message with a descriptor that takes none";
	return NULL;
}

static const char *
give_frame(struct channel *c, struct wire_head f, struct str payload)
{
	_Alignas(max_align_t) char msg[WIRE_STRUCT_MAX];
	int                        fd = -1;

	if ((f.flags & WITH_FD) != 0 && c->n_fds == 0)
		return "descriptor missing";
	if (!wire_decode((enum wire_id)f.id, payload, msg))
		return "message that cannot be decoded";
	if ((f.flags & WITH_FD) != 0)
		fd = next_fd(c);
	c->busy = true;
	c->hooks->message(c->arg, (enum wire_id)f.id, msg, fd);
	c->busy = false;
	if (f.id == WIRE_CONFIG) /* keys and passwords */
		mem_wipe(c->in + (payload.p - c->in), payload.n);
	return NULL;
}

/*
 * Give all whole frames to the owner and move what is left to the front. A
 * frame larger than the buffer makes it grow, up to the limit of its kind.
 */
static const char *
give_frames(struct channel *c)
{
	const char *why = NULL;
	size_t      at = 0;

	while (why == NULL && !c->closed && c->in_n - at >= HEADER) {
		struct wire_head f = wire_head_parse(c->in + at);

		if ((why = check_header(c, f)) != NULL)
			break;
		if (c->in_n - at < HEADER + f.length) {
			if (c->in_cap < HEADER + f.length) {
				c->in_cap = HEADER + f.length;
				c->in = mem_resize(c->in, c->in_cap, 1);
			}
			break;
		}
		why = give_frame(c, f, (struct str){c->in + at + HEADER, f.length});
		at += HEADER + f.length;
	}
	c->in_n -= at;
	if (at > 0 && c->in_n > 0)
		memmove(c->in, c->in + at, c->in_n);
	return why;
}

enum got { GOT_ALL, GOT_MORE, GOT_END };

/* One read, and its frames given to the owner. */
static enum got
read_once(struct channel *c, const char **why)
{
	union {
		struct cmsghdr head;
		char           space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec  iov;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space};
	ssize_t       n;

	if (c->in == NULL) {
		c->in = mem_resize(NULL, READ, 1);
		c->in_cap = READ;
	}
	iov = (struct iovec){c->in + c->in_n, c->in_cap - c->in_n};
	m.msg_controllen = sizeof control.space;
	n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || is_short(errno)))
		return errno == EINTR ? GOT_MORE : GOT_ALL;
	if (n < 0 && errno != ECONNRESET) { /* a reset: it ended without reading all */
		*why = strerror(errno);
		return GOT_END;
	}
	if (n <= 0) {
		*why = c->in_n > 0 ? "ended inside a message" : "ended";
		return GOT_END;
	}
	c->in_n += (size_t)n;
	if (!keep_fds(c, &m))
		*why = "too many descriptors";
	else
		*why = give_frames(c);
	if (*why != NULL)
		return GOT_END;
	/* A read ends early at a descriptor; otherwise a short one has emptied the socket. */
	return (size_t)n < iov.iov_len && m.msg_controllen == 0 ? GOT_ALL : GOT_MORE;
}

static void
read_in(struct channel *c)
{
	const char *why = NULL;
	enum got    got = GOT_MORE;

	for (int i = 0; i < READS_A_TURN && got == GOT_MORE && !c->closed; i++)
		got = read_once(c, &why);
	if (c->closed) {
		destroy(c);
		return;
	}
	if (c->in_n == 0) {
		free(c->in);
		c->in = NULL;
	}
	if (got == GOT_END)
		fail(c, why);
}

static void
ready(void *arg, unsigned what)
{
	struct channel *c = arg;

	/* Writing waits for the deferred call: an error there could end the channel before the read. */
	if ((what & WATCH_WRITE) != 0)
		loop_defer(c->loop, &c->flush);
	if ((what & WATCH_READ) != 0)
		read_in(c);
}

struct channel *
channel_open(struct loop *l, int fd, enum role_id me, enum role_id peer,
             const struct channel_hooks *hooks, void *arg)
{
	struct channel *c = mem_zero(sizeof *c);
	int             flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	c->loop = l;
	c->fd = fd;
	c->me = me;
	c->peer = peer;
	c->hooks = hooks;
	c->arg = arg;
	c->flush.fn = flush;
	c->flush.arg = c;
	list_init(&c->out);
	c->watch = watch_open(l, fd, ready, c);
	watch_set(c->watch, WATCH_READ);
	return c;
}

void
channel_close(struct channel *c)
{
	if (c == NULL)
		return;
	assert(!c->closed);
	if (c->busy)
		c->closed = true;
	else
		destroy(c);
}

size_t
channel_unsent(const struct channel *c)
{
	return c->unsent;
}

bool
channel_finish(struct channel *c, int64_t ms)
{
	int64_t until = time_mono_ms() + ms;

	while (!c->broken) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};
		int           error = write_out(c);
		int64_t       left = until - time_mono_ms();

		if (error != EAGAIN)
			return error == 0;
		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
			return false;
	}
	return false;
}
