/* SPDX-License-Identifier: ISC */
#include "lib/util/encode.h"

#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned
octet(struct str s, size_t at)
{
	return at < s.n ? (unsigned char)s.p[at] : 0;
}

void
base64_encode(struct buf *out, struct str in)
{
	char *to;

	if (in.n > SIZE_MAX / 2 || (to = buf_room(out, (in.n + 2) / 3 * 4)) == NULL)
		return;
	for (size_t i = 0; i < in.n; i += 3) {
		unsigned bits = octet(in, i) << 16 | octet(in, i + 1) << 8 | octet(in, i + 2);

		*to++ = base64_digits[bits >> 18];
		*to++ = base64_digits[bits >> 12 & 63];
		*to++ = i + 1 < in.n ? base64_digits[bits >> 6 & 63] : '=';
		*to++ = i + 2 < in.n ? base64_digits[bits & 63] : '=';
	}
	buf_commit(out, (in.n + 2) / 3 * 4);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits at `from` into three octets at `to`, the last `padding` digits being '='. */
static bool
decode_four(const char *from, size_t padding, char *to)
{
	unsigned bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - padding ? base64_value(from[i]) : 0;

		if (value < 0)
			return false;
		bits = bits << 6 | (unsigned)value;
	}
	/* Bits that go nowhere must be zero, so that one text has one encoding. */
	if ((bits & ((1U << 8 * padding) - 1)) != 0)
		return false;
	to[0] = (char)(bits >> 16);
	to[1] = (char)(bits >> 8 & 255);
	to[2] = (char)(bits & 255);
	return true;
}

bool
base64_decode(struct buf *out, struct str in)
{
	size_t padding = str_ends(in, STR("==")) ? 2 : str_ends(in, STR("=")) ? 1 : 0;
	size_t n = in.n / 4 * 3;
	char  *to;

	if (in.n % 4 != 0 || (to = buf_room(out, n - (n > 0 ? padding : 0))) == NULL)
		return false;
	for (size_t i = 0; i < in.n; i += 4) {
		size_t pad = i + 4 == in.n ? padding : 0;
		char   three[3];

		if (!decode_four(in.p + i, pad, three))
			return false;
		memcpy(to, three, 3 - pad);
		to += 3 - pad;
	}
	buf_commit(out, n - (n > 0 ? padding : 0));
	return true;
}

static void
add_octet(struct buf *out, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";

	buf_addc(out, digits[c >> 4]);
	buf_addc(out, digits[c & 15]);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Two hex digits at index `at` to one octet. */
static bool
take_octet(struct buf *out, struct str in, size_t at)
{
	int high = at + 1 < in.n ? hex_value(in.p[at]) : -1;
	int low = high >= 0 ? hex_value(in.p[at + 1]) : -1;

	if (low < 0)
		return false;
	buf_addc(out, (char)(high << 4 | low));
	return !out->over;
}

bool
hex_decode(struct buf *out, struct str in)
{
	size_t before = out->n;

	for (size_t i = 0; i < in.n; i += 2)
		if (!take_octet(out, in, i)) {
			buf_truncate(out, before);
			return false;
		}
	return true;
}

static bool
xtext_plain(char c)
{
	return c > ' ' && c <= '~' && c != '+' && c != '=';
}

void
xtext_encode(struct buf *out, struct str in)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (xtext_plain(c)) {
			buf_addc(out, c);
		} else {
			buf_addc(out, '+');
			add_octet(out, (unsigned char)c);
		}
	}
}

bool
xtext_decode(struct buf *out, struct str in)
{
	size_t before = out->n;

	for (size_t i = 0; i < in.n; i++) {
		bool done;

		if (in.p[i] == '+') {
			done = take_octet(out, in, i + 1);
			i += 2;
		} else {
			done = xtext_plain(in.p[i]);
			buf_addc(out, in.p[i]);
		}
		if (!done || out->over) {
			buf_truncate(out, before);
			return false;
		}
	}
	return true;
}
