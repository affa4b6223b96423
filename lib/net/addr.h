/* SPDX-License-Identifier: ISC */
/*
 * addr - network addresses and networks.
 *
 * An IPv4-mapped IPv6 address becomes plain IPv4 wherever one enters, so that
 * ::ffff:10.1.2.3 and 10.1.2.3 are one client everywhere.
 */
#ifndef LIB_NET_ADDR_H
#define LIB_NET_ADDR_H

#include <sys/socket.h>

#include "lib/util/buf.h"

struct addr {
	uint8_t  family;   /* 4, 6, or 0: unset */
	uint8_t  ip[16];   /* network order; the first 4 for IPv4 */
	uint16_t port;     /* host order */
};

struct cidr {
	struct addr addr; /* host bits are zero */
	unsigned    bits; /* 0..32 or 0..128 */
};

/* False: it is none, and `a` may hold anything. No names: nothing here asks the DNS. */
bool addr_parse(struct str ip, struct addr *a) MUST_USE; /* no port; brackets allowed round IPv6 */

/*
 * "192.0.2.1:25", "[::1]:25", ":587" (any address: two families, `a` gets ::), "127.0.0.1@5353"; without
 * a port the default one.
 */
bool addr_parse_port(struct str text, uint16_t default_port, struct addr *a) MUST_USE;

/* Appended; 64 octets are enough for any of them. Family 0 is "unknown". */
void addr_format(struct buf *out, struct addr a);      /* ip only */
void addr_format_port(struct buf *out, struct addr a); /* ip:port, [ip]:port */

bool addr_equal(struct addr a, struct addr b); /* family and ip; ports may differ */
void addr_unmap(struct addr *a); /* for who fills in `ip` himself: see above */

bool addr_is_loopback(struct addr a);
bool addr_is_link_local(struct addr a);
bool addr_is_private(struct addr a); /* RFC 1918, RFC 4193, RFC 6598 */
bool addr_is_any(struct addr a);     /* 0.0.0.0, :: */
bool addr_is_no_host(struct addr a); /* no single machine: multicast, broadcast, reserved, 0.0.0.0/8 */

/* "10.0.0.0/8", "2001:db8::/32"; without "/" a single address. False: it is none, or host bits are set. */
bool cidr_parse(struct str text, struct cidr *c) MUST_USE;
bool cidr_has(const struct cidr *c, struct addr a); /* never over families; family 0 is in none */
void cidr_format(struct buf *out, const struct cidr *c);

socklen_t addr_to_sockaddr(struct addr a, struct sockaddr_storage *ss); /* how much of `ss` is used */
bool      addr_from_sockaddr(const struct sockaddr *sa, struct addr *a); /* false: neither IPv4 nor IPv6 */

#endif
