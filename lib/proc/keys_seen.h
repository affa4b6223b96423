/* SPDX-License-Identifier: ISC */
/*
 * keys_seen - which DKIM keys have their record in the DNS, over a restart.
 *
 * A small file in the state folder, "keys-seen": without it a daemon that starts
 * while its name server is silent would hold mail whose keys have been published for
 * months. It is a hint and no more: the DNS is asked all the same and has the last
 * word, so what cannot be read, or is older than a week, is as if it were not there.
 */
#ifndef LIB_PROC_KEYS_SEEN_H
#define LIB_PROC_KEYS_SEEN_H

#include "lib/util/str.h"

struct verdicts;

void keys_seen_load(struct str state, struct verdicts *v, int64_t now_ms); /* wall clock */

/* In one step, without waiting for the disk. False with errno: the old file stays. */
bool keys_seen_save(struct str state, const struct verdicts *v, int64_t now_ms);

#endif
