/* SPDX-License-Identifier: ISC */
/*
 * signing - which keys will sign a message, as the line `accept` of the log says it.
 *
 * Delivery signs; both go by config_find_dkim().
 */
#ifndef SMTPD_SIGNING_H
#define SMTPD_SIGNING_H

#include "lib/util/buf.h"

struct config;

/*
 * "example.com/2026a,2026b", or "none" and the reason in `why` (a literal in the words of
 * dkim/choose.h; NULL if it is signed).
 */
void signing_format(struct buf *out, const struct config *c, struct str domain, const char **why);

#endif
