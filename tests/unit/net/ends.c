/* SPDX-License-Identifier: ISC */
#include "tests/unit/net/ends.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/listener.h"

enum { DIARY_MAX = 1 << 20, GOT_MAX = 1 << 28, PATIENCE_MS = 120 * 1000 };

static const char *const words[] = {
	[STREAM_CONNECTED] = "CONNECTED ", [STREAM_INPUT] = "INPUT ", [STREAM_DRAINED] = "DRAINED ",
	[STREAM_SECURE] = "SECURE ",       [STREAM_EOF] = "EOF ",     [STREAM_TIMEOUT] = "TIMEOUT ",
	[STREAM_ERROR] = "ERROR ",
};

void
end_event(void *arg, enum stream_event event)
{
	struct end *e = arg;

	buf_addz(&e->diary, words[event]);
	if (event == STREAM_INPUT && !e->lazy) {
		struct str s = stream_peek(e->s, SIZE_MAX);

		assert(s.n == stream_waiting(e->s));
		buf_add(&e->got, s);
		stream_take(e->s, s.n);
	}
	if (e->close_on[event]) {
		stream_close(e->s);
		e->s = NULL;
	} else if (e->finish_on[event]) {
		stream_finish(e->s);
		e->s = NULL;
	}
	loop_stop(e->loop);
}

void
end_init(struct end *e, struct loop *l)
{
	*e = (struct end){.loop = l, .diary = BUF(DIARY_MAX), .got = BUF(GOT_MAX)};
}

void
end_free(struct end *e)
{
	stream_close(e->s);
	buf_free(&e->diary);
	buf_free(&e->got);
}

int
listen_anywhere(struct addr *at)
{
	struct buf              why = BUF(256);
	struct addr             any = {.family = 4, .ip = {127, 0, 0, 1}};
	int                     fd = listener_bind(any, &why);
	struct sockaddr_storage ss;
	socklen_t               size = sizeof ss;

	assert(fd >= 0);
	getsockname(fd, (struct sockaddr *)&ss, &size);
	if (!addr_from_sockaddr((struct sockaddr *)&ss, at))
		abort();
	buf_free(&why);
	return fd;
}

void
ends_connect(struct end *a, struct end *b, struct loop *l)
{
	struct addr at;
	int         listening = listen_anywhere(&at);

	end_init(a, l);
	end_init(b, l);
	a->s = stream_connect(l, at, (struct addr){0}, end_event, a);
	end_wait(a, "CONNECTED");
	b->s = stream_accept(l, accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC),
	                     end_event, b);
	close(listening);
}

void
ends_free(struct end *a, struct end *b)
{
	end_free(a);
	end_free(b);
}

struct patience {
	struct loop *loop;
	bool         over;
};

static void
lose_patience(void *arg)
{
	struct patience *p = arg;

	p->over = true;
	loop_stop(p->loop);
}

static bool
has(const struct end *e, const char *word, size_t n)
{
	return (word == NULL || str_find_str(buf_str(&e->diary), str_of(word)) >= 0) &&
	       e->got.n >= n;
}

static void
wait_for(struct end *e, const char *word, size_t n)
{
	struct patience p = {.loop = e->loop};
	struct timer   *t = timer_create_on(e->loop, lose_patience, &p);

	timer_set(t, PATIENCE_MS);
	while (!has(e, word, n) && !p.over)
		loop_run(e->loop);
	timer_destroy(t);
	assert(!p.over);
}

void
end_wait(struct end *e, const char *word)
{
	wait_for(e, word, 0);
}

void
end_wait_octets(struct end *e, size_t n)
{
	wait_for(e, NULL, n);
}

void
loop_run_ms(struct loop *l, int64_t ms)
{
	struct patience p = {.loop = l};
	struct timer   *t = timer_create_on(l, lose_patience, &p);

	timer_set(t, ms);
	while (!p.over)
		loop_run(l);
	timer_destroy(t);
}
