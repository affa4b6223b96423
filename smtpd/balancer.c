/* SPDX-License-Identifier: ISC */
#include "smtpd/balancer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "smtpd/proxy.h"

enum { PATIENCE_MS = 10 * 1000, WAITING_MAX = 1000 };

/* One connection whose header is not whole yet. */
struct arrival {
	struct link       link;
	struct balancers *owner;
	struct watch     *watch;
	struct timer     *limit;
	struct addr       peer;
	unsigned          index;
	int               fd;
};

static void
release(struct arrival *a)
{
	list_remove(&a->owner->waiting, &a->link);
	watch_close(a->watch);
	timer_destroy(a->limit);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

static void
reject(struct arrival *a, const char *why)
{
	struct buf ip = BUF(64);

	addr_format(&ip, a->peer);
	log_warn(ev("reject"), kv("stage", "connect"), kv("code", 421), kv("why", "proxy-header"),
	         kv("client", buf_str(&ip)), kv("msg", why));
	buf_free(&ip);
	release(a);
}

static void
through(struct arrival *a, const struct proxy *header)
{
	struct balancers *b = a->owner;
	struct addr       client = header->client;
	int               fd = a->fd;
	unsigned          index = a->index;
	char              octets[PROXY_MAX];

	/* Exactly the header, which has been seen to be there. */
	if (recv(fd, octets, header->used, 0) != (ssize_t)header->used) {
		reject(a, "the connection broke");
		return;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){1}, sizeof(int));
	a->fd = -1;
	release(a);
	b->through(b->arg, index, fd, client);
}

/* He has ended his side: the rest of his header will not come. */
static bool
has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static void
on_readable(void *arg, unsigned what UNUSED)
{
	struct arrival *a = arg;
	char            octets[PROXY_MAX];
	struct proxy    header;
	ssize_t         n = recv(a->fd, octets, sizeof octets, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		release(a);
		return;
	}
	switch (proxy_parse((struct str){octets, (size_t)n}, &header)) {
	case PROXY_OK:
		through(a, &header);
		break;
	case PROXY_MORE:
		/*
		 * Peeking again at once would spin: ask the kernel to wake us for more than is
		 * there. The end of the stream wakes us in any case, and for ever.
		 */
		if (has_hung_up(a->fd))
			reject(a, "the PROXY header ended in the middle");
		else if (setsockopt(a->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){(int)n + 1},
		                    sizeof(int)) != 0)
			reject(a, "the PROXY header came in pieces");
		break;
	case PROXY_BAD:
		reject(a, "a PROXY header was due and did not come");
		break;
	}
}

static void
on_limit(void *arg)
{
	reject(arg, "no PROXY header came in time");
}

void
balancers_init(struct balancers *b, struct loop *l)
{
	*b = (struct balancers){.loop = l};
	list_init(&b->waiting);
}

void
balancers_free(struct balancers *b)
{
	struct link *k;

	while ((k = list_first(&b->waiting)) != NULL)
		release(CONTAINER(k, struct arrival, link));
}

void
balancers_drop(struct balancers *b, unsigned index)
{
	struct arrival *a;

	LIST_EACH(&b->waiting, a, struct arrival, link)
		if (a->index == index)
			release(a);
}

void
balancers_take(struct balancers *b, unsigned index, int fd, struct addr peer)
{
	struct arrival *a;

	if (b->waiting.n >= WAITING_MAX) {
		close(fd);
		return;
	}
	a = mem_zero(sizeof *a);
	a->owner = b;
	a->peer = peer;
	a->index = index;
	a->fd = fd;
	list_push(&b->waiting, &a->link);
	a->limit = timer_create_on(b->loop, on_limit, a);
	timer_set(a->limit, PATIENCE_MS);
	a->watch = watch_open(b->loop, fd, on_readable, a);
	watch_set(a->watch, WATCH_READ);
}
