/* SPDX-License-Identifier: ISC */
/* rows - the daemon's answer of many kinds of rows (lib/proc/control.h), kept in one text. */
#ifndef CMD_ROWS_H
#define CMD_ROWS_H

#include "lib/util/json.h"

/* The next row of this kind, off the text. */
bool rows_next(struct str *rows, const char *kind, struct str *row);

/* As members of an open object: all cells of a row but its kind; numbers that mean yes or no as such. */
void rows_cells(struct json *j, struct str row);

/* All rows of a kind as an array of objects. */
void rows_array(struct json *j, const char *key, struct str rows, const char *kind);

#endif
