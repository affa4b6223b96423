/* SPDX-License-Identifier: ISC */
/*
 * supervise - the daemon's first process.
 *
 * It makes directories and listening sockets, starts the roles and keeps them
 * running, reloads the configuration and answers the commands. It reads nothing
 * that comes from the network.
 */
#ifndef LIB_PROC_SUPERVISE_H
#define LIB_PROC_SUPERVISE_H

struct config;

struct supervise_options {
	const char    *config_file; /* for reloads; NULL: the usual place */
	struct config *config;      /* the first one; the reference becomes the supervisor's */
	const char    *version;
	const char    *pidfile; /* NULL: none */
	const char    *program; /* NULL: this program; tests start another one as the roles */
	/* Once, when all roles are ready. May be NULL. */
	void (*ready)(const struct config *c);
};

/* Until the daemon ends. Its exit code: 0 after a stop that was asked for, 1, or 78. */
int supervise_run(const struct supervise_options *o);

#endif
