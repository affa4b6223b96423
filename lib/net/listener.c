/* SPDX-License-Identifier: ISC */
#include "lib/net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/net/sock.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	BACKLOG = 4096,
	AT_ONCE = 16, /* then the other processes and our own clients get their turn */
	REST_MS = 100,
	COMPLAIN_MS = 60 * 1000,
};

struct listener {
	int           fd;
	struct watch *watch;
	struct timer *rest;
	bool          paused;
	bool          busy; /* `fn` runs */
	bool          gone; /* closed meanwhile */
	int64_t       complained_ms;
	void (*fn)(void *arg, int fd, struct addr peer);
	void *arg;
};

int
listener_bind(struct addr at, struct buf *why)
{
	struct sockaddr_storage ss;
	socklen_t               size = addr_to_sockaddr(at, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (at.family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&ss, size) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
fail:
	buf_addz(why, "cannot listen on ");
	addr_format_port(why, at);
	buf_addf(why, ": %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
set(struct listener *ls)
{
	watch_set(ls->watch, ls->paused || timer_is_set(ls->rest) ? 0 : WATCH_READ);
}

static void
rested(void *arg)
{
	set(arg);
}

/* A level-triggered socket that cannot be accepted from would keep the loop spinning. */
static void
take_rest(struct listener *ls, int error)
{
	int64_t now = time_mono_ms();

	timer_set(ls->rest, REST_MS);
	set(ls);
	if (ls->complained_ms != 0 && now - ls->complained_ms < COMPLAIN_MS)
		return;
	ls->complained_ms = now;
	log_warn(ev("accept-rest"), kv("why", strerror(error)));
}

/* False: no more for now. */
static bool
accept_one(struct listener *ls)
{
	struct sockaddr_storage ss = {0};
	socklen_t               size = sizeof ss;
	struct addr             peer;
	int fd = accept4(ls->fd, (struct sockaddr *)&ss, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		(void)addr_from_sockaddr((struct sockaddr *)&ss, &peer);
		ls->fn(ls->arg, fd, peer);
		return !ls->gone && !ls->paused;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		take_rest(ls, errno);
		return false;
	case EAGAIN:
		return false;
	default:
		return true; /* this client's trouble (ECONNABORTED, EPROTO ...), not the socket's */
	}
}

static void
ready(void *arg, unsigned what UNUSED)
{
	struct listener *ls = arg;
	unsigned         n = 0;

	ls->busy = true;
	while (n < AT_ONCE && accept_one(ls))
		n++;
	ls->busy = false;
	if (ls->gone)
		free(ls);
}

struct listener *
listener_open(struct loop *l, int fd, void (*fn)(void *arg, int fd, struct addr peer), void *arg)
{
	struct listener *ls = mem_zero(sizeof *ls);

	ls->fd = fd;
	ls->fn = fn;
	ls->arg = arg;
	sock_set_nodelay(fd); /* what is accepted inherits it */
	ls->watch = watch_open(l, fd, ready, ls);
	ls->rest = timer_create_on(l, rested, ls);
	set(ls);
	return ls;
}

void
listener_pause(struct listener *ls)
{
	ls->paused = true;
	set(ls);
}

void
listener_resume(struct listener *ls)
{
	ls->paused = false;
	set(ls);
}

void
listener_close(struct listener *ls)
{
	if (ls == NULL)
		return;
	watch_close(ls->watch);
	timer_destroy(ls->rest);
	close(ls->fd);
	ls->gone = true;
	if (!ls->busy)
		free(ls);
}
