/* SPDX-License-Identifier: ISC */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { PORT_MAX = 65535, MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static unsigned
width(struct addr a)
{
	return a.family == 4 ? 32 : 128;
}

static size_t
octets(struct addr a)
{
	return a.family == 4 ? 4 : a.family == 6 ? 16 : 0;
}

static bool
is_mapped(const uint8_t ip[16])
{
	return memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void
set_v4(struct addr *a, const void *ip)
{
	*a = (struct addr){.family = 4, .port = a->port};
	memcpy(a->ip, ip, 4);
}

static void
set_v6(struct addr *a, const void *ip)
{
	*a = (struct addr){.family = 6, .port = a->port};
	memcpy(a->ip, ip, 16);
}

/* Without looking through a mapped address: cidr_parse() must know which it was. */
static bool
parse_raw(struct str text, struct addr *a)
{
	char    z[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (text.n == 0 || text.n >= sizeof z || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	*a = (struct addr){0};
	if (inet_pton(AF_INET, z, ip) == 1) {
		set_v4(a, ip);
		return true;
	}
	if (inet_pton(AF_INET6, z, ip) == 1) {
		set_v6(a, ip);
		return true;
	}
	return false;
}

void
addr_unmap(struct addr *a)
{
	uint8_t ip[4];

	if (a->family != 6 || !is_mapped(a->ip))
		return;
	memcpy(ip, a->ip + sizeof mapped_prefix, sizeof ip);
	set_v4(a, ip);
}

bool
addr_parse(struct str ip, struct addr *a)
{
	bool bracketed = ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']';

	if (bracketed)
		ip = str_sub(ip, 1, ip.n - 2);
	if (!parse_raw(ip, a) || (bracketed && a->family != 6))
		return false;
	addr_unmap(a);
	return true;
}

static bool
parse_port(struct str text, uint16_t *port)
{
	uint64_t n;

	if (!str_number(text, PORT_MAX, &n))
		return false;
	*port = (uint16_t)n;
	return true;
}

/*
 * Split "host:port". A colon separates only where the host cannot hold one: after
 * a bracket, or if it is the only colon ("::1" is an address without a port).
 */
static ptrdiff_t
find_separator(struct str text)
{
	ptrdiff_t at = str_rfind(text, '@');
	ptrdiff_t colon = str_rfind(text, ':');

	if (at >= 0)
		return at;
	if (colon <= 0)
		return colon;
	if (text.p[colon - 1] == ']' || str_find(text, ':') == colon)
		return colon;
	return -1;
}

bool
addr_parse_port(struct str text, uint16_t default_port, struct addr *a)
{
	ptrdiff_t  sep = find_separator(text);
	struct str host = text;
	uint16_t   port = default_port;

	if (sep >= 0) {
		host = str_sub(text, 0, (size_t)sep);
		if (!parse_port(str_skip(text, (size_t)sep + 1), &port))
			return false;
	}
	if (sep == 0 && text.p[0] == ':')
		*a = (struct addr){.family = 6};
	else if (!addr_parse(host, a))
		return false;
	a->port = port;
	return true;
}

void
addr_format(struct buf *out, struct addr a)
{
	char z[INET6_ADDRSTRLEN];

	if (a.family == 0)
		buf_addz(out, "unknown");
	else if (inet_ntop(a.family == 4 ? AF_INET : AF_INET6, a.ip, z, sizeof z) != NULL)
		buf_addz(out, z);
}

void
addr_format_port(struct buf *out, struct addr a)
{
	if (a.family == 6)
		buf_addc(out, '[');
	addr_format(out, a);
	if (a.family == 6)
		buf_addc(out, ']');
	buf_addc(out, ':');
	buf_addn(out, a.port);
}

bool
addr_equal(struct addr a, struct addr b)
{
	return a.family == b.family && memcmp(a.ip, b.ip, octets(a)) == 0;
}

static bool
has_prefix(struct addr a, const uint8_t *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	unsigned mask = (0xff00u >> rest) & 0xff;

	if (memcmp(a.ip, prefix, whole) != 0)
		return false;
	return rest == 0 || ((unsigned)(a.ip[whole] ^ prefix[whole]) & mask) == 0;
}

enum { LOOPBACK = 1, LINK_LOCAL = 2, PRIVATE = 4, ANY = 8, NO_HOST = 16 };

static const struct {
	uint8_t family;
	uint8_t bits;
	uint8_t kind;
	uint8_t prefix[16];
} special[] = {
	{4, 8, LOOPBACK, {127}},
	{6, 128, LOOPBACK, {[15] = 1}},
	{4, 16, LINK_LOCAL, {169, 254}},
	{6, 10, LINK_LOCAL, {0xfe, 0x80}},
	{4, 8, PRIVATE, {10}},
	{4, 12, PRIVATE, {172, 16}},
	{4, 16, PRIVATE, {192, 168}},
	{4, 10, PRIVATE, {100, 64}},
	{6, 7, PRIVATE, {0xfc}},
	{4, 32, ANY, {0}},
	{6, 128, ANY, {0}},
	{4, 8, NO_HOST, {0}},
	{4, 3, NO_HOST, {224}},
	{6, 128, NO_HOST, {0}},
	{6, 8, NO_HOST, {0xff}},
};

static bool
is(struct addr a, unsigned kind)
{
	for (size_t i = 0; i < ARRAY_LEN(special); i++)
		if (special[i].kind == kind && special[i].family == a.family &&
		    has_prefix(a, special[i].prefix, special[i].bits))
			return true;
	return false;
}

bool
addr_is_loopback(struct addr a)
{
	return is(a, LOOPBACK);
}

bool
addr_is_link_local(struct addr a)
{
	return is(a, LINK_LOCAL);
}

bool
addr_is_private(struct addr a)
{
	return is(a, PRIVATE);
}

bool
addr_is_any(struct addr a)
{
	return is(a, ANY);
}

bool
addr_is_no_host(struct addr a)
{
	return is(a, NO_HOST);
}

static bool
has_host_bits(const struct cidr *c)
{
	for (unsigned bit = c->bits; bit < width(c->addr); bit++)
		if (c->addr.ip[bit / 8] & (0x80u >> (bit % 8)))
			return true;
	return false;
}

bool
cidr_parse(struct str text, struct cidr *c)
{
	ptrdiff_t slash = str_find(text, '/');
	uint64_t  bits = 0;

	*c = (struct cidr){0};
	if (!parse_raw(slash < 0 ? text : str_sub(text, 0, (size_t)slash), &c->addr))
		return false;
	if (slash < 0)
		bits = width(c->addr);
	else if (!str_number(str_skip(text, (size_t)slash + 1), width(c->addr), &bits))
		return false;
	/* A network wider than all mapped addresses stays IPv6, and then has none of them. */
	if (c->addr.family == 6 && bits >= MAPPED_BITS && is_mapped(c->addr.ip)) {
		addr_unmap(&c->addr);
		bits -= MAPPED_BITS;
	}
	c->bits = (unsigned)bits;
	return !has_host_bits(c);
}

bool
cidr_has(const struct cidr *c, struct addr a)
{
	return c->addr.family != 0 && c->addr.family == a.family &&
	       has_prefix(a, c->addr.ip, c->bits);
}

void
cidr_format(struct buf *out, const struct cidr *c)
{
	addr_format(out, c->addr);
	buf_addc(out, '/');
	buf_addn(out, c->bits);
}

socklen_t
addr_to_sockaddr(struct addr a, struct sockaddr_storage *ss)
{
	struct sockaddr_in  v4 = {.sin_family = AF_INET, .sin_port = htons(a.port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(a.port)};

	memset(ss, 0, sizeof *ss);
	if (a.family == 4) {
		memcpy(&v4.sin_addr, a.ip, 4);
		memcpy(ss, &v4, sizeof v4);
		return sizeof v4;
	}
	memcpy(&v6.sin6_addr, a.ip, 16);
	memcpy(ss, &v6, sizeof v6);
	return sizeof v6;
}

bool
addr_from_sockaddr(const struct sockaddr *sa, struct addr *a)
{
	struct sockaddr_in  v4;
	struct sockaddr_in6 v6;

	*a = (struct addr){0};
	switch (sa->sa_family) {
	case AF_INET:
		memcpy(&v4, sa, sizeof v4);
		a->port = ntohs(v4.sin_port);
		set_v4(a, &v4.sin_addr);
		return true;
	case AF_INET6:
		memcpy(&v6, sa, sizeof v6);
		a->port = ntohs(v6.sin6_port);
		set_v6(a, &v6.sin6_addr);
		addr_unmap(a);
		return true;
	default:
		return false;
	}
}
