/* SPDX-License-Identifier: ISC */
/* How a stream ends: at once, or with its last words delivered. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/net/stream_inner.h"

enum {
	FINISH_MS = 10 * 1000, /* for a peer that does not read our last words */
	LINGER_MS = 2 * 1000,  /* for one that has them, to close */
	LINGER_OCTETS = 256 * 1024,
};

static void
sweep(struct link *orphan)
{
	stream_close(CONTAINER(orphan, struct stream, orphan));
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
		stream_arm(s);
	else
		stream_close(s);
}

void
stream_end_step(struct stream *s)
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
		stream_arm(s);
		return;
	}
	if (s->dismissed && s->sock.ssl == NULL) {
		stream_close(s);
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
	stream_end_step(s);
}

void
stream_dismiss(struct stream *s)
{
	s->dismissed = s->in.n == 0;
	stream_finish(s);
}
