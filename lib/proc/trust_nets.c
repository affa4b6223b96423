/* SPDX-License-Identifier: ISC */
#include "lib/proc/trust_nets.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum { ROUTES_MAX = 256 * 1024, V4_GATEWAY_FIELD = 2, V6_GATEWAY_FIELD = 4 };

static unsigned
width(struct addr a)
{
	return a.family == 4 ? 32 : 128;
}

static bool
bit(const struct addr *a, unsigned i)
{
	return ((a->ip[i / 8] >> (7 - i % 8)) & 1) != 0;
}

static void
flip(struct addr *a, unsigned i)
{
	a->ip[i / 8] = (uint8_t)(a->ip[i / 8] ^ (1U << (7 - i % 8)));
}

/* Zero all bits from `bits` on. */
static void
cut(struct addr *a, unsigned bits)
{
	for (unsigned i = bits; i < width(*a); i++)
		if (bit(a, i))
			flip(a, i);
}

static void
append(struct cidr **nets, size_t *n, struct cidr net)
{
	*nets = mem_resize(*nets, *n + 1, sizeof **nets);
	(*nets)[(*n)++] = net;
}

void
trust_nets_without(struct cidr **nets, size_t *n, struct cidr net, struct addr hole)
{
	if (!cidr_has(&net, hole)) {
		append(nets, n, net);
		return;
	}
	hole.port = 0;
	for (unsigned i = net.bits; i < width(hole); i++) {
		struct cidr other = {.addr = hole, .bits = i + 1};

		flip(&other.addr, i);
		cut(&other.addr, i + 1);
		append(nets, n, other);
	}
}

/* The field `k` of a line as an address: hexadecimal, for IPv4 in the order of this machine's octets. */
static bool
gateway(struct str line, unsigned k, struct addr *a)
{
	struct str field = STR_NONE;
	struct buf octets = BUF(16);
	bool       ok, any = true;

	for (unsigned i = 0; i <= k; i++)
		field = str_word(&line);
	*a = (struct addr){.family = field.n == 8 ? 4 : 6};
	ok = (field.n == 8 || field.n == 32) && hex_decode(&octets, field);
	for (size_t i = 0; ok && i < octets.n; i++) {
		a->ip[i] = (uint8_t)octets.p[i];
		any = any && octets.p[i] == 0;
	}
	if (ok && a->family == 4) {
		uint32_t number = (uint32_t)a->ip[0] << 24 | (uint32_t)a->ip[1] << 16 |
		                  (uint32_t)a->ip[2] << 8 | a->ip[3];

		memcpy(a->ip, &number, sizeof number);
	}
	buf_free(&octets);
	return ok && !any;
}

struct addr *
trust_nets_gateways(struct str route4, struct str route6, size_t *n)
{
	struct addr *list = NULL, a;
	struct str   text[] = {route4, route6}, line;

	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		while (str_cut(&text[i], '\n', &line)) {
			if (!gateway(line, i == 0 ? V4_GATEWAY_FIELD : V6_GATEWAY_FIELD, &a))
				continue;
			list = mem_resize(list, *n + 1, sizeof *list);
			list[(*n)++] = a;
		}
	}
	return list;
}

static void
read_all(struct buf *b, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0) {
		char   *room = buf_room(b, 4096);
		ssize_t got = room == NULL ? 0 : read(fd, room, 4096);

		if (got <= 0)
			break;
		buf_commit(b, (size_t)got);
	}
	if (fd >= 0)
		close(fd);
}

/* The network of an interface's address, if it is one that container-net means. */
static bool
connected(const struct ifaddrs *i, struct cidr *net)
{
	struct addr mask;

	if (i->ifa_addr == NULL || i->ifa_netmask == NULL || (i->ifa_flags & IFF_UP) == 0 ||
	    (i->ifa_flags & IFF_LOOPBACK) != 0 || !addr_from_sockaddr(i->ifa_addr, &net->addr))
		return false;
	net->addr.port = 0;
	/* A public network is the provider's, full of strangers. */
	if (!addr_is_private(net->addr) || addr_is_link_local(net->addr))
		return false;
	if (!addr_from_sockaddr(i->ifa_netmask, &mask))
		return false;
	for (net->bits = 0; net->bits < width(mask) && bit(&mask, net->bits); net->bits++)
		;
	cut(&net->addr, net->bits);
	return net->bits > 0;
}

/* Take `hole` out of all networks. */
static void
punch(struct cidr **nets, size_t *n, struct addr hole)
{
	struct cidr *kept = NULL;
	size_t       n_kept = 0;

	for (size_t i = 0; i < *n; i++)
		trust_nets_without(&kept, &n_kept, (*nets)[i], hole);
	free(*nets);
	*nets = kept;
	*n = n_kept;
}

static bool
has(const struct cidr *nets, size_t n, const struct cidr *net)
{
	for (size_t i = 0; i < n; i++)
		if (nets[i].bits == net->bits && addr_equal(nets[i].addr, net->addr))
			return true;
	return false;
}

struct cidr *
trust_nets_container(size_t *n)
{
	struct ifaddrs *all = NULL;
	struct cidr    *nets = NULL, net;
	struct buf      route4 = BUF(ROUTES_MAX), route6 = BUF(ROUTES_MAX);
	struct addr    *gateways;
	size_t          n_gateways, n_nets = 0, n_whole;

	if (getifaddrs(&all) != 0)
		all = NULL;
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (connected(i, &net) && !has(nets, n_nets, &net))
			append(&nets, &n_nets, net);
	if (all != NULL)
		freeifaddrs(all);
	read_all(&route4, "/proc/net/route");
	read_all(&route6, "/proc/net/ipv6_route");
	gateways = trust_nets_gateways(buf_str(&route4), buf_str(&route6), &n_gateways);
	/*
	 * A network without a route through it has its bridge, by the convention of all
	 * container engines, at the first address.
	 */
	n_whole = n_nets;
	for (size_t i = 0; i < n_whole; i++) {
		if (nets[i].bits >= width(nets[i].addr))
			continue;
		net = nets[i];
		net.addr.ip[width(net.addr) / 8 - 1] |= 1;
		gateways = mem_resize(gateways, n_gateways + 1, sizeof *gateways);
		gateways[n_gateways++] = net.addr;
	}
	for (size_t i = 0; i < n_gateways; i++)
		punch(&nets, &n_nets, gateways[i]);
	free(gateways);
	buf_free(&route4);
	buf_free(&route6);
	*n = n_nets;
	return nets;
}
