/* SPDX-License-Identifier: ISC */
/*
 * smtpd_play - all of smtpd with a good queue and a good auth role, for stage.h.
 *
 * Acts of its own: 'n' a client (an octet: which address, and which listener), 'i' the other roles
 * introduce themselves.
 */
#ifndef TESTS_FUZZ_SMTPD_PLAY_H
#define TESTS_FUZZ_SMTPD_PLAY_H

#include "tests/fuzz/stage.h"

struct loop;

extern const struct play smtpd_play; /* checks each message that is handed over, and each reply */

/* How many messages have been handed over in this play. */
size_t smtpd_play_messages(void);

#endif
