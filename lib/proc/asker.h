/* SPDX-License-Identifier: ISC */
/*
 * asker - one question and its answer at once, where nobody can wait for the loop.
 *
 * For callbacks of libraries that want a result before they return. The process stands
 * still until the answer is there, so this is for roles that answer within
 * milliseconds, and each question has a deadline. The other side is a channel.
 */
#ifndef LIB_PROC_ASKER_H
#define LIB_PROC_ASKER_H

#include "lib/proc/wire.h"

struct asker {
	int          fd; /* -1: nobody is there */
	enum role_id me, peer;
	struct buf   frame, answer;
};

/* The descriptor becomes the asker's, which may have had one before; -1: none. */
void asker_init(struct asker *a, enum role_id me, enum role_id peer);
void asker_attach(struct asker *a, int fd);
void asker_free(struct asker *a);

/*
 * Send `msg` and wait at most `ms` for an `answer`, decoded into `reply`; its texts are valid until
 * the next call. Another message than that ends the connection, and so does silence: an answer that comes too
 * late must not be taken for the next. False: there is none, until asker_attach().
 */
struct question {
	enum wire_id ask, answer;
	const void  *msg;
	void        *reply;
	int64_t      ms;
};
bool asker_ask(struct asker *a, const struct question *q) MUST_USE;

#endif
