/* SPDX-License-Identifier: ISC */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/inbox.h"
#include "tests/fake/fake_inner.h"

enum { WIRE_MAX = 256 * 1024 * 1024 };

enum phase { CONNECTING, OPEN, BEFORE_TLS, HANDSHAKE, DEAD, GONE };

struct stream {
	struct loop      *loop;
	struct fake_peer *peer;
	stream_fn        *fn;
	void             *arg;
	struct inbox      in;
	struct buf        out;
	size_t            plain; /* BEFORE_TLS: octets of `out` that were written before */
	enum phase        phase;
	bool              busy;
	bool              paused;
	bool              eof;
	bool              owes_input;
	struct timer     *time;
	struct deferred   turn;
};

struct fake_peer {
	struct stream  *s; /* NULL: our side has ended it */
	int             fd;
	struct addr     peer, local, to, from;
	bool            reached; /* the connection got through */
	const char     *failed;  /* NULL: it has not */
	struct buf      sent;    /* by the peer, not read yet */
	bool            sent_eof;
	struct buf      got; /* by the peer */
	bool            stalled;
	enum fake_tls   tls;
	char           *tls_name;
	bool            secured; /* the handshake has succeeded, not told yet */
	struct tls_info info;
	enum fake_end   end;
};

static char scratch[INBOX_MAX];

/* False: freed, or told of an error. */
static bool
emit(struct stream *s, enum stream_event event)
{
	s->busy = true;
	s->fn(s->arg, event);
	s->busy = false;
	if (s->phase == GONE) {
		free(s);
		return false;
	}
	inbox_keep(&s->in);
	return s->phase < DEAD;
}

static void
fail(struct stream *s, const char *why)
{
	s->peer->failed = why;
	s->phase = DEAD;
	buf_clear(&s->out);
	emit(s, STREAM_ERROR);
}

static bool
flush(struct stream *s)
{
	size_t n = s->phase == BEFORE_TLS ? s->plain : s->out.n;

	if (n == 0 || s->peer->stalled || s->phase == CONNECTING || s->phase == HANDSHAKE)
		return true;
	buf_add(&s->peer->got, str_sub(buf_str(&s->out), 0, n));
	buf_drop(&s->out, n);
	s->plain = 0;
	return s->out.n > 0 || emit(s, STREAM_DRAINED);
}

static bool
shake_hands(struct stream *s)
{
	struct fake_peer *p = s->peer;

	if (s->phase == BEFORE_TLS && s->plain == 0) {
		s->phase = HANDSHAKE;
		p->tls = FAKE_TLS_ASKED;
	}
	if (s->phase != HANDSHAKE || !p->secured)
		return true;
	p->secured = false;
	if (p->sent.n > 0) {
		fail(s, "TLS: wrong version number");
		return false;
	}
	p->tls = FAKE_TLS_DONE;
	s->phase = OPEN;
	loop_defer(s->loop, &s->turn);
	return emit(s, STREAM_SECURE);
}

static bool
may_read(const struct stream *s)
{
	return s->phase == OPEN && !s->paused && !s->eof;
}

static bool
receive(struct stream *s)
{
	struct fake_peer *p = s->peer;
	size_t            room;
	char             *to;

	if (!may_read(s) || p->sent.n == 0 || (to = inbox_room(&s->in, scratch, &room)) == NULL)
		return true;
	if (room > p->sent.n)
		room = p->sent.n;
	memcpy(to, p->sent.p, room);
	buf_drop(&p->sent, room);
	inbox_came(&s->in, room);
	loop_defer(s->loop, &s->turn);
	return emit(s, STREAM_INPUT);
}

static void
turn(void *arg)
{
	struct stream    *s = arg;
	struct fake_peer *p = s->peer;
	bool              owed = s->owes_input && !s->paused && s->in.n > 0;

	if (s->phase == DEAD)
		return;
	if (s->phase == CONNECTING && p->reached) {
		s->phase = OPEN;
		if (!emit(s, STREAM_CONNECTED))
			return;
	}
	s->owes_input = false;
	if ((owed && !emit(s, STREAM_INPUT)) || !flush(s) || !shake_hands(s) || !receive(s))
		return;
	if (may_read(s) && p->sent.n == 0 && p->sent_eof) {
		s->eof = true;
		if (!emit(s, STREAM_EOF))
			return;
	}
	if (p->failed != NULL && (p->sent.n == 0 || !may_read(s)))
		fail(s, p->failed);
}

static void
expired(void *arg)
{
	struct stream *s = arg;

	if (s->phase != DEAD)
		emit(s, STREAM_TIMEOUT);
}

static struct stream *
create(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream    *s = mem_zero(sizeof *s);
	struct fake_peer *p = mem_zero(sizeof *p);

	s->loop = l;
	s->peer = p;
	s->fn = fn;
	s->arg = arg;
	s->out = BUF(WIRE_MAX);
	s->time = timer_create_on(l, expired, s);
	s->turn = (struct deferred){.fn = turn, .arg = s};
	*p = (struct fake_peer){.s = s, .fd = fd, .sent = BUF(WIRE_MAX), .got = BUF(WIRE_MAX)};
	l->peers = mem_resize(l->peers, l->peer_count + 1, sizeof *l->peers);
	l->peers[l->peer_count++] = p;
	return s;
}

struct stream *
stream_accept(struct loop *l, int fd, stream_fn *fn, void *arg)
{
	struct stream *s = create(l, fd, fn, arg);

	s->phase = OPEN;
	s->peer->reached = true;
	s->peer->peer = l->peer;
	s->peer->local = l->local;
	return s;
}

struct stream *
stream_connect(struct loop *l, struct addr to, struct addr from, stream_fn *fn, void *arg)
{
	struct stream *s = create(l, -1, fn, arg);

	s->peer->peer = s->peer->to = to;
	s->peer->from = from;
	s->peer->local = from.family != 0 ? from : l->local;
	return s;
}

void
stream_handler(struct stream *s, stream_fn *fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
}

static void
end(struct stream *s, enum fake_end how)
{
	struct fake_peer *p = s->peer;

	p->s = NULL;
	p->end = how;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	timer_destroy(s->time);
	loop_defer_cancel(s->loop, &s->turn);
	inbox_free(&s->in);
	buf_free(&s->out);
	s->phase = GONE;
	if (!s->busy)
		free(s);
}

void
stream_close(struct stream *s)
{
	if (s != NULL)
		end(s, FAKE_CLOSED);
}

void
stream_finish(struct stream *s)
{
	if (s->phase == BEFORE_TLS)
		buf_truncate(&s->out, s->plain);
	if (s->phase == OPEN || s->phase == BEFORE_TLS)
		buf_add(&s->peer->got, buf_str(&s->out));
	end(s, FAKE_FINISHED);
}

void
stream_dismiss(struct stream *s)
{
	stream_finish(s);
}

static void
taken(struct stream *s)
{
	if (s->peer->sent.n > 0)
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

/* What comes is read as the script sends it. */
void
stream_gulp(struct stream *s, size_t octets)
{
	(void)s;
	(void)octets;
}

size_t
stream_waiting(const struct stream *s)
{
	return s->in.n;
}

void
stream_write(struct stream *s, struct str octets)
{
	if (s->phase == DEAD || s->peer->failed != NULL)
		return;
	buf_add(&s->out, octets);
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
	loop_defer(s->loop, &s->turn);
}

void
stream_timeout(struct stream *s, int64_t ms)
{
	if (ms > 0)
		timer_set(s->time, ms);
	else
		timer_clear(s->time);
}

static bool
start_tls(struct stream *s, struct str name)
{
	if (s->phase != OPEN || s->peer->tls != FAKE_PLAIN || s->in.n > 0 || s->in.skipping)
		return false;
	s->phase = BEFORE_TLS;
	s->plain = s->out.n;
	s->peer->tls_name = str_dup(name);
	loop_defer(s->loop, &s->turn);
	return true;
}

bool
stream_tls_accept(struct stream *s, struct tls_server *ctx UNUSED)
{
	return start_tls(s, STR_NONE);
}

bool
stream_tls_connect(struct stream *s, struct tls_client *ctx UNUSED, struct str name)
{
	return start_tls(s, name);
}

const struct tls_info *
stream_tls(const struct stream *s)
{
	return s->peer->tls == FAKE_TLS_DONE ? &s->peer->info : NULL;
}

bool
stream_tls_exporter(const struct stream *s, uint8_t out[32])
{
	if (s->peer->tls != FAKE_TLS_DONE || strcmp(s->peer->info.version, "1.3") != 0)
		return false;
	memset(out, 'x', 32);
	return true;
}

struct addr
stream_peer(const struct stream *s)
{
	return s->peer->peer;
}

struct addr
stream_local(const struct stream *s)
{
	return s->peer->local;
}

const char *
stream_error(const struct stream *s)
{
	return s->peer->failed == NULL ? "no error" : s->peer->failed;
}

/* The peer's side. */

static void
wake(struct fake_peer *p)
{
	if (p->s != NULL)
		loop_defer(p->s->loop, &p->s->turn);
}

struct fake_peer *
fake_peer_at(struct loop *l, size_t index)
{
	return index < l->peer_count ? l->peers[index] : NULL;
}

size_t
fake_peers(const struct loop *l)
{
	return l->peer_count;
}

void
fake_addresses(struct loop *l, struct addr peer, struct addr local)
{
	l->peer = peer;
	l->local = local;
}

bool
fake_is_connecting(const struct fake_peer *p)
{
	return p->s != NULL && p->s->phase == CONNECTING && !p->reached && p->failed == NULL;
}

struct addr
fake_to(const struct fake_peer *p)
{
	return p->to;
}

struct addr
fake_from(const struct fake_peer *p)
{
	return p->from;
}

void
fake_connect(struct fake_peer *p)
{
	p->reached = true;
	wake(p);
}

void
fake_fail(struct fake_peer *p, const char *why)
{
	p->failed = why;
	wake(p);
}

void
fake_send(struct fake_peer *p, struct str octets)
{
	buf_add(&p->sent, octets);
	wake(p);
}

void
fake_eof(struct fake_peer *p)
{
	p->sent_eof = true;
	wake(p);
}

struct str
fake_got(const struct fake_peer *p)
{
	return buf_str(&p->got);
}

void
fake_taken(struct fake_peer *p, size_t n)
{
	buf_drop(&p->got, n);
}

void
fake_stall(struct fake_peer *p, bool stalled)
{
	p->stalled = stalled;
	wake(p);
}

enum fake_tls
fake_tls(const struct fake_peer *p)
{
	return p->tls;
}

struct str
fake_tls_name(const struct fake_peer *p)
{
	return str_of(p->tls_name);
}

void
fake_secure(struct fake_peer *p, const struct tls_info *info)
{
	p->info = *info;
	p->secured = true;
	wake(p);
}

enum fake_end
fake_end(const struct fake_peer *p)
{
	return p->end;
}

void
fake_peers_destroy(struct loop *l)
{
	for (size_t i = 0; i < l->peer_count; i++) {
		struct fake_peer *p = l->peers[i];

		stream_close(p->s);
		buf_free(&p->sent);
		buf_free(&p->got);
		free(p->tls_name);
		free(p);
	}
	free(l->peers);
}
