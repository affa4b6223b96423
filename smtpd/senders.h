/* SPDX-License-Identifier: ISC */
/*
 * senders - what the messages of each sender were found to be.
 *
 * A sender is a login, or else a client's address. The SENDERS_MAX who sent last are known; who
 * has not sent for longest is forgotten for a new one, and with him his counts.
 *
 * Each smtpd counts for itself, and the supervisor adds up equal rows: the numbers are for people
 * to read, and decide nothing. What decides, how much a sender has sent, is in limits.h, once for all.
 */
#ifndef SMTPD_SENDERS_H
#define SMTPD_SENDERS_H

#include "lib/net/addr.h"
#include "lib/util/hash.h"
#include "lib/util/list.h"
#include "smtpd/lint.h"

enum { SENDERS_MAX = 32 };

struct senders {
	struct hash by_name;
	struct list age; /* who sent last is last */
};

void senders_init(struct senders *ss); /* the caller's memory */
void senders_free(struct senders *ss);

/* A message of his begins. */
void senders_see(struct senders *ss, struct str login, struct addr client);

/* What it was found to be. Nothing, if the sender has been forgotten meanwhile. */
void senders_note(struct senders *ss, struct str login, struct addr client, uint64_t found);

/*
 * Rows for the statistics, "lint_date_missing_total{user="app1"} 3", those of the latest sender
 * first, as many as fit into the next `most` octets of `rows`.
 */
void senders_format(const struct senders *ss, struct buf *rows, size_t most);

#endif
