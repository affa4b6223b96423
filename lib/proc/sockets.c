/* SPDX-License-Identifier: ISC */
#include "lib/proc/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/net/listener.h"
#include "lib/proc/config.h"
#include "lib/util/mem.h"

static bool
same(struct addr a, struct addr b)
{
	return addr_equal(a, b) && a.port == b.port;
}

static int
find_fd(const struct sockets *s, struct addr at)
{
	for (size_t i = 0; i < s->n; i++)
		if (same(s->v[i].at, at))
			return s->v[i].fd;
	return -1;
}

static bool
has_fd(const struct sockets *s, int fd)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].fd == fd)
			return true;
	return false;
}

static bool
has_port(const struct sockets *s, uint16_t port)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].at.port == port)
			return true;
	return false;
}

/* What the kernel's word leaves open. */
static void
add_hint(struct buf *why, struct addr at, int error, const struct sockets *now)
{
	if (error == EACCES && at.port < 1024)
		buf_addz(why,
		         "; ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE");
	else if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
		buf_addz(why, "; this machine has no such address (`ip address` lists them)");
	else if (error == EADDRINUSE && has_port(now, at.port))
		buf_addz(
			why,
			"; a listener of this daemon has that port on another address: this change needs a restart");
	else if (error == EADDRINUSE)
		buf_addz(why, "; another program listens there (`ss -lptn` names it)");
}

bool
sockets_plan(struct sockets *next, const struct sockets *now, const struct config *c,
             struct buf *why)
{
	*next = (struct sockets){mem_array(c->n_listens + 1, sizeof *next->v), 0};
	for (size_t i = 0; i < c->n_listens; i++) {
		struct socket_row row = {.at = c->listens[i].addr};

		row.fd = find_fd(now, row.at);
		if (row.fd < 0)
			row.fd = listener_bind(row.at, why);
		if (row.fd < 0) {
			add_hint(why, row.at, errno, now);
			sockets_undo(now, next);
			return false;
		}
		row.fresh = i >= now->n || now->v[i].fd != row.fd;
		next->v[next->n++] = row;
	}
	return true;
}

static void
free_rows(struct sockets *s)
{
	free(s->v);
	*s = (struct sockets){NULL, 0};
}

static void
close_without(struct sockets *s, const struct sockets *keep)
{
	for (size_t i = 0; i < s->n; i++)
		if (!has_fd(keep, s->v[i].fd))
			close(s->v[i].fd);
	free_rows(s);
}

void
sockets_swap(struct sockets *now, struct sockets *next)
{
	close_without(now, next);
	*now = *next;
	*next = (struct sockets){NULL, 0};
}

void
sockets_undo(const struct sockets *now, struct sockets *next)
{
	close_without(next, now);
}

void
sockets_close(struct sockets *s)
{
	close_without(s, &(struct sockets){NULL, 0});
}

struct addr
sockets_addr(const struct socket_row *row)
{
	struct sockaddr_storage ss;
	socklen_t               n = sizeof ss;
	struct addr             a = row->at;

	if (getsockname(row->fd, (struct sockaddr *)&ss, &n) != 0 ||
	    !addr_from_sockaddr((const struct sockaddr *)&ss, &a))
		return row->at;
	return a;
}
