/* SPDX-License-Identifier: ISC */
/*
 * pause - which lanes rest because an administrator said so: the file `paused` of the spool.
 *
 * One lane a line, "*" for all. It is written whole under a new name and renamed.
 */
#ifndef QUEUE_PAUSE_H
#define QUEUE_PAUSE_H

#include "lib/util/buf.h"

struct pauses {
	int        dirfd; /* of the spool; stays the caller's */
	bool       all;
	bool       unknown; /* the file could not be read, and nobody has said since what rests */
	struct buf lanes; /* "\nlane\nlane\n" */
};

void pauses_init(struct pauses *p, int dirfd);
void pauses_free(struct pauses *p);

/* No file: nothing rests. False: it cannot be read, and all rests; to be tried again as long as `unknown`. */
bool pauses_load(struct pauses *p);

bool pauses_has(const struct pauses *p, struct str lane); /* by its name or by all */

/* `lane` empty: all of them. False: nothing changed. `saved` says whether it is on the disk. What was `unknown` is not any more. */
bool pauses_set(struct pauses *p, struct str lane, bool paused, bool *saved);

#endif
