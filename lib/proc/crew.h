/* SPDX-License-Identifier: ISC */
/*
 * crew - the roles as processes: started, joined by channels, started again.
 *
 * Only the supervisor links this. A member that dies comes back after a wait of
 * 100 ms, doubled each time up to 10 s, forgotten after a minute of health; its
 * peers then get new channels to it.
 */
#ifndef LIB_PROC_CREW_H
#define LIB_PROC_CREW_H

#include <sys/types.h>

#include "lib/proc/wire.h"

struct channel;
struct crew;
struct loop;
struct timer;

enum member_state { MEMBER_DOWN, MEMBER_STARTING, MEMBER_READY, MEMBER_DRAINING };

struct member {
	struct crew      *crew;
	enum role_id      id;
	unsigned          index;
	enum member_state state;
	pid_t             pid;
	bool              reaped;
	struct channel   *up; /* NULL when it is gone */
	struct timer     *timer;
	unsigned          restarts;
	int64_t           wait_ms;     /* before the next start */
	int64_t           ready_at_ms; /* monotonic */
	uint32_t          generation;  /* of the configuration that is in force there */
	struct buf        trouble;     /* role_trouble(); empty: none */
	struct buf        stats;       /* the last rows "name value\n" */
	bool              asked;       /* for stats that have not come yet */
};

struct crew_hooks {
	/* A new process: send it configuration, listeners and spool. */
	void (*outfit)(void *arg, struct member *m);
	/* One has become ready, or has put a new configuration in force. */
	void (*ready)(void *arg, struct member *m);
	void (*stats)(void *arg, struct member *m);
	/* A process has ended. It comes back by itself, if the crew is not to be drained. */
	void (*left)(void *arg, struct member *m);
	/* It says that it cannot start like this, before all have ever been ready. */
	void (*hopeless)(void *arg, struct member *m);
	/* It says what is no business of the crew (SUSPECT, KEY_STATE). */
	void (*told)(void *arg, struct member *m, enum wire_id id, const void *msg);
	/* A child has ended that is none of the crew. */
	void (*other)(void *arg, pid_t pid, int status);
};

struct crew_plan {
	const char *program; /* what is executed; NULL: this program again */
	unsigned    count[ROLE_COUNT];
	unsigned    resting; /* as crew_rest() would say it */
	int         keep_fd; /* the queue's processes inherit it (the lock), or -1 */
};

/* Starts all processes. Takes SIGCHLD of the loop. `plan` is copied. */
struct crew *crew_start(struct loop *l, const struct crew_plan *plan,
                        const struct crew_hooks *hooks, void *arg);
void         crew_destroy(struct crew *cr); /* kills those that are left; NULL is allowed */

/*
 * Sets of roles: bits 1 << ROLE_X. Those that rest have nothing to do: their processes are told to go, killed if they
 * do not, and started when a later call no longer names them.
 */
void     crew_rest(struct crew *cr, unsigned roles);
void     crew_drain(struct crew *cr, unsigned roles); /* they are not started again */
void     crew_kill(struct crew *cr, unsigned roles);
unsigned crew_alive(const struct crew *cr, unsigned roles);         /* how many processes */

/* Whether all of `roles`, but for resting ones, work with this configuration or a later one. */
bool crew_is_ready(const struct crew *cr, unsigned roles, uint32_t generation);

/* Ask all that can answer; the number of those. */
unsigned crew_ask_stats(struct crew *cr);

struct member *crew_next(struct crew *cr, struct member *after); /* NULL first; NULL at the end */
const char    *member_state_name(const struct member *m);
bool           member_rests(const struct member *m); /* it is not there, and nobody waits for it */

#endif
