/* SPDX-License-Identifier: ISC */
/*
 * log - one event, one line, typed fields, to standard error.
 *
 *     log_info(ev("accept"), kv("id", id), kv("from", from), kv("rcpts", n));
 *
 * logfmt by default, JSON by option, with the same keys. Values are escaped by
 * the writer, so nothing a peer says can forge a line. A line has at most 4096 octets
 * and is never divided between two write() calls: longer values are cut, and what still does
 * not fit is left out.
 * error: the operator must act; warn: a peer or the system misbehaved; info: the
 * life of messages; debug: transitions and dialogue, secrets masked. The event
 * names are an interface: docs/log.md lists them and a test compares.
 */
#ifndef LIB_UTIL_LOG_H
#define LIB_UTIL_LOG_H

#include "lib/util/str.h"

enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };
enum kv_kind { KV_STR, KV_INT, KV_FIXED3 };

struct kv {
	const char  *key;
	enum kv_kind kind;
	struct str   text;
	int64_t      number;
};

/* Fields with an empty text are left out of the line. */
struct kv kv_str(const char *key, struct str value);
struct kv kv_z(const char *key, const char *value);
struct kv kv_int(const char *key, int64_t value);
struct kv kv_uint(const char *key, uint64_t value);
struct kv kv_ms(const char *key, int64_t ms); /* written as seconds, three decimals */

/* clang-format off */
#define kv(key, value) _Generic((value),             \
	struct str: kv_str,                          \
	char *: kv_z, const char *: kv_z,            \
	int: kv_int, long: kv_int, long long: kv_int, \
	unsigned char: kv_uint, unsigned short: kv_uint, \
	unsigned: kv_uint, unsigned long: kv_uint, unsigned long long: kv_uint)(key, value)
/* clang-format on */
#define ev(name) kv_z("ev", name)

#define log_error(...) log_write(LEVEL_ERROR, (const struct kv[]){__VA_ARGS__, {0}})
#define log_warn(...)  log_write(LEVEL_WARN, (const struct kv[]){__VA_ARGS__, {0}})
#define log_info(...)  log_write(LEVEL_INFO, (const struct kv[]){__VA_ARGS__, {0}})
#define log_debug(...) log_write(LEVEL_DEBUG, (const struct kv[]){__VA_ARGS__, {0}})

/* `fields` ends with a NULL key. Debug lines are dropped unless asked for. */
void log_write(enum log_level level, const struct kv *fields);

/* `role` is a literal, put into every line. */
void log_setup(const char *role, enum log_format format, bool debug);

/*
 * From now on lines of info and debug may wait for each other and go out in one write().
 * `soon` is called for the first that waits; log_send() must follow before the process sleeps
 * again. Errors and warnings never wait, and what waits goes out ahead of them and at exit().
 */
void log_gather(void (*soon)(void *arg), void *arg);
void log_send(void);

/* Tests: lines go to this function, without their end, instead of standard error; NULL ends that. */
void log_hook(void (*line)(struct str text));

#endif
