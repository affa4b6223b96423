/* SPDX-License-Identifier: ISC */
#include "cmd/door.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/util/mem.h"
#include "smtpd/handover.h"
#include "smtpd/logins.h"
#include "smtpd/server.h"

enum { FINISH_MS = 100 };

struct door {
	struct server   server;
	struct channel *queue, *auth; /* our ends: we stand in for both roles */
};

/* No password is right. That the queue is never asked to store anything is what is being tested. */
static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct door *d = arg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_AUTH_START) {
		const struct wire_auth_start *m = msg;

		channel_send(d->auth, WIRE_AUTH_DONE,
		             &(const struct wire_auth_done){.id = m->id, .code = 535}, -1);
	}
}

static void
on_gone(void *arg, const char *why)
{
	(void)arg;
	(void)why; /* both ends are ours, and are closed by door_destroy() */
}

/* A channel from smtpd to a role that is played here; the far end is `theirs`. */
static struct channel *
play(struct door *d, struct loop *l, enum role_id role, int *theirs)
{
	static const struct channel_hooks hooks = {on_message, on_gone};
	int                               pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return NULL;
	*theirs = pair[1];
	return channel_open(l, pair[0], role, ROLE_SMTPD, &hooks, d);
}

struct door *
door_create(struct loop *l, struct config *config)
{
	struct door *d = mem_zero(sizeof *d);
	int          fd;

	server_init(&d->server, l, 0);
	d->server.mute = true;
	if ((d->queue = play(d, l, ROLE_QUEUE, &fd)) != NULL) {
		handover_attach(d->server.handover, fd);
		channel_send(d->queue, WIRE_INTAKE,
		             &(const struct wire_intake){.state = INTAKE_OPEN}, -1);
	}
	if ((d->auth = play(d, l, ROLE_AUTH, &fd)) != NULL) {
		logins_attach(d->server.logins, 0, fd);
		channel_send(d->auth, WIRE_MECHS,
		             &(const struct wire_mechs){STR("PLAIN"), STR("PLAIN")}, -1);
	}
	/* Both words must be there before the first visitor is: smtpd reads them when the loop turns. */
	if (d->queue != NULL && d->auth != NULL)
		(void)(channel_finish(d->queue, FINISH_MS) && channel_finish(d->auth, FINISH_MS));
	server_configure(&d->server, config_ref(config));
	return d;
}

void
door_destroy(struct door *d)
{
	if (d == NULL)
		return;
	server_free(&d->server);
	channel_close(d->queue);
	channel_close(d->auth);
	free(d);
}

int
door_open(struct door *d, unsigned index, struct addr client)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	client.port = 0;
	server_accept(&d->server, index, pair[1], client);
	return pair[0];
}
