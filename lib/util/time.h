/* SPDX-License-Identifier: ISC */
/*
 * time - the two clocks, behind one hook so that tests own time.
 */
#ifndef LIB_UTIL_TIME_H
#define LIB_UTIL_TIME_H

#include "lib/util/str.h"

struct buf;

int64_t time_wall_ms(void); /* since 1970, UTC; may jump */
int64_t time_mono_ms(void); /* since some start; never goes back */
int64_t time_mono_us(void);

/* Tests: from now on both clocks answer what these say; NULL gives the real clocks back. */
void time_hook(int64_t (*wall_ms)(void), int64_t (*mono_us)(void));

void time_format_rfc3339(struct buf *out, int64_t wall_ms); /* 2026-11-23T10:07:11.402Z */
void time_format_seconds(struct buf *out, int64_t ms);      /* 300.371 */

/* For people, at most two units: "2h", "1m30s", "3d1h"; below a second "250ms", or "0s". */
void time_format_span(struct buf *out, int64_t ms);

/* One number and one unit: "90" and "90s", "30m", "2h", "5d". */
bool time_parse_span(struct str s, int64_t *ms) MUST_USE;

#endif
