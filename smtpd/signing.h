/* SPDX-License-Identifier: ISC */
/*
 * signing - which keys will sign a message: what the log line says and how the body is hashed.
 *
 * Only the choice of the block is made here; delivery signs. Both go by the
 * author's domain: the block of that name, else of its nearest parent.
 */
#ifndef SMTPD_SIGNING_H
#define SMTPD_SIGNING_H

#include "lib/util/buf.h"

struct config;
struct dkim_conf;

/* NULL: nothing signs for this canonical domain. */
const struct dkim_conf *signing_find(const struct config *c, struct str domain);

/*
 * "example.com/2026a,2026b", or "none" and the reason in `why` (a literal in the words of
 * dkim/choose.h; NULL if it is signed).
 */
void signing_format(struct buf *out, const struct config *c, struct str domain, const char **why);

#endif
