/* SPDX-License-Identifier: ISC */
/* fake_inner - what the files of the fake know of each other. */
#ifndef TESTS_FAKE_FAKE_INNER_H
#define TESTS_FAKE_FAKE_INNER_H

#include "lib/net/loop.h"
#include "lib/util/heap.h"
#include "tests/fake/fake.h"

enum { FAKE_SIGNALS = 8 };

struct loop {
	struct list  deferred;
	struct heap  timers;
	struct list  watches;
	bool         stopped;
	struct {
		int signo;
		void (*fn)(void *arg, int signo);
		void *arg;
	} signals[FAKE_SIGNALS];
	size_t             signal_count;
	struct fake_peer **peers;
	size_t             peer_count;
	struct addr        peer, local; /* of accepted streams */
	struct list        channels;
	unsigned           channels_made;
	struct list        frames;
	struct fake_frame  shown; /* what fake_frame() returned */
	uint64_t           sends;
};

void fake_peers_destroy(struct loop *l);
void fake_frames_destroy(struct loop *l);

#endif
