/* SPDX-License-Identifier: ISC */
/* What moves a stream: the loop's events come in here and the owner's go out. */
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/net/stream_inner.h"
#include "lib/util/time.h"

static void step(struct stream *s);

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

bool
stream_wants_read(const struct stream *s)
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
		return (s->read_writes && !s->paused) || (s->out.n > 0 && !s->write_reads);
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
void
stream_arm(struct stream *s)
{
	if (!s->reading && stream_wants_read(s)) {
		s->reading = true;
		loop_event_add(&s->ev_read, NULL);
	}
	if (!s->writing && wants_write(s)) {
		s->writing = true;
		loop_event_add(&s->ev_write, NULL);
	}
}

/* False: gone. */
static bool
read_once(struct stream *s)
{
	size_t  room;
	char   *to = inbox_room(&s->in, loop_scratch(s->loop), &room);
	ssize_t n;

	if (s->gulp > 0 && s->gulp < room && s->sock.ssl == NULL)
		room = s->gulp;
	n = to == NULL ? IO_WANT_READ : sock_read(&s->sock, to, room);
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
	stream_arm(s);
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
	if (s->failing || (s->sock.more && stream_wants_read(s)))
		loop_defer(s->loop, &s->turn);
	stream_arm(s);
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

	if (!stream_wants_read(s)) {
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
		stream_end_step(s);
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
		stream_end_step(s);
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
	loop_event_add(&s->ev_time, &in);
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

void
stream_drive(struct stream *s)
{
	struct event_base *base = loop_base(s->loop);

	s->turn = (struct deferred){.fn = turn, .arg = s};
	event_assign(&s->ev_read, base, s->sock.fd, EV_READ | EV_PERSIST, on_read, s);
	event_assign(&s->ev_write, base, s->sock.fd, EV_WRITE, on_write, s);
	event_assign(&s->ev_time, base, -1, 0, on_time, s);
}
