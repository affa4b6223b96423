/* SPDX-License-Identifier: ISC */
/*
 * report - what the supervisor knows, as rows of the control socket.
 *
 * Rows of `status` begin with a cell "kind": daemon, listener, role, stat
 * (name, value; equal names of several processes added up), trouble, and what the doctor
 * last found: doctor, finding, check_count and key.
 */
#ifndef LIB_PROC_REPORT_H
#define LIB_PROC_REPORT_H

#include "lib/util/buf.h"

struct checkup;
struct config;
struct crew;
struct sockets;

struct report {
	const struct config  *config;
	const struct sockets *sockets;
	struct crew          *crew;
	const struct checkup *checkup; /* NULL: on the way down */
	const char           *version;
	const char           *config_file; /* NULL: the usual place */
	int64_t               uptime_ms;
	uint32_t              generation;
	bool                  stopping;
};

void report_status(const struct report *r, struct buf *out);

/* Rows of kind "check", and 0 if mail can be taken now; otherwise 1 and the first reason. */
void report_readyz(const struct report *r, struct buf *out);

/* The sum of all rows of this name in the crew's statistics; false if there is none. */
bool report_stat(struct crew *cr, struct str name, int64_t *sum);

const char *report_mode(const struct config *c); /* "capture", "live" */

#endif
