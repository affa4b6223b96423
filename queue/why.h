/* SPDX-License-Identifier: ISC */
/* why - the enumerated reason beside the peer's own words: an interface (docs/log.md). */
#ifndef QUEUE_WHY_H
#define QUEUE_WHY_H

#include "lib/mail/reply.h"

/*
 * rate-limited blocklisted greylisted mailbox-unknown mailbox-full policy
 * dns-nxdomain dns-fail conn-timeout conn-refused tls-fail auth-required
 * too-big content loop key-not-published preflight other
 */
const char *why_of(struct reply r);

#endif
