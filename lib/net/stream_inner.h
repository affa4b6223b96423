/* SPDX-License-Identifier: ISC */
/* stream_inner - a stream from inside, for the files that make it one. */
#ifndef LIB_NET_STREAM_INNER_H
#define LIB_NET_STREAM_INNER_H

#include <event2/event_struct.h>

#include "lib/net/inbox.h"
#include "lib/net/loop_inner.h"
#include "lib/net/outbox.h"
#include "lib/net/sock.h"

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
	size_t          gulp; /* of stream_gulp(); 0: no limit */
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
	bool            dismissed; /* nothing more can come: no lingering */
};

/* Ready the events of a new stream; none comes before stream_arm(). */
void stream_drive(struct stream *s);

/* Ask the kernel for what the phase needs. */
void stream_arm(struct stream *s);
bool stream_wants_read(const struct stream *s);

/* The next bit of finishing; the stream may be gone after it. */
void stream_end_step(struct stream *s);

#endif
