/* SPDX-License-Identifier: ISC */
/*
 * control - the commands' unix socket: a request line, rows, an end.
 *
 * The client sends one line of words ("queue list --domain a.example\n", words
 * with blanks in double quotes). The answer is lines of tab-separated cells
 * "key=value" (numbers "key:=123"), values escaped, and a last line
 * "end CODE text": exit code of the command and a sentence if it failed.
 * Raw octets (queue cat) come as "raw N\n" followed by N octets.
 */
#ifndef LIB_PROC_CONTROL_H
#define LIB_PROC_CONTROL_H

#include "lib/util/buf.h"

enum { CONTROL_REQUEST_MAX = 64 * 1024 };

/*
 * Cut the next word off a request line, removing quotes into `scratch`. False at
 * the end. The word is valid until the next call with the same `scratch`.
 */
bool control_word(struct str *rest, struct buf *scratch, struct str *word);
void control_add_word(struct buf *request, struct str word);

/* Writing rows. Keys are words of letters, digits and "_". */
void control_cell(struct buf *row, const char *key, struct str value);
void control_cell_int(struct buf *row, const char *key, int64_t value);
void control_row_end(struct buf *row);
void control_end(struct buf *out, int exit_code, struct str text);

/* Reading rows, in the command. Cut the next cell off `row`; `number` says it was an integer. */
bool control_next_cell(struct str *row, struct str *key, struct buf *value, bool *number);

#endif
