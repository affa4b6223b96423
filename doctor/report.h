/* SPDX-License-Identifier: ISC */
/* report - the findings of an exam, for people and for programs. */
#ifndef DOCTOR_REPORT_H
#define DOCTOR_REPORT_H

#include "doctor/exam.h"

/* Worst first, then what to do, numbered, with lines to paste, and one sentence at the end. */
void report_text(struct exam *e, struct buf *out, bool colour);

/* One object: version, time, host, summary, checks. */
void report_json(struct exam *e, struct buf *out);

/* Text that may come from a stranger's zone, for a terminal: octets that could move the cursor become "?". */
void report_clean(struct buf *out, struct str s);

/* A record as a line of a zone file, with a TXT cut into strings of at most 255 octets. */
void record_zone_line(struct buf *out, struct str name, const char *type, struct str value);

#endif
