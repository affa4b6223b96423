/* SPDX-License-Identifier: ISC */
/*
 * progress - a line on the terminal for what takes longer than a second.
 *
 * On standard error, if that is a terminal: share done, rate, time that is left. It is redrawn
 * a few times a second, and wiped at the end, so that it never stands between other lines.
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "messages"; NULL: octets */
	bool        on, shown;
	int64_t     since_ms, last_ms;
};

void progress_begin(struct progress *p, const char *what);
void progress_set(struct progress *p, uint64_t done, uint64_t total); /* total 0: not known */
void progress_wipe(struct progress *p); /* before another line; it comes again by itself */

#endif
