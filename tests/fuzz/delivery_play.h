/* SPDX-License-Identifier: ISC */
/*
 * delivery_play - all of delivery with a good keyd, and a name server that answers by the name, for stage.h.
 *
 * Names: "no..." does not exist, "late..." has no answer, "own..." is on loopback, each other one is an MX and a host.
 * An act of its own: 'l' a good lease (an octet: to which of some domains).
 */
#ifndef TESTS_FUZZ_DELIVERY_PLAY_H
#define TESTS_FUZZ_DELIVERY_PLAY_H

#include "tests/fuzz/stage.h"

extern const struct play delivery_play;

#endif
