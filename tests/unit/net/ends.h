/* SPDX-License-Identifier: ISC */
/* ends - two streams that face each other over a real socket, and a diary of what they lived through. */
#ifndef TESTS_UNIT_NET_ENDS_H
#define TESTS_UNIT_NET_ENDS_H

#include "lib/net/loop.h"
#include "lib/net/stream.h"

struct end {
	struct loop   *loop;
	struct stream *s;
	struct buf     diary; /* "INPUT EOF ", one word an event */
	struct buf     got;   /* all input, taken as it comes, unless `lazy` */
	bool           lazy;
	bool           close_on[8]; /* by stream_event: close inside the event */
	bool           finish_on[8];
	const char    *until; /* the loop stops once the diary holds this */
};

stream_fn end_event; /* `arg` is a struct end */

void end_init(struct end *e, struct loop *l);
void end_free(struct end *e);

/* A connected pair on loopback TCP. */
void ends_connect(struct end *a, struct end *b, struct loop *l);
void ends_free(struct end *a, struct end *b);

/* Turn the loop until the diary of `e` holds `word` (fails the test after 5 s), or for `ms`. */
void end_wait(struct end *e, const char *word);
void end_wait_octets(struct end *e, size_t n);
void loop_run_ms(struct loop *l, int64_t ms);

/* A listening socket on 127.0.0.1, and its address. */
int listen_anywhere(struct addr *at);

#endif
