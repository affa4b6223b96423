/* SPDX-License-Identifier: ISC */
/*
 * trust_nets - the networks behind the words of `trust`.
 *
 * "container-net" means the private networks this machine is connected to, without
 * the addresses of their gateways: a published port reaches a container
 * with the gateway's address as client, whoever the client was, so trusting
 * the gateway would be an open relay.
 */
#ifndef LIB_PROC_TRUST_NETS_H
#define LIB_PROC_TRUST_NETS_H

#include "lib/net/addr.h"

/* `n` says how many there are. The array is the caller's to free(). */
struct cidr *trust_nets_container(size_t *n);

/*
 * Append to `nets` what `net` holds beside `hole`: one network for each bit in which they may
 * differ. The array grows with mem_resize().
 */
void trust_nets_without(struct cidr **nets, size_t *n, struct cidr net, struct addr hole);

/* Gateways in the texts of /proc/net/route and /proc/net/ipv6_route; the array is the caller's to free(). */
struct addr *trust_nets_gateways(struct str route4, struct str route6, size_t *n);

#endif
