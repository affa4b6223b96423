/* SPDX-License-Identifier: ISC */
#include "smtpd/proxy.h"

#include <string.h>

enum {
	V1_MAX = 107,
	V2_FIXED = 16,
	V2_LOCAL = 0x20,
	V2_PROXY = 0x21,
	V2_TCP4 = 0x11,
	V2_TCP6 = 0x21,
};

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* How much of `s` agrees with `want`, and no more was there to disagree. */
static bool
may_become(struct str s, struct str want)
{
	return str_eq(str_sub(s, 0, want.n), str_sub(want, 0, s.n));
}

static bool
parse_port(struct str s, uint16_t *port)
{
	uint64_t n;

	if (s.n > 5 || !str_number(s, UINT16_MAX, &n))
		return false;
	*port = (uint16_t)n;
	return true;
}

static enum proxy_result
parse_v1(struct str in, struct proxy *out)
{
	ptrdiff_t   end = str_find_str(str_sub(in, 0, V1_MAX), STR("\r\n"));
	struct str  line, word[5];
	struct addr to;
	uint16_t    to_port;

	if (end < 0)
		return in.n >= V1_MAX ? PROXY_BAD : PROXY_MORE;
	out->used = (size_t)end + 2;
	line = str_skip(str_sub(in, 0, (size_t)end), sizeof "PROXY " - 1);
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (!str_cut(&line, ' ', &word[i]))
			word[i] = STR_NONE;
	if (str_eq(word[0], STR("UNKNOWN")))
		return PROXY_OK;
	if (line.n > 0 || !addr_parse(word[1], &out->client) || !addr_parse(word[2], &to) ||
	    !parse_port(word[3], &out->client.port) || !parse_port(word[4], &to_port))
		return PROXY_BAD;
	if (str_eq(word[0], STR("TCP4")) && str_find(word[1], ':') < 0)
		return PROXY_OK;
	return str_eq(word[0], STR("TCP6")) && str_find(word[1], ':') >= 0 ? PROXY_OK : PROXY_BAD;
}

static unsigned
octet(struct str s, size_t i)
{
	return (unsigned char)s.p[i];
}

static void
take_address(struct str in, size_t ip_octets, struct proxy *out)
{
	struct addr a = {.family = ip_octets == 4 ? 4 : 6};
	size_t      port = V2_FIXED + 2 * ip_octets;

	memcpy(a.ip, in.p + V2_FIXED, ip_octets);
	a.port = (uint16_t)(octet(in, port) << 8 | octet(in, port + 1));
	addr_unmap(&a);
	out->client = a;
}

static enum proxy_result
parse_v2(struct str in, struct proxy *out)
{
	size_t length;

	if (in.n < V2_FIXED)
		return PROXY_MORE;
	length = octet(in, 14) << 8 | octet(in, 15);
	if (V2_FIXED + length > PROXY_MAX ||
	    (octet(in, 12) != V2_LOCAL && octet(in, 12) != V2_PROXY))
		return PROXY_BAD;
	if (in.n < V2_FIXED + length)
		return PROXY_MORE;
	out->used = V2_FIXED + length;
	if (octet(in, 12) == V2_LOCAL)
		return PROXY_OK;
	if (octet(in, 13) == V2_TCP4 && length >= 12)
		take_address(in, 4, out);
	else if (octet(in, 13) == V2_TCP6 && length >= 36)
		take_address(in, 16, out);
	else
		return PROXY_BAD;
	return PROXY_OK;
}

enum proxy_result
proxy_parse(struct str in, struct proxy *out)
{
	struct str signature = {v2_signature, sizeof v2_signature};

	*out = (struct proxy){0};
	if (in.n == 0)
		return PROXY_MORE;
	if (may_become(in, signature))
		return parse_v2(in, out);
	if (may_become(in, STR("PROXY ")))
		return parse_v1(in, out);
	return PROXY_BAD;
}
