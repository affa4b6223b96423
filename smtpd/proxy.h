/* SPDX-License-Identifier: ISC */
/*
 * proxy - the PROXY header, versions 1 and 2, with which a balancer names the real client.
 *
 * It is a claim of identity, so it is read only on connections from the
 * balancers that the listener's config names; there it is demanded.
 */
#ifndef SMTPD_PROXY_H
#define SMTPD_PROXY_H

#include "lib/net/addr.h"

enum { PROXY_MAX = 4096 }; /* version 1 has at most 107 octets; version 2 may carry extensions */

enum proxy_result { PROXY_MORE, PROXY_OK, PROXY_BAD };

struct proxy {
	struct addr client; /* family 0: the balancer speaks for itself (health check) */
	size_t      used;   /* octets of the header */
};

/*
 * Parse the start of a connection. PROXY_MORE: not whole yet; it will be within PROXY_MAX
 * octets.
 */
enum proxy_result proxy_parse(struct str in, struct proxy *out) MUST_USE;

#endif
