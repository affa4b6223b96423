/* SPDX-License-Identifier: ISC */
/*
 * queue_play - all of the queue role, with a spool of its own, for stage.h.
 *
 * Everything is real but for the thread of the disk, whose jobs run in the loop. What is answered 250 is
 * counted, what its holder says the end of is discounted, and the rest must be in the spool, whole, when the role
 * has ended: whatever the other roles, other deliveries among them, have said meanwhile.
 *
 * There are two smtpds and two deliveries. Acts of its own, each with octets:
 *
 *     'm'   a message is put (which of 64 ids, from 64 on by the other smtpd; enum how)
 *     'g'   a message is large (which), 'p' it is put (which, how), 'P' with a size that is wrong, 'f' it is forgotten (which)
 *     'u'   a delivery has room (how much, from 128 on the other)
 *     'r'   an outcome (of which lease, the newest is 0; enum result)
 *     'd'   the disk: 0 hangs, 1 goes on, else (odd: a sync, even: a write) it fails once, after so many of them (/ 2)
 *     'q'   an operator's line (a piece), 'i' what he says afterwards (a piece), 'a' all of them read, 'h' they hang up
 */
#ifndef TESTS_FUZZ_QUEUE_PLAY_H
#define TESTS_FUZZ_QUEUE_PLAY_H

#include "tests/fuzz/stage.h"

extern const struct play queue_play;

#endif
