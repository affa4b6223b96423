/* SPDX-License-Identifier: ISC */
/*
 * peers - what is remembered of clients and logins beyond one session: how many connections each
 * has now, and how often its logins failed.
 *
 * An IPv6 client is its /64: whoever has one address has them all. Failures are forgotten after
 * an hour without one. Each process remembers for itself, and no more than 10,000 that failed;
 * the longest ago are forgotten first.
 */
#ifndef SMTPD_PEERS_H
#define SMTPD_PEERS_H

#include "lib/net/addr.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"

enum { PEERS_FAILED_MAX = 10000, PEERS_MEMORY_MS = 60 * 60 * 1000 };

struct peer {
	struct hash_node node;
	struct link      link; /* in `failed` */
	unsigned         connections, failures;
	int64_t          failed_ms; /* monotonic: the last time */
	int64_t          told_ms;   /* when a refusal was logged last; 0: never */
	size_t           n;
	char             key[];
};

struct peers {
	struct hash all;
	struct list failed; /* the longest ago first */
};

void peers_init(struct peers *ps);
void peers_free(struct peers *ps);

/*
 * Known or made; who asks calls peers_settle() once he has no more use for it, or has taken back
 * what he counted in `connections`.
 */
struct peer *peers_client(struct peers *ps, struct addr a);
struct peer *peers_login(struct peers *ps, struct str name);

/* Forgets the peer unless something is worth remembering. NULL is allowed. */
void peers_settle(struct peers *ps, struct peer *p);

void     peers_count_failure(struct peers *ps, struct peer *p, int64_t now_ms);
unsigned peer_failures(const struct peer *p, int64_t now_ms);

#endif
