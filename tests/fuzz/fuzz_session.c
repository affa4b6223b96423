/* SPDX-License-Identifier: ISC */
/*
 * All of smtpd with everything that is real: loop, sockets, channels. The input is what a client of a
 * trusted network says before he closes his side; queue and auth are stubs at the other ends of their channels.
 * Mostly for AFL++ (tests/fuzz/afl/run), which sees the edges of the whole program.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/listener.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/role.h"
#include "smtpd/smtpd.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 64 * 1024, PATIENCE_MS = 2000 };

struct role {
	struct loop    *loop;
	struct channel *queue, *auth; /* the stubs' ends */
	struct watch   *watch;
	struct timer   *patience;
	int             client;
};

static struct str   said;
static struct role *running; /* role_run() has no argument for it */

/* The other roles */

static void
on_gone(void *arg UNUSED, const char *why UNUSED)
{
}

static void
on_queue(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct role             *r = arg;
	const struct wire_put   *put = msg;
	const struct wire_spill *spill = msg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_PUT)
		channel_send(r->queue, WIRE_STORED, &(struct wire_stored){.id = put->id, .code = 250, .text = STR("2.0.0 ok")}, -1);
	else if (id == WIRE_SPILL)
		channel_send(r->queue, WIRE_SPILLED, &(struct wire_spilled){.id = spill->id}, -1);
}

static void
on_auth(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct role                  *r = arg;
	const struct wire_auth_start *start = msg;
	const struct wire_auth_step  *step = msg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_AUTH_START)
		channel_send(r->auth, WIRE_AUTH_MORE, &(struct wire_auth_more){.id = start->id, .challenge = STR("Username:")}, -1);
	else if (id == WIRE_AUTH_STEP)
		channel_send(r->auth, WIRE_AUTH_DONE, &(struct wire_auth_done){.id = step->id, .code = 235, .login = STR("app1")}, -1);
}

/* One end is smtpd's, the other ours. */
static struct channel *
join(struct role *r, const struct role_hooks *hooks, void *self, enum role_id who, const struct channel_hooks *ours)
{
	struct channel *c;
	int             ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	c = channel_open(r->loop, ends[0], who, ROLE_SMTPD, ours, r);
	hooks->peer(self, who, 0, ends[1]);
	return c;
}

/* The client */

static void
stop(void *arg)
{
	loop_stop(((struct role *)arg)->loop);
}

static void
on_client(void *arg, unsigned what UNUSED)
{
	struct role *r = arg;
	char         room[16 * 1024];
	ssize_t      n = read(r->client, room, sizeof room);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		stop(r);
}

/* All that he says goes into the socket at once; a reset at the end leaves no port behind. */
static void
connect_client(struct role *r, int listener)
{
	struct sockaddr_in at;
	socklen_t          n = sizeof at;
	const int          room = 2 * INPUT_MAX;

	r->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(r->client >= 0 && getsockname(listener, (struct sockaddr *)&at, &n) == 0);
	(void)setsockopt(r->client, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	(void)setsockopt(r->client, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	must(connect(r->client, (struct sockaddr *)&at, sizeof at) == 0);
	(void)!send(r->client, said.p, said.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(r->client, SHUT_WR);
	must(fcntl(r->client, F_SETFL, O_NONBLOCK) == 0);
	r->watch = watch_open(r->loop, r->client, on_client, r);
	watch_set(r->watch, WATCH_READ);
}

/* Stands in for lib/proc/role.c: a life as long as one connection. */
int
role_run(enum role_id id UNUSED, unsigned index UNUSED, const struct role_hooks *hooks, void *self)
{
	static const struct channel_hooks queue = {on_queue, on_gone}, auth = {on_auth, on_gone};
	static const char config[] = "hostname mail.example.com\ndomains example.com *.example.com\n"
		"trust 127.0.0.0/8\nlisten 127.0.0.1:25 auth\nmax-size 1000000\n"
		"dkim example.com { key s1 /k/1.pem rsa data:QUJD }\n";
	struct role   *r = running;
	struct config *c = config_read(STR(config), 1);
	struct addr    at = {0};
	struct buf     why = BUF(1024);
	int            fd;

	must(c != NULL && hooks->start(self, r, &why) && addr_parse_port(STR("127.0.0.1:0"), 0, &at));
	hooks->config(self, c);
	must((fd = listener_bind(at, &why)) >= 0);
	hooks->listener(self, 0, fd);
	r->queue = join(r, hooks, self, ROLE_QUEUE, &queue);
	r->auth = join(r, hooks, self, ROLE_AUTH, &auth);
	channel_send(r->queue, WIRE_INTAKE, &(struct wire_intake){.state = INTAKE_OPEN}, -1);
	channel_send(r->auth, WIRE_MECHS, &(struct wire_mechs){STR("PLAIN LOGIN"), STR("PLAIN LOGIN")}, -1);
	hooks->go(self);
	connect_client(r, fd);
	timer_set(r->patience, PATIENCE_MS);
	loop_run(r->loop);
	buf_free(&why);
	return 0;
}

struct loop *
role_loop(struct role *r)
{
	return r->loop;
}

unsigned
role_index(const struct role *r UNUSED)
{
	return 0;
}

void
role_ready(struct role *r UNUSED)
{
}

void
role_done(struct role *r UNUSED)
{
}

void
role_tell(struct role *r UNUSED, enum wire_id id UNUSED, const void *msg UNUSED)
{
}

void
role_lost(enum role_id who UNUSED, unsigned index UNUSED)
{
}

void
role_trouble(struct role *r UNUSED, const char *what UNUSED)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct role r = {.loop = loop_create()};

	if (size <= INPUT_MAX) {
		hush();
		said = input(data, size);
		running = &r;
		r.patience = timer_create_on(r.loop, stop, &r);
		(void)smtpd_main(0);
		timer_destroy(r.patience);
		watch_close(r.watch);
		channel_close(r.queue);
		channel_close(r.auth);
		close(r.client);
	}
	loop_destroy(r.loop);
	return 0;
}
