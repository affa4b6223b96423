/* SPDX-License-Identifier: ISC */
/*
 * json - a writer only: postern speaks JSON and never reads it.
 *
 * Commas come by themselves. Text that is not UTF-8 is written with U+FFFD.
 * Keys are NULL inside arrays and at the top.
 */
#ifndef LIB_UTIL_JSON_H
#define LIB_UTIL_JSON_H

#include "lib/util/buf.h"

struct json {
	struct buf *out;
	bool        comma;
};

void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */
void json_str(struct json *j, const char *key, struct str value);
void json_int(struct json *j, const char *key, int64_t value);
void json_ms(struct json *j, const char *key, int64_t ms); /* as seconds, three decimals */
void json_bool(struct json *j, const char *key, bool value);
void json_text(struct buf *out, struct str value); /* a quoted, escaped string */

#endif
