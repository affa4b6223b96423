/* SPDX-License-Identifier: ISC */
/*
 * stream - a connection, plain or TLS, under both SMTP sides.
 *
 * The SMTP code sees lines, octets and events, never a socket or OpenSSL.
 * tests/fake has a second implementation of this header that plays scripts.
 *
 * A stream has one owner and one event function. Events come one at a time and
 * never from inside a call to the stream. Inside an event function the owner
 * may close the stream.
 */
#ifndef LIB_NET_STREAM_H
#define LIB_NET_STREAM_H

#include "lib/net/addr.h"
#include "lib/net/tls.h"

struct loop;
struct stream;

enum stream_event {
	STREAM_CONNECTED, /* stream_connect() got through */
	STREAM_INPUT,     /* new input; comes again only when more arrives or after stream_resume() */
	STREAM_DRAINED,   /* all output has gone to the kernel */
	STREAM_SECURE,    /* the TLS handshake is done; input before it is gone */
	STREAM_EOF,       /* the peer has finished; no more input comes */
	STREAM_TIMEOUT,   /* the time of stream_timeout() is over */
	STREAM_ERROR,     /* broken; stream_error() says why; only closing is left */
};

typedef void stream_fn(void *arg, enum stream_event event);

/*
 * An accepted, non-blocking socket; the descriptor becomes the stream's. Never NULL. TCP_NODELAY comes
 * with it, from the listener.
 */
struct stream *stream_accept(struct loop *l, int fd, stream_fn *fn, void *arg);

/*
 * Connect; `from` is the local address to bind, family 0 for any. Never NULL: it ends in CONNECTED, ERROR
 * (whatever failed, at once or later) or, if the owner has set one, TIMEOUT.
 */
struct stream *stream_connect(struct loop *l, struct addr to, struct addr from, stream_fn *fn, void *arg);

void stream_handler(struct stream *s, stream_fn *fn, void *arg); /* hand over to another owner */

/* Drop it at once; NULL is allowed. No events come after. */
void stream_close(struct stream *s);

/*
 * Give it away: what is in the output still goes out (10 s at most), then the
 * connection ends cleanly. No events come after, the pointer is dead.
 */
void stream_finish(struct stream *s);

/*
 * The same for a peer who has said goodbye: once all is sent, a plain connection is closed
 * without waiting for his end of it. He has nothing more to say, so nothing of ours can be lost.
 */
void stream_dismiss(struct stream *s);

enum stream_line {
	LINE_NONE, /* not whole yet */
	LINE_OK,
	LINE_LONG, /* over the limit: told once, when that is sure; the line is dropped up to its end */
	LINE_BARE, /* holds a CR or LF that is not part of CRLF, or a NUL; given whole, the owner decides */
};

/*
 * Take the next line, at most `limit` octets (48 KiB) with its CRLF. `line` is without
 * the end and valid until the next call on the stream, but not after the loop has turned.
 * A lone LF ends a line too, and is told as LINE_BARE.
 */
enum stream_line stream_line(struct stream *s, size_t limit, struct str *line);

/*
 * What has come and not been taken, as one piece of at most `max` octets (never
 * above 64 KiB); then take the first `n` of it.
 */
struct str stream_peek(struct stream *s, size_t max);
void       stream_take(struct stream *s, size_t n);

/*
 * From now on the socket is read in pieces of at most so many octets, one in each turn of the loop: with many
 * streams that bring much, others wait for a turn of each. 0: as many as fit. TLS reads its records as they are.
 */
void stream_gulp(struct stream *s, size_t octets);
size_t     stream_waiting(const struct stream *s); /* octets of input not taken */

void   stream_write(struct stream *s, struct str octets); /* copied; leaves when the loop next turns */
size_t stream_unsent(const struct stream *s);             /* octets of output still here */

/* Paused: nothing more is read from the peer; input that has come stays and can be taken. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s); /* an INPUT event follows if input waits */

/* One STREAM_TIMEOUT this many ms from now, whatever happens; 0: none. A new call replaces the old. */
void stream_timeout(struct stream *s, int64_t ms);

/*
 * Begin TLS once the output is drained; what is written from now on comes after
 * the handshake. False if plain input waits (injection: RFC 3207 section 6,
 * CVE-2011-0411): the caller must end the session. The server's context is counted
 * up, the client's must outlive the stream. `name` is for SNI and for verification.
 * Ends in SECURE or ERROR; the owner's time-out goes on, and should be set.
 */
bool stream_tls_accept(struct stream *s, struct tls_server *ctx) MUST_USE;
bool stream_tls_connect(struct stream *s, struct tls_client *ctx, struct str name) MUST_USE;

const struct tls_info *stream_tls(const struct stream *s); /* NULL: plain */
/* tls-exporter channel binding of RFC 9266, 32 octets; false if plain or below TLS 1.3. */
bool stream_tls_exporter(const struct stream *s, uint8_t out[32]) MUST_USE;

struct addr stream_peer(const struct stream *s);
struct addr stream_local(const struct stream *s);
const char *stream_error(const struct stream *s); /* "connection refused"; never NULL */

#endif
