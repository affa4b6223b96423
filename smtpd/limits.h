/* SPDX-License-Identifier: ISC */
/*
 * limits - what is remembered of clients and logins beyond one session, by all smtpd processes
 * together: how many connections each has, how often its logins failed, how much it has sent.
 *
 * A table of rows in memory that all of them share, or of this process alone where there is none.
 * It has no locks: each process writes its connections into its own column, and all else are single
 * atomic cells. When a process has died, its successor empties that column.
 *
 * A key's rows are the 16 of its bucket; the hash has a secret, so nobody can choose one. Who comes
 * new takes the place of the one seen longest ago who has no connection. If all 16 have some, there is
 * no room for him: he may not enter, and his failures count as many. A row is found by 64 bits of
 * hash: two keys with the same would share it.
 *
 * An IPv6 client is its /64: whoever has one address has them all.
 *
 * Other processes may have written anything into the table: what is read from it is a number, compared
 * with limits, and never an address or an index.
 */
#ifndef SMTPD_LIMITS_H
#define SMTPD_LIMITS_H

#include <stdatomic.h>

#include "lib/net/addr.h"

enum {
	LIMITS_WAYS = 16,
	LIMITS_COLUMNS_MAX = 64,
	LIMITS_MEMORY_MS = 60 * 60 * 1000, /* failures are forgotten after so long without one */
	LIMITS_NO_ROOM = 16, /* failures of one who has no row: enough for the longest pause */
};

struct limits_row;

/* The place of a client or login; row NULL: nobody, or no room. Good while it has a connection, else for one call. */
struct limit {
	struct limits_row *row;
	uint64_t           tag;
};

struct limits {
	char    *map; /* or our own memory */
	char    *rows;
	size_t   stride, buckets; /* a power of two */
	size_t   mapped;          /* octets; 0: our own memory */
	unsigned column, columns;
	uint64_t secret;
};

void limits_init(struct limits *ls); /* of this process alone */
void limits_free(struct limits *ls);

/*
 * From now on with the others: before the first client, once. `secret` and `columns` are those of all who share;
 * `column` is ours alone. The descriptor stays the caller's. False with errno: nothing has changed.
 */
bool limits_share(struct limits *ls, int fd, unsigned column, unsigned columns,
                  uint64_t secret) MUST_USE;

/* In front of the rows a number for each process, for turns.h; NULL if nothing is shared. */
_Atomic uint32_t *limits_cells(const struct limits *ls);

/* Times here and below are monotonic. */
struct limit limits_client(struct limits *ls, struct addr a, int64_t now_ms);
struct limit limits_login(struct limits *ls, struct str name, int64_t now_ms);

/*
 * One connection more, unless that made more than `most` (0: no limit) in all processes. When several come
 * in the same instant at the limit fewer may get in, and never more.
 */
bool     limit_enter(const struct limits *ls, struct limit l, unsigned most) MUST_USE;
void     limit_leave(const struct limits *ls, struct limit l);
unsigned limit_connections(const struct limits *ls, struct limit l);

/* A failed login; the number of them. */
unsigned limit_fail(struct limit l, int64_t now_ms);
unsigned limit_failures(struct limit l, int64_t now_ms);

/* A message begins; the number of those within the last hour, in steps of ten minutes. 0 without a row. */
unsigned limit_send(struct limit l, int64_t now_ms);

/* Once a minute: a refusal is worth a line in the log. */
bool limit_may_tell(struct limit l, int64_t now_ms);

#endif
