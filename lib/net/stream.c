/* SPDX-License-Identifier: ISC */
#include "lib/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "lib/net/stream_inner.h"

static struct stream *
create(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream *s = mem_zero(sizeof *s);

	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->sock.fd = fd;
	stream_drive(s);
	return s;
}

struct stream *
stream_accept(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream *s = create(l, fd, fn, arg);

	s->phase = PHASE_OPEN;
	stream_arm(s);
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
	sock_set_nodelay(fd);
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
		stream_arm(s);
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

/* Taking makes room for what waits in the kernel or in OpenSSL, or leaves a buffer to be freed. */
static void
taken(struct stream *s)
{
	bool idle = !s->busy && s->in.n == 0 && s->in.p != NULL;

	if (idle || s->sock.more || (!s->reading && stream_wants_read(s)))
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

void
stream_gulp(struct stream *s, size_t octets)
{
	s->gulp = octets;
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
	stream_arm(s);
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
