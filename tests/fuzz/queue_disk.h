/* SPDX-License-Identifier: ISC */
/*
 * queue_disk - a spool in memory that goes with the play, and the disk below it, which hangs and fails on demand.
 *
 * Stands in for queue/commit.c: jobs run in the loop, when it turns.
 */
#ifndef TESTS_FUZZ_QUEUE_DISK_H
#define TESTS_FUZZ_QUEUE_DISK_H

#include "lib/util/str.h"

struct loop;

int  queue_disk_create(void); /* an empty folder; the descriptor is the caller's */
void queue_disk_order(struct loop *l, unsigned order); /* act 'd' of queue_play.h */
void queue_disk_destroy(void); /* and all that is in it */

/* What is there now, only read: the row function of store.h is called for each message. */
struct store_row;
void queue_disk_list(struct loop *l, bool (*row)(void *arg, const struct store_row *row));

#endif
