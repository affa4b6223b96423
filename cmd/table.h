/* SPDX-License-Identifier: ISC */
/*
 * table - rows for people, on standard output.
 *
 * Widths come from the first rows, so that a long list starts at once. On a
 * terminal the widest columns give way until a row fits; in a pipe nothing is
 * cut. Bold heads are for terminals, and not if NO_COLOR is set.
 */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include "lib/util/buf.h"

enum show {
	SHOW_TEXT,
	SHOW_NUMBER,
	SHOW_FLAG,    /* 0 or 1, as "-" or "yes" */
	SHOW_SIZE,    /* octets, as 14K */
	SHOW_KIB,     /* KiB, as 1.2M */
	SHOW_SPAN_MS, /* as 3d1h; 0 is "-" */
	SHOW_TIME_MS, /* since 1970, as local time; 0 is "-" */
};

struct column {
	const char *key;  /* of the cell in a row of the control socket */
	const char *head; /* in capitals */
	enum show   show;
	bool        keep; /* never cut on a narrow terminal: ids */
};

struct table;

struct table *table_create(const struct column *columns, size_t n);
/* One row: as many cells as columns, empty ones allowed; copied. */
void   table_add(struct table *t, const struct str *cells);
size_t table_rows(const struct table *t);
/* Print what is still kept and free. */
void table_finish(struct table *t);

/* The value of a cell as people read it. Octets that could move the cursor become "?". */
void show_value(struct buf *out, enum show show, struct str value);

bool output_is_tty(void);

#endif
