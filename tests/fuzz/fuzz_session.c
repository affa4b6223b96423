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
#include "smtpd/smtpd.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/role.h"

enum { INPUT_MAX = 64 * 1024, PATIENCE_MS = 2000 };

struct session {
	struct role     role;
	struct str      said;
	struct channel *queue, *auth; /* the stubs' ends */
	struct watch   *watch;
	struct timer   *patience;
	int             client;
};

/* The other roles */

static void
on_gone(void *arg UNUSED, const char *why UNUSED)
{
}

static void
on_queue(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct session          *s = arg;
	const struct wire_put   *put = msg;
	const struct wire_spill *spill = msg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_PUT)
		channel_send(s->queue, WIRE_STORED, &(struct wire_stored){.id = put->id, .code = 250, .text = STR("2.0.0 ok")}, -1);
	else if (id == WIRE_SPILL)
		channel_send(s->queue, WIRE_SPILLED, &(struct wire_spilled){.id = spill->id}, -1);
}

static void
on_auth(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct session               *s = arg;
	const struct wire_auth_start *start = msg;
	const struct wire_auth_step  *step = msg;

	if (fd >= 0)
		close(fd);
	if (id == WIRE_AUTH_START)
		channel_send(s->auth, WIRE_AUTH_MORE, &(struct wire_auth_more){.id = start->id, .challenge = STR("Username:")}, -1);
	else if (id == WIRE_AUTH_STEP)
		channel_send(s->auth, WIRE_AUTH_DONE, &(struct wire_auth_done){.id = step->id, .code = 235, .login = STR("app1")}, -1);
}

/* One end is smtpd's, the other ours. */
static struct channel *
join(struct session *s, enum role_id who, const struct channel_hooks *ours)
{
	const struct role *r = &s->role;
	struct channel    *c;
	int                ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	c = channel_open(r->loop, ends[0], who, ROLE_SMTPD, ours, s);
	r->hooks->peer(r->self, who, 0, ends[1]);
	return c;
}

/* The client */

static void
stop(void *arg)
{
	loop_stop(((struct session *)arg)->role.loop);
}

static void
on_client(void *arg, unsigned what UNUSED)
{
	const struct session *s = arg;
	char                  room[16 * 1024];
	ssize_t               n = read(s->client, room, sizeof room);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		stop(arg);
}

/* All that he says goes into the socket at once; a reset at the end leaves no port behind. */
static void
connect_client(struct session *s, int listener)
{
	struct sockaddr_in at;
	socklen_t          n = sizeof at;
	const int          room = 2 * INPUT_MAX;

	s->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(s->client >= 0 && getsockname(listener, (struct sockaddr *)&at, &n) == 0);
	(void)setsockopt(s->client, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	(void)setsockopt(s->client, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	must(connect(s->client, (struct sockaddr *)&at, sizeof at) == 0);
	(void)!send(s->client, s->said.p, s->said.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(s->client, SHUT_WR);
	must(fcntl(s->client, F_SETFL, O_NONBLOCK) == 0);
	s->watch = watch_open(s->role.loop, s->client, on_client, s);
	watch_set(s->watch, WATCH_READ);
}

/* As long as one connection. */
static void
live(struct role *r)
{
	static const struct channel_hooks queue = {on_queue, on_gone}, auth = {on_auth, on_gone};
	struct session                   *s = CONTAINER(r, struct session, role);
	struct addr                       at = {0};
	struct buf                        why = BUF(1024);
	int                               fd;

	must(addr_parse_port(STR("127.0.0.1:0"), 0, &at));
	must((fd = listener_bind(at, &why)) >= 0);
	r->hooks->listener(r->self, 0, fd);
	s->queue = join(s, ROLE_QUEUE, &queue);
	s->auth = join(s, ROLE_AUTH, &auth);
	channel_send(s->queue, WIRE_INTAKE, &(struct wire_intake){.state = INTAKE_OPEN}, -1);
	channel_send(s->auth, WIRE_MECHS, &(struct wire_mechs){STR("PLAIN LOGIN"), STR("PLAIN LOGIN")}, -1);
	r->hooks->go(r->self);
	connect_client(s, fd);
	s->patience = timer_create_on(r->loop, stop, s);
	timer_set(s->patience, PATIENCE_MS);
	loop_run(r->loop);
	buf_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session s = {
		.role = {
			.config = "hostname mail.example.com\ndomains example.com *.example.com\n"
				"trust 127.0.0.0/8\nlisten 127.0.0.1:25 auth\nmax-size 1000000\n"
				"dkim example.com { key s1 /k/1.pem rsa data:QUJD }\n",
			.life = live,
		},
		.said = input(data, size),
	};

	if (size > INPUT_MAX)
		return 0;
	hush();
	s.role.loop = loop_create();
	role_play(&s.role, smtpd_main);
	timer_destroy(s.patience);
	watch_close(s.watch);
	channel_close(s.queue);
	channel_close(s.auth);
	close(s.client);
	loop_destroy(s.role.loop);
	return 0;
}
