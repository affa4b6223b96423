/* SPDX-License-Identifier: ISC */
/*
 * role - what every child process does alike.
 *
 * A role is this binary, executed again as `postern --role NAME INDEX` with the
 * channel to the supervisor as descriptor 3. role_run() reads its configuration,
 * listeners and channels to other roles from there, enters the sandbox, says
 * READY and turns the loop until it is told to drain or the supervisor is gone.
 */
#ifndef LIB_PROC_ROLE_H
#define LIB_PROC_ROLE_H

#include "lib/proc/wire.h"

struct channel;
struct config;
struct loop;
struct role;

struct role_hooks {
	/* Once, before the sandbox: load plugins, open what must be open. False ends the role with `why`. */
	bool (*start)(void *self, struct role *r, struct buf *why);
	/*
	 * A new immutable configuration: first before the sandbox, later at each reload. The
	 * reference is the role's; the old one stays valid until its config_unref().
	 */
	void (*config)(void *self, struct config *c);
	/*
	 * A listening socket; `index` is its place in config's listeners. The descriptor becomes the
	 * role's. After a reload it comes again for each place whose socket is another one now: it
	 * replaces the old one. Places behind the end of the new config's list are to be closed.
	 */
	void (*listener)(void *self, unsigned index, int fd);
	/* The spool directory (queue only). The descriptor becomes the role's. */
	void (*spool)(void *self, int dirfd);
	/* Memory that all processes of the role share (smtpd only), before GO. The descriptor becomes the role's. */
	void (*shared)(void *self, const struct wire_shared *m, int fd);
	/* A channel to another role is there (again, after that one died). The role opens it with its own hooks. */
	void (*peer)(void *self, enum role_id who, unsigned index, int fd);
	/* All of the above has come once: begin. READY is sent when role_ready() is called. */
	void (*go)(void *self);
	/* Stop taking on work; call role_done() when nothing is left. */
	void (*drain)(void *self);
	/* A control connection for this role with its request line; the descriptor becomes the role's. */
	void (*control)(void *self, struct str request, int fd);
	/*
	 * Append counters as rows "name value\n", whole numbers, for `postern status`: equal names of
	 * several processes are added up. The queue's include "queue_messages" and "intake" (INTAKE_*).
	 */
	void (*stats)(void *self, struct buf *rows);
	/* What the supervisor says to this role alone (GATES, EXAMINE); texts are valid during the call. */
	void (*told)(void *self, enum wire_id id, const void *msg);
};

enum { ROLE_EXIT_CONFIG = 78 }; /* the role cannot start like this; at start-up the daemon gives up */

/*
 * Runs the role until its end; the exit code of the process. NULL hooks are
 * skipped. The loop is still there afterwards, so that the role can free what it has.
 */
int role_run(enum role_id id, unsigned index, const struct role_hooks *hooks, void *self);

struct loop *role_loop(struct role *r);
unsigned     role_index(const struct role *r);
void         role_ready(struct role *r);
void         role_done(struct role *r);

/* Tell the supervisor: FINDINGS, SUSPECT, KEY_STATE. Dropped if it is gone. */
void role_tell(struct role *r, enum wire_id id, const void *msg);

/*
 * The channel to that role has ended: if both live, a new one comes by `peer`. One side of each pair
 * tells: smtpd, delivery. Without a supervisor, as in tests, nothing happens.
 */
void role_lost(enum role_id who, unsigned index);

/* One word more about how this process is protected, for `status`: "memlock". */
void role_in_force(struct role *r, const char *word);

/* Something the owner must know that the supervisor shows in `status` ("spool full"); empty clears it. */
void role_trouble(struct role *r, const char *what);

#endif
