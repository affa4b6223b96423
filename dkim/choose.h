/* SPDX-License-Identifier: ISC */
/*
 * choose - which domain signs a message, and why none does: a pure function of From: and configuration.
 */
#ifndef DKIM_CHOOSE_H
#define DKIM_CHOOSE_H

#include "lib/util/buf.h"

struct config;
struct dkim_conf;

/*
 * `from` is the canonical domain of From: (the envelope's header_from), empty if there is
 * none. NULL: the message goes unsigned, and `why` says so in the words of the log:
 * "off", "no-from" or "no-key". The result lives as long as `c`.
 */
const struct dkim_conf *dkim_choose(const struct config *c, struct str from, struct buf *why);

#endif
