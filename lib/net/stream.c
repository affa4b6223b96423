/* SPDX-License-Identifier: ISC */
#include "lib/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/inbox.h"
#include "lib/net/loop_inner.h"
#include "lib/net/outbox.h"
#include "lib/net/sock.h"
#include "lib/util/time.h"

enum {
	FINISH_MS = 10 * 1000, /* for a peer that does not read our last words */
	LINGER_MS = 2 * 1000,  /* for one that has them, to close */
	LINGER_OCTETS = 256 * 1024,
};

enum phase {
	PHASE_CONNECTING,
	PHASE_OPEN,
	PHASE_BEFORE_TLS, /* plain output goes out; nothing is read, it belongs to the handshake */
	PHASE_HANDSHAKE,
	PHASE_DEAD,      /* the owner was told of an error */
	PHASE_ENDING,    /* finished; output goes out */
	PHASE_LINGERING, /* finished; waits for the peer's FIN */
	PHASE_GONE,      /* closed inside its own event function, freed after that */
};

struct stream {
	struct loop    *loop;
	stream_fn      *fn;
	void           *arg;
	struct sock     sock;
	struct inbox    in;
	struct outbox   out;
	enum phase      phase;
	bool            busy; /* its event function runs */
	bool            paused;
	bool            eof;
	bool            owes_input;  /* an INPUT event, after stream_resume() */
	bool            failing;     /* writing failed: told when the input is used up */
	bool            reading;     /* ev_read is added */
	bool            writing;     /* ev_write is added */
	bool            write_reads; /* TLS: writing waits for input */
	bool            read_writes; /* TLS: reading waits for output */
	struct event    ev_read, ev_write, ev_time;
	int64_t         deadline_ms; /* 0: none */
	int64_t         armed_ms;    /* when ev_time comes; 0: never */
	struct deferred turn;
	SSL            *next;  /* for PHASE_HANDSHAKE */
	size_t          plain; /* PHASE_BEFORE_TLS: octets of output that were written before */
	struct addr     to;    /* of stream_connect() */
	struct link     orphan;
	size_t          lingered; /* octets thrown away */
};

static void step(struct stream *s);
static void turn(void *arg);
static void end_step(struct stream *s);

static void
sweep(struct link *orphan)
{
	stream_close(CONTAINER(orphan, struct stream, orphan));
}

/* False: the stream is freed, or no longer its owner's business. */
static bool
emit(struct stream *s, enum stream_event event)
{
	s->busy = true;
	s->fn(s->arg, event);
	s->busy = false;
	if (s->phase == PHASE_GONE) {
		free(s);
		return false;
	}
	return s->phase < PHASE_DEAD;
}

static void
fail(struct stream *s)
{
	s->phase = PHASE_DEAD;
	outbox_free(&s->out);
	emit(s, STREAM_ERROR);
}

static bool
wants_read(const struct stream *s)
{
	switch (s->phase) {
	case PHASE_OPEN:
		return s->write_reads ||
		       (!s->paused && !s->eof && !s->read_writes && !inbox_is_full(&s->in));
	case PHASE_HANDSHAKE:
		return !s->read_writes;
	case PHASE_LINGERING:
		return true;
	case PHASE_ENDING:
		return s->write_reads;
	case PHASE_CONNECTING:
	case PHASE_BEFORE_TLS:
	case PHASE_DEAD:
	case PHASE_GONE:
		break;
	}
	return false;
}

static bool
wants_write(const struct stream *s)
{
	switch (s->phase) {
	case PHASE_CONNECTING:
		return s->sock.error == NULL;
	case PHASE_BEFORE_TLS:
		return s->plain > 0;
	case PHASE_OPEN:
	case PHASE_ENDING:
		return s->read_writes || (s->out.n > 0 && !s->write_reads);
	case PHASE_HANDSHAKE:
		return s->read_writes;
	case PHASE_DEAD:
	case PHASE_LINGERING:
	case PHASE_GONE:
		break;
	}
	return false;
}

/*
 * Only adds; an event that comes for nothing removes itself. A session pauses
 * and resumes for each message, mostly before the peer sends again, and should
 * not pay two system calls for it.
 */
static void
arm(struct stream *s)
{
	if (!s->reading && wants_read(s)) {
		s->reading = true;
		event_add(&s->ev_read, NULL);
	}
	if (!s->writing && wants_write(s)) {
		s->writing = true;
		event_add(&s->ev_write, NULL);
	}
}

/* False: gone. */
static bool
read_once(struct stream *s)
{
	size_t  room;
	char   *to = inbox_room(&s->in, loop_scratch(s->loop), &room);
	ssize_t n = to == NULL ? IO_WANT_READ : sock_read(&s->sock, to, room);

	s->read_writes = n == IO_WANT_WRITE;
	if (n > 0) {
		inbox_came(&s->in, (size_t)n);
		if (!emit(s, STREAM_INPUT))
			return false;
	}
	inbox_keep(&s->in);
	if (n == IO_END) {
		s->eof = true;
		return emit(s, STREAM_EOF);
	}
	if (n == IO_BROKEN || (n < 0 && s->failing)) {
		fail(s);
		return false;
	}
	return true;
}

/* False: gone. */
static bool
flush(struct stream *s)
{
	size_t  left = s->phase == PHASE_BEFORE_TLS ? s->plain : s->out.n;
	ssize_t n = 1;

	if (left == 0)
		return true;
	while (left > 0 && (n = sock_write(&s->sock, s->out.p + s->out.at, left)) > 0) {
		outbox_take(&s->out, (size_t)n);
		left -= (size_t)n;
	}
	s->plain = s->phase == PHASE_BEFORE_TLS ? left : 0;
	s->write_reads = n == IO_WANT_READ;
	if (n == IO_BROKEN) {
		/* A server that closes says why first: what it said comes before our error. */
		outbox_free(&s->out);
		s->failing = true;
		loop_defer(s->loop, &s->turn);
		return true;
	}
	return s->out.n > 0 || emit(s, STREAM_DRAINED);
}

static void
handshake(struct stream *s)
{
	int result = sock_handshake(&s->sock);

	s->read_writes = result == IO_WANT_WRITE;
	if (result == IO_BROKEN) {
		fail(s);
		return;
	}
	if (result == 1) {
		s->phase = PHASE_OPEN;
		loop_defer(s->loop, &s->turn); /* data may be inside OpenSSL already */
		if (!emit(s, STREAM_SECURE))
			return;
	}
	arm(s);
}

static void
begin_handshake(struct stream *s)
{
	s->phase = PHASE_HANDSHAKE;
	sock_secure(&s->sock, s->next);
	s->next = NULL;
	handshake(s);
}

static void
connected(struct stream *s)
{
	int       error = 0;
	socklen_t size = sizeof error;

	getsockopt(s->sock.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		sock_fail(&s->sock, error);
		fail(s);
		return;
	}
	s->phase = PHASE_OPEN;
	if (emit(s, STREAM_CONNECTED))
		step(s);
}

/* What an open stream does whenever something may have changed. */
static void
step(struct stream *s)
{
	bool may_read;

	if (!flush(s))
		return;
	if (s->phase == PHASE_BEFORE_TLS && s->plain == 0 && !s->failing) {
		begin_handshake(s);
		return;
	}
	may_read = s->phase == PHASE_OPEN && !s->eof && !s->paused && !inbox_is_full(&s->in);
	if (may_read && (s->sock.more || s->failing) && !read_once(s))
		return;
	if (s->failing && !may_read) {
		fail(s);
		return;
	}
	/* One piece each round: the others' turn comes too. */
	if (s->failing || (s->sock.more && wants_read(s)))
		loop_defer(s->loop, &s->turn);
	arm(s);
}

static void
turn(void *arg)
{
	struct stream *s = arg;
	bool           owed = s->owes_input && !s->paused && s->in.n > 0;

	switch (s->phase) {
	case PHASE_CONNECTING:
		if (s->sock.error != NULL)
			fail(s);
		return;
	case PHASE_OPEN:
	case PHASE_BEFORE_TLS:
		s->owes_input = false;
		if (owed && !emit(s, STREAM_INPUT))
			return;
		inbox_keep(&s->in);
		step(s);
		return;
	case PHASE_HANDSHAKE:
	case PHASE_DEAD:
	case PHASE_ENDING:
	case PHASE_LINGERING:
	case PHASE_GONE:
		return;
	}
}

static void
on_read(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct stream *s = arg;

	if (!wants_read(s)) {
		s->reading = false;
		event_del(&s->ev_read);
		return;
	}
	switch (s->phase) {
	case PHASE_OPEN:
		if (s->write_reads && !flush(s))
			return;
		if (s->phase == PHASE_OPEN && !s->paused && !s->eof && !read_once(s))
			return;
		step(s);
		return;
	case PHASE_HANDSHAKE:
		handshake(s);
		return;
	case PHASE_ENDING:
	case PHASE_LINGERING:
		end_step(s);
		return;
	case PHASE_CONNECTING:
	case PHASE_BEFORE_TLS:
	case PHASE_DEAD:
	case PHASE_GONE:
		return;
	}
}

static void
on_write(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct stream *s = arg;

	s->writing = false;
	switch (s->phase) {
	case PHASE_CONNECTING:
		connected(s);
		return;
	case PHASE_OPEN:
		if (s->read_writes && !s->paused && !read_once(s))
			return;
		step(s);
		return;
	case PHASE_BEFORE_TLS:
		step(s);
		return;
	case PHASE_HANDSHAKE:
		handshake(s);
		return;
	case PHASE_ENDING:
		end_step(s);
		return;
	case PHASE_DEAD:
	case PHASE_LINGERING:
	case PHASE_GONE:
		return;
	}
}

static void
set_time(struct stream *s, int64_t now, int64_t at)
{
	int64_t        ms = at > now ? at - now : 0;
	struct timeval in = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	s->armed_ms = at;
	event_add(&s->ev_time, &in);
}

/* The timer is moved when it comes too early, not with each new deadline: those come with each command. */
static void
on_time(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct stream *s = arg;
	int64_t        now = time_mono_ms();

	s->armed_ms = 0;
	if (s->deadline_ms == 0)
		return;
	if (now < s->deadline_ms) {
		set_time(s, now, s->deadline_ms);
		return;
	}
	s->deadline_ms = 0;
	if (s->phase == PHASE_ENDING || s->phase == PHASE_LINGERING)
		stream_close(s);
	else if (s->phase != PHASE_DEAD)
		emit(s, STREAM_TIMEOUT);
}

void
stream_timeout(struct stream *s, int64_t ms)
{
	int64_t now;

	s->deadline_ms = 0;
	if (ms <= 0)
		return;
	now = time_mono_ms();
	s->deadline_ms = now + ms;
	if (s->armed_ms == 0 || s->armed_ms > s->deadline_ms)
		set_time(s, now, s->deadline_ms);
}

static struct stream *
create(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream     *s = mem_zero(sizeof *s);
	struct event_base *base = loop_base(l);

	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->sock.fd = fd;
	s->turn = (struct deferred){.fn = turn, .arg = s};
	event_assign(&s->ev_read, base, fd, EV_READ | EV_PERSIST, on_read, s);
	event_assign(&s->ev_write, base, fd, EV_WRITE, on_write, s);
	event_assign(&s->ev_time, base, -1, 0, on_time, s);
	return s;
}

/* Nagle's waiting for more is 40 ms a turn of the dialogue. No TCP socket: it does not matter. */
static void
set_nodelay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

struct stream *
stream_accept(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream *s = create(l, fd, fn, arg);

	set_nodelay(fd);
	s->phase = PHASE_OPEN;
	arm(s);
	return s;
}

static int
open_socket(struct addr to, struct addr from)
{
	struct sockaddr_storage ss;
	socklen_t               size = addr_to_sockaddr(to, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -1;
	set_nodelay(fd);
	if (from.family != 0) {
		struct sockaddr_storage own;
		socklen_t               own_size = addr_to_sockaddr(from, &own);

		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
		if (bind(fd, (struct sockaddr *)&own, own_size) != 0)
			goto fail;
	}
	if (connect(fd, (struct sockaddr *)&ss, size) == 0 || errno == EINPROGRESS)
		return fd;
fail:
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

struct stream *
stream_connect(struct loop *l, struct addr to, struct addr from, stream_fn *fn, void *arg)
{
	int            fd = open_socket(to, from);
	int            error = errno;
	struct stream *s = create(l, fd, fn, arg);

	s->phase = PHASE_CONNECTING;
	s->to = to;
	if (fd >= 0) {
		arm(s);
		return s;
	}
	sock_fail(&s->sock, error);
	loop_defer(l, &s->turn);
	return s;
}

void
stream_handler(struct stream *s, stream_fn *fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
}

void
stream_close(struct stream *s)
{
	if (s == NULL)
		return;
	if (s->reading)
		event_del(&s->ev_read);
	if (s->writing)
		event_del(&s->ev_write);
	event_del(&s->ev_time);
	loop_defer_cancel(s->loop, &s->turn);
	list_remove(loop_orphans(s->loop, sweep), &s->orphan);
	SSL_free(s->next);
	sock_close(&s->sock);
	inbox_free(&s->in);
	outbox_free(&s->out);
	s->phase = PHASE_GONE;
	if (!s->busy)
		free(s);
}

/*
 * A socket closed with input unread sends RST, and that may overtake our last
 * reply. So: FIN first, then throw away what comes until the peer's FIN.
 */
static void
linger(struct stream *s)
{
	char    waste[4096];
	ssize_t n;

	while ((n = recv(s->sock.fd, waste, sizeof waste, MSG_DONTWAIT)) > 0 &&
	       (s->lingered += (size_t)n) < LINGER_OCTETS)
		;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		arm(s);
	else
		stream_close(s);
}

static void
end_step(struct stream *s)
{
	ssize_t n = 1;

	if (s->phase == PHASE_LINGERING) {
		linger(s);
		return;
	}
	while (s->out.n > 0 && (n = sock_write(&s->sock, s->out.p + s->out.at, s->out.n)) > 0)
		outbox_take(&s->out, (size_t)n);
	s->write_reads = n == IO_WANT_READ;
	if (n == IO_BROKEN) {
		stream_close(s);
		return;
	}
	if (s->out.n > 0) {
		arm(s);
		return;
	}
	sock_end(&s->sock);
	s->phase = PHASE_LINGERING;
	stream_timeout(s, LINGER_MS);
	linger(s);
}

void
stream_finish(struct stream *s)
{
	bool can_speak = s->phase == PHASE_OPEN || s->phase == PHASE_BEFORE_TLS;

	if (!can_speak || s->failing) {
		stream_close(s);
		return;
	}
	loop_defer_cancel(s->loop, &s->turn);
	if (s->phase == PHASE_BEFORE_TLS)
		s->out.n = s->plain; /* the rest was meant to be encrypted */
	s->phase = PHASE_ENDING;
	s->read_writes = false;
	inbox_free(&s->in);
	list_push(loop_orphans(s->loop, sweep), &s->orphan);
	stream_timeout(s, FINISH_MS);
	end_step(s);
}

/* Taking makes room for what waits in the kernel or in OpenSSL, or leaves a buffer to be freed. */
static void
taken(struct stream *s)
{
	bool idle = !s->busy && s->in.n == 0 && s->in.p != NULL;

	if (idle || s->sock.more || (!s->reading && wants_read(s)))
		loop_defer(s->loop, &s->turn);
}

enum stream_line
stream_line(struct stream *s, size_t limit, struct str *line)
{
	enum stream_line result = inbox_line(&s->in, limit, line);

	taken(s);
	return result;
}

struct str
stream_peek(struct stream *s, size_t max)
{
	return inbox_peek(&s->in, max);
}

void
stream_take(struct stream *s, size_t n)
{
	inbox_take(&s->in, n);
	taken(s);
}

size_t
stream_waiting(const struct stream *s)
{
	return s->in.n;
}

void
stream_write(struct stream *s, struct str octets)
{
	if (octets.n == 0 || s->failing || s->phase >= PHASE_DEAD)
		return;
	outbox_add(&s->out, octets);
	if (!s->writing && s->phase != PHASE_CONNECTING)
		loop_defer(s->loop, &s->turn);
}

size_t
stream_unsent(const struct stream *s)
{
	return s->out.n;
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
}

void
stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	s->owes_input = true;
	if (s->in.n > 0 || s->sock.more)
		loop_defer(s->loop, &s->turn);
	arm(s);
}

static bool
start_tls(struct stream *s, SSL *ssl)
{
	assert(s->next == NULL && s->sock.ssl == NULL);
	s->next = ssl;
	s->plain = s->out.n;
	s->phase = PHASE_BEFORE_TLS;
	loop_defer(s->loop, &s->turn);
	return true;
}

static bool
may_start_tls(const struct stream *s)
{
	return s->phase == PHASE_OPEN && s->sock.ssl == NULL && s->in.n == 0 && !s->in.skipping;
}

bool
stream_tls_accept(struct stream *s, struct tls_server *ctx)
{
	return may_start_tls(s) && start_tls(s, tls_server_ssl(ctx));
}

bool
stream_tls_connect(struct stream *s, struct tls_client *ctx, struct str name)
{
	return may_start_tls(s) && start_tls(s, tls_client_ssl(ctx, name));
}

const struct tls_info *
stream_tls(const struct stream *s)
{
	return s->sock.secure ? &s->sock.info : NULL;
}

bool
stream_tls_exporter(const struct stream *s, uint8_t out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (!s->sock.secure || SSL_version(s->sock.ssl) < TLS1_3_VERSION)
		return false;
	return SSL_export_keying_material(s->sock.ssl, out, 32, label, sizeof label - 1, NULL, 0,
	                                  0) == 1;
}

/* What is no internet socket has no address. */
static struct addr
ask(int fd, int (*name)(int fd, struct sockaddr *sa, socklen_t *size))
{
	struct sockaddr_storage ss = {0};
	socklen_t               size = sizeof ss;
	struct addr             a = {0};

	if (fd >= 0 && name(fd, (struct sockaddr *)&ss, &size) == 0)
		(void)addr_from_sockaddr((struct sockaddr *)&ss, &a);
	return a;
}

struct addr
stream_peer(const struct stream *s)
{
	return s->to.family != 0 ? s->to : ask(s->sock.fd, getpeername);
}

struct addr
stream_local(const struct stream *s)
{
	return ask(s->sock.fd, getsockname);
}

const char *
stream_error(const struct stream *s)
{
	return s->sock.error == NULL ? "no error" : s->sock.error;
}
