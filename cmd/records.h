/* SPDX-License-Identifier: ISC */
/* records - DNS records printed as people and their tools want them; for dns and setup. */
#ifndef CMD_RECORDS_H
#define CMD_RECORDS_H

#include "cmd/world.h"
#include "doctor/records.h"

enum record_format { FORMAT_ZONE, FORMAT_PANEL, FORMAT_JSON, FORMAT_TERRAFORM };

bool record_format_parse(const char *word, enum record_format *format);

/* All records, or with `diff` those that are not as they should be. */
void records_print(struct buf *out, const struct records *r, enum record_format format, bool diff);

/* A whole zone file of `domain`: the records in it, others as comments. */
void
records_print_zone(struct buf *out, const struct records *r, struct exam *e, struct str domain);

/* Ask until the records are settled. Free them. */
void records_ask(struct world *w, struct records *r);

#endif
