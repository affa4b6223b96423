/* SPDX-License-Identifier: ISC */
#include "lib/mail/ids.h"

#include "lib/util/random.h"
#include "lib/util/time.h"

enum { COUNTER_BITS = 14, MAKER_BITS = 6, TIME_SHIFT = COUNTER_BITS + MAKER_BITS };

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* Set in derived ids only: the time of a made one reaches it in the year 2248. */
static const uint64_t derived = 1ull << 63;

/* Each step can be undone, so no two numbers meet; each bit reaches the top five. */
static uint64_t
scatter(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	x ^= x >> 33;
	return x;
}

/* The factors are the inverses of those above, modulo 2^64. */
static uint64_t
gather(uint64_t x)
{
	x ^= x >> 33;
	x *= 0x9cb4b2f8129337dbull;
	x ^= x >> 33;
	x *= 0x4f74430c22a54005ull;
	x ^= x >> 33;
	return x;
}

uint64_t
ids_next(struct ids *ids)
{
	int64_t now = time_wall_ms();

	if (now > ids->last_ms) {
		/*
		 * A random start: a maker that is restarted while the clock is set
		 * back will hardly meet the numbers of its former life.
		 */
		ids->last_ms = now;
		ids->counter = random_below(1u << (COUNTER_BITS - 1));
	} else if (++ids->counter >> COUNTER_BITS != 0) {
		ids->last_ms++;
		ids->counter = 0;
	}
	return ((uint64_t)ids->last_ms << TIME_SHIFT & ~derived) |
	       (uint64_t)(ids->maker & ((1u << MAKER_BITS) - 1)) << COUNTER_BITS | ids->counter;
}

uint64_t
id_derive(uint64_t parent, unsigned part, unsigned kind)
{
	uint64_t what = scatter(((uint64_t)kind << 32 | part) + 0x9e3779b97f4a7c15ull);

	return scatter(scatter(parent) ^ what) | derived;
}

/* The first letter has the top five bits, the last one only the lowest four. */
static char
digit_at(uint64_t scattered, size_t i)
{
	unsigned value = i + 1 < ID_TEXT ? (unsigned)(scattered >> (59 - 5 * i)) & 31
	                                 : (unsigned)scattered & 15;

	return digits[value];
}

void
id_format(struct buf *out, uint64_t id)
{
	uint64_t x = scatter(id);

	for (size_t i = 0; i < ID_TEXT; i++)
		buf_addc(out, digit_at(x, i));
}

/* What people type, read as the letter they saw. */
static char
fold(char c)
{
	char lower = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;

	if (lower == 'o')
		return '0';
	if (lower == 'i' || lower == 'l')
		return '1';
	return lower;
}

bool
id_parse(struct str text, uint64_t *id)
{
	const struct str all = STR(digits);
	uint64_t         x = 0;

	if (text.n != ID_TEXT)
		return false;
	for (size_t i = 0; i < ID_TEXT; i++) {
		ptrdiff_t value = str_find(all, fold(text.p[i]));

		if (value < 0 || (i + 1 == ID_TEXT && value > 15))
			return false;
		x = x << (i + 1 == ID_TEXT ? 4 : 5) | (uint64_t)value;
	}
	*id = gather(x);
	return *id != 0;
}

bool
id_has_prefix(uint64_t id, struct str prefix)
{
	uint64_t x = scatter(id);

	if (prefix.n > ID_TEXT)
		return false;
	for (size_t i = 0; i < prefix.n; i++)
		if (fold(prefix.p[i]) != digit_at(x, i))
			return false;
	return true;
}
