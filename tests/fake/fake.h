/* SPDX-License-Identifier: ISC */
/*
 * fake - the other end of lib/net and lib/proc/channel when a test links them.
 *
 * fake_dep defines every function of lib/net/loop.h, lib/net/stream.h,
 * lib/net/tls.h and lib/proc/channel.h a second time: no sockets, no
 * descriptors, no OpenSSL, and a clock that moves only when it is told to. This header is what a
 * test (or script.c) uses to play the peer, the network and the clock. One loop at a time.
 *
 * Nothing happens inside a call: the peer's octets, replies and time become
 * events of the code under test in fake_run() and fake_wait().
 */
#ifndef TESTS_FAKE_FAKE_H
#define TESTS_FAKE_FAKE_H

#include "lib/net/stream.h"
#include "lib/proc/channel.h"

struct loop;

/* The wall clock starts here: 2026-01-02T03:04:05.000Z. loop_create() installs the hook of time.h. */
enum { FAKE_START_S = 1767323045 };

void fake_run(struct loop *l);              /* until nothing is left to do now */
void fake_wait(struct loop *l, int64_t ms); /* the same, and timers as they fall due while time passes */
void fake_signal(struct loop *l, int signo);
void fake_ready(struct loop *l, int fd, unsigned what); /* WATCH_* for the watch on `fd` */

/*
 * The peer's view of a stream. Streams are found by the order of their making,
 * from 0; one that our side closed stays visible until loop_destroy().
 */
struct fake_peer;

struct fake_peer *fake_peer_at(struct loop *l, size_t index); /* NULL: not made yet */
size_t            fake_peers(const struct loop *l);

/* What stream_peer() and stream_local() say on the streams that stream_accept() makes from now on. */
void fake_addresses(struct loop *l, struct addr peer, struct addr local);

/* A stream_connect() that waits; `to` and `from` are what was asked. */
bool        fake_is_connecting(const struct fake_peer *p);
struct addr fake_to(const struct fake_peer *p);
struct addr fake_from(const struct fake_peer *p);
void        fake_connect(struct fake_peer *p);
void        fake_fail(struct fake_peer *p, const char *why); /* also later: the connection breaks */

void       fake_send(struct fake_peer *p, struct str octets);
void       fake_eof(struct fake_peer *p);
struct str fake_got(const struct fake_peer *p); /* what our side sent and fake_taken() has not removed */
void       fake_taken(struct fake_peer *p, size_t n);
void       fake_stall(struct fake_peer *p, bool stalled); /* the peer reads nothing; output stays unsent */

enum fake_tls { FAKE_PLAIN, FAKE_TLS_ASKED, FAKE_TLS_DONE };
enum fake_tls fake_tls(const struct fake_peer *p);
struct str    fake_tls_name(const struct fake_peer *p); /* as given to stream_tls_connect() */
void          fake_secure(struct fake_peer *p, const struct tls_info *info); /* copied; its texts must be literals */

enum fake_end { FAKE_OPEN, FAKE_CLOSED, FAKE_FINISHED }; /* by stream_close(), stream_finish() */
enum fake_end fake_end(const struct fake_peer *p);

/*
 * Frames. What the code under test sent waits in one line over all channels,
 * each frame having been encoded and decoded by wire.c on its way.
 */
struct fake_frame {
	enum wire_id id;
	const void  *msg; /* struct of `id`, valid until fake_frame_drop() */
	int          fd;  /* the frame's, or -1; closed by fake_frame_drop() */
	enum role_id to;
	unsigned     channel; /* its number: the first that was opened on this loop is 0 */
};

const struct fake_frame *fake_frame(struct loop *l); /* the oldest; NULL: none */
void                     fake_frame_drop(struct loop *l);

/*
 * Hand over a message on the channel to `from` (if there are several: the one that was
 * sent to last, else the oldest). False if there is none that may get it.
 */
bool fake_message(struct loop *l, enum wire_id id, const void *msg, int fd) MUST_USE;
/* The same on a certain channel; false also if that has ended, or no such message comes on it. */
int  fake_channel(const struct loop *l, enum role_id peer, size_t nth); /* of those that live; -1: there is none */
bool fake_message_on(struct loop *l, unsigned channel, enum wire_id id, const void *msg, int fd) MUST_USE;
bool fake_gone(struct loop *l, enum role_id peer) MUST_USE; /* that role dies */
void fake_clog(struct loop *l, enum role_id peer, size_t unsent); /* what channel_unsent() says */

#endif
