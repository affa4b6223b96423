/* SPDX-License-Identifier: ISC */
#include "delivery/body.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/net/stream.h"
#include "lib/util/mem.h"

static void
start(struct body *b, struct str signature)
{
	*b = (struct body){.signature = signature, .fd = -1, .tail = {'\r', '\n'}};
}

void
body_init(struct body *b, struct str signature, struct str memory)
{
	start(b, signature);
	b->memory = memory;
	b->size = memory.n;
}

void
body_init_fd(struct body *b, struct str signature, int fd, uint64_t size)
{
	start(b, signature);
	b->fd = fd;
	b->size = size;
}

void
body_free(struct body *b)
{
	free(b->piece);
	b->piece = NULL;
}

/* Does a line begin behind the octets sent so far, and a dot with it? */
static bool
dot_at_edge(const struct body *b, struct str piece)
{
	if (b->tail[0] == '\r' && b->tail[1] == '\n')
		return piece.n > 0 && piece.p[0] == '.';
	return false;
}

static void
remember_tail(struct body *b, struct str piece)
{
	if (piece.n == 0)
		return;
	b->tail[0] = piece.n > 1 ? piece.p[piece.n - 2] : b->tail[1];
	b->tail[1] = piece.p[piece.n - 1];
}

/* A piece as it is, with a dot more before each that begins a line. */
static void
stuff(struct body *b, struct stream *to, struct str piece)
{
	struct str rest = piece;
	ptrdiff_t  at;

	if (dot_at_edge(b, rest))
		stream_write(to, STR("."));
	/* The pair may lie across the edge: "\r" sent before, "\n." here. */
	if (b->tail[1] == '\r' && str_starts(rest, STR("\n."))) {
		stream_write(to, STR("\n."));
		rest = str_skip(rest, 1);
	}
	while ((at = str_find_str(rest, STR("\r\n."))) >= 0) {
		stream_write(to, str_sub(rest, 0, (size_t)at + 3));
		rest = str_skip(rest, (size_t)at + 2); /* the dot again */
	}
	stream_write(to, rest);
	remember_tail(b, piece);
}

static bool
read_piece(struct body *b, struct str *piece)
{
	uint64_t left = b->size - b->at;
	size_t   want = left < BODY_PIECE ? (size_t)left : BODY_PIECE;
	ssize_t  n;

	if (b->fd < 0) {
		*piece = str_sub(b->memory, (size_t)b->at, want);
		return true;
	}
	if (b->piece == NULL)
		b->piece = mem_resize(NULL, BODY_PIECE, 1);
	do
		n = pread(b->fd, b->piece, want, (off_t)b->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return want == 0;
	*piece = (struct str){b->piece, (size_t)n};
	return true;
}

enum body_state
body_write(struct body *b, struct stream *to)
{
	struct str piece = STR_NONE;

	if (b->signature.n > 0) {
		stream_write(to, b->signature);
		b->signature = STR_NONE;
	}
	if (!read_piece(b, &piece))
		return BODY_UNREADABLE;
	stuff(b, to, piece);
	b->at += piece.n;
	if (b->at < b->size)
		return BODY_MORE;
	stream_write(to, b->tail[0] == '\r' && b->tail[1] == '\n' ? STR(".\r\n") : STR("\r\n.\r\n"));
	return BODY_END;
}
