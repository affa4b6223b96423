/* SPDX-License-Identifier: ISC */
/*
 * checkup - the doctor inside the daemon: when it comes, what it said last.
 *
 * The role is started for one exam and ends with it, so it costs no memory in
 * between. An exam of everything is made soon after the start and after each new
 * configuration, then every 6 hours (block lists: every 24); of single checks when a
 * receiver's reply makes them doubtful. One that does not end is killed, and the
 * next is made after a growing wait: nothing depends on it. In capture mode and
 * with `preflight off` there are none.
 */
#ifndef LIB_PROC_CHECKUP_H
#define LIB_PROC_CHECKUP_H

#include <sys/types.h>

#include "lib/proc/wire.h"

struct checkup;
struct config;
struct loop;

/* `program` as in crew_plan; the state folder, where keys that were seen are kept over a restart. */
struct checkup_place {
	const char *program;
	struct str  state;
};

/* `gates` is called when checkup_gates() says something else. */
struct checkup      *checkup_create(struct loop *l, const struct checkup_place *at,
                                    void (*gates)(void *arg), void *arg);
void checkup_destroy(struct checkup *c); /* kills the doctor; NULL is allowed */

/* The configuration that is in force from now on; borrowed until the next call. */
void checkup_config(struct checkup *c, const struct config *config, uint32_t generation);

/* A receiver doubts something: the checks are made again at once, but not all the time. Texts are copied. */
void checkup_suspect(struct checkup *c, const struct wire_suspect *s);
void checkup_key(struct checkup *c, const struct wire_key_state *k);

void checkup_ended(struct checkup *c, pid_t pid, int status); /* of whatever process */

/* The text of WIRE_GATES. */
void checkup_gates(const struct checkup *c, struct buf *out);
void checkup_report(const struct checkup *c, struct buf *out); /* rows for `status` */

#endif
