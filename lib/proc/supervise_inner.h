/* SPDX-License-Identifier: ISC */
/*
 * supervise_inner - what the files of the supervisor share and nobody else includes.
 *
 * supervise.c starts and stops, reload.c changes the configuration, requests.c
 * answers the commands.
 */
#ifndef LIB_PROC_SUPERVISE_INNER_H
#define LIB_PROC_SUPERVISE_INNER_H

#include <sys/types.h>

#include "lib/proc/crew.h"
#include "lib/proc/sandbox.h"
#include "lib/proc/sockets.h"
#include "lib/proc/supervise.h"
#include "lib/util/buf.h"
#include "lib/util/list.h"

struct caller;
struct checkup;
struct config;
struct loop;
struct panel;
struct timer;
struct unread;

/*
 * The way down. First those that talk to the outside finish what they have begun,
 * then the queue writes what they have left it, then the rest. Below 30 s together.
 */
enum phase { RUNNING, STOP_OUTSIDE, STOP_QUEUE, STOP_REST, STOPPED };

struct supervise {
	const struct supervise_options *o;
	struct loop                    *loop;
	struct config                  *config;
	struct config                  *first; /* what needs a restart is in force as it is here */
	struct account                  account;
	struct sockets                  sockets;
	struct crew                    *crew;
	struct panel                   *panel;
	struct checkup                 *checkup; /* NULL on the way down */
	struct unread                  *unread;
	struct timer                   *tick, *phase_timer, *stats_timer, *reload_timer;
	struct list                     asks;
	struct caller *reloader; /* waits until the roles have the new configuration */
	struct buf     restart_note;
	struct buf     warnings;   /* of the configuration that is being put in force */
	const char    *reload_why; /* NULL: no reload is under way */
	bool           again;      /* SIGHUP came meanwhile */
	bool           keys_first; /* only keyd has the new configuration so far */
	int64_t        started_ms, reload_ms;
	struct buf     last_problem; /* of changed files: reported once */
	int64_t        last_depth;
	unsigned       ticks;
	uint32_t       generation;
	enum phase     phase;
	int            lock_fd, spool_fd;
	int            shared_fd; /* what all smtpds see; -1: each has to do without the others */
	uint64_t       shared_secret;
	int            exit_code;
	bool           was_ready;
};

/* supervise.c */
void supervise_stop(struct supervise *s); /* begin to; twice is once */
unsigned supervise_resting(const struct config *c); /* roles that it gives nothing to do, for crew_rest() */
void supervise_send_config(const struct supervise *s, struct member *m);
void supervise_try_keys(const struct supervise *s, struct member *keyd); /* the same, if a key it lacks can be read now */
void supervise_send_sockets(const struct supervise *s, struct member *m, bool fresh_only);
void supervise_tell_systemd(struct supervise *s, const char *before); /* lines before the status */

/* reload.c; a reload is under way while `reload_why` is not NULL */
void reload_start(struct supervise *s, struct caller *k); /* NULL: by a signal */
void reload_refresh(struct supervise *s);                 /* take up files that have changed */
void reload_check(struct supervise *s);                   /* a role has it, is it done? */
void reload_over(void *arg);                              /* the timer's */
void reload_keys(void *arg); /* read the keys again that a keyd lacks; of `unread` */

/* requests.c */
void requests_take(void *arg, struct caller *k, struct str line); /* the panel's */
void requests_check(struct supervise *s); /* a role has told its statistics, or is gone */
void requests_over(void *arg);            /* the timer's */
void requests_drop(struct supervise *s);
void requests_say(struct caller *k, int code, struct str text);

#endif
