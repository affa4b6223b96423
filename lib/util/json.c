/* SPDX-License-Identifier: ISC */
#include "lib/util/json.h"

#include "lib/util/time.h"

static bool
in_range(struct str s, size_t at, unsigned char low, unsigned char high)
{
	return at < s.n && (unsigned char)s.p[at] >= low && (unsigned char)s.p[at] <= high;
}

/*
 * The length of the UTF-8 sequence at the start of `s`, 0 if it is none (RFC 3629
 * section 4: no overlong forms, no surrogates, nothing above U+10FFFF).
 */
static size_t
utf8_length(struct str s)
{
	/* clang-format off */
	static const struct {
		unsigned char low, high;               /* the first octet */
		unsigned char second_low, second_high;
		size_t        n;
	} forms[] = {
		{0x00, 0x7f, 0,    0,    1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = 1;

		if (!in_range(s, 0, forms[i].low, forms[i].high))
			continue;
		if (forms[i].n > 1 && !in_range(s, n++, forms[i].second_low, forms[i].second_high))
			return 0;
		while (n < forms[i].n && in_range(s, n, 0x80, 0xbf))
			n++;
		return n == forms[i].n ? n : 0;
	}
	return 0;
}

static void
add_escaped(struct buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[] = "\"\\\b\f\n\r\t";
	ptrdiff_t         at = str_find(STR(named), (char)c);

	buf_addc(out, '\\');
	if (at >= 0) {
		buf_addc(out, "\"\\bfnrt"[at]);
		return;
	}
	buf_addz(out, "u00");
	buf_addc(out, hex[c >> 4]);
	buf_addc(out, hex[c & 15]);
}

static bool
plain(char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Anything but plain ASCII at the start of `s`: returns how many octets it took. */
static size_t
add_special(struct buf *out, struct str s)
{
	size_t        n = utf8_length(s);
	unsigned char first = (unsigned char)s.p[0];

	if (n == 0) {
		buf_add(out, STR("\xef\xbf\xbd"));
		return 1;
	}
	/* U+0080 to U+009F are control characters, which terminals obey. */
	if (n == 1 || (first == 0xc2 && (unsigned char)s.p[1] < 0xa0))
		add_escaped(out, n == 1 ? first : (unsigned char)s.p[1]);
	else
		buf_add(out, str_sub(s, 0, n));
	return n;
}

void
json_text(struct buf *out, struct str value)
{
	buf_addc(out, '"');
	while (value.n > 0) {
		size_t n = 0;

		while (n < value.n && plain(value.p[n]))
			n++;
		buf_add(out, str_sub(value, 0, n));
		value = str_skip(value, n);
		if (value.n > 0)
			value = str_skip(value, add_special(out, value));
	}
	buf_addc(out, '"');
}

static void
begin(struct json *j, const char *key)
{
	if (j->comma)
		buf_addc(j->out, ',');
	j->comma = true;
	if (key != NULL) {
		json_text(j->out, str_of(key));
		buf_addc(j->out, ':');
	}
}

void
json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	buf_addc(j->out, bracket);
	j->comma = false;
}

void
json_close(struct json *j, char bracket)
{
	buf_addc(j->out, bracket);
	j->comma = true;
}

void
json_str(struct json *j, const char *key, struct str value)
{
	begin(j, key);
	json_text(j->out, value);
}

void
json_int(struct json *j, const char *key, int64_t value)
{
	begin(j, key);
	buf_addi(j->out, value);
}

void
json_ms(struct json *j, const char *key, int64_t ms)
{
	begin(j, key);
	time_format_seconds(j->out, ms);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	buf_addz(j->out, value ? "true" : "false");
}
