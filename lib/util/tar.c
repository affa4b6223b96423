/* SPDX-License-Identifier: ISC */
#include "lib/util/tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SKIP_BYTES = 16 * 1024, EXTRA_MAX = 1024 * 1024 };

struct field {
	size_t at, n;
};

static const struct field NAME = {0, 100}, MODE = {100, 8}, OWNER = {108, 8}, GROUP = {116, 8},
			  SIZE = {124, 12}, MTIME = {136, 12}, SUM = {148, 8}, TYPE = {156, 1},
			  MAGIC = {257, 8}, PREFIX = {345, 155};

/* Octal digits and a NUL. */
static bool
put_number(uint8_t *block, struct field f, uint64_t x)
{
	block[f.at + f.n - 1] = '\0';
	for (size_t i = f.n - 1; i-- > 0; x /= 8)
		block[f.at + i] = (uint8_t)('0' + x % 8);
	return x == 0;
}

/* The sum is that of all octets, with blanks where it stands itself. */
static uint64_t
sum_of(const uint8_t *block)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= SUM.at && i < SUM.at + SUM.n ? ' ' : block[i];
	return sum;
}

bool
tar_header(uint8_t out[TAR_BLOCK], const struct tar_entry *e)
{
	size_t n = strlen(e->name);

	memset(out, 0, TAR_BLOCK);
	if (n == 0 || n > NAME.n)
		return false;
	memcpy(out + NAME.at, e->name, n);
	(void)put_number(out, MODE, 0600);
	(void)put_number(out, OWNER, 0);
	(void)put_number(out, GROUP, 0);
	if (!put_number(out, SIZE, e->size) ||
	    !put_number(out, MTIME, e->mtime > 0 ? (uint64_t)e->mtime : 0))
		return false;
	out[TYPE.at] = (uint8_t)e->type;
	memcpy(out + MAGIC.at, "ustar\00000", MAGIC.n);
	(void)put_number(out, (struct field){SUM.at, SUM.n - 1}, sum_of(out));
	out[SUM.at + SUM.n - 1] = ' ';
	return true;
}

size_t
tar_padding(uint64_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* Octal with blanks around it; or, as GNU tar writes what is too large for that, big-endian with the top bit set. */
static bool
get_number(const uint8_t *block, struct field f, uint64_t *x)
{
	const uint8_t *p = block + f.at, *end = p + f.n;
	bool           any = false;

	*x = 0;
	if (*p == 0x80) {
		for (p++; p < end; p++) {
			if (*x > UINT64_MAX >> 9)
				return false;
			*x = *x << 8 | *p;
		}
		return true;
	}
	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++, any = true)
		*x = *x * 8 + (uint64_t)(*p - '0');
	while (p < end && (*p == ' ' || *p == '\0'))
		p++;
	return any && p == end;
}

static size_t
text_length(const uint8_t *block, struct field f)
{
	return strnlen((const char *)block + f.at, f.n);
}

_Static_assert(TAR_NAME > 155 + 1 + 100, "prefix, slash and name fit, with their NUL");

static bool
parse(const uint8_t *block, struct tar_entry *e)
{
	uint64_t sum, mtime;
	bool     posix = memcmp(block + MAGIC.at, "ustar", 6) == 0;
	size_t   prefix = posix ? text_length(block, PREFIX) : 0;

	*e = (struct tar_entry){0};
	if (!get_number(block, SUM, &sum) || sum != sum_of(block) ||
	    !get_number(block, SIZE, &e->size) || e->size > INT64_MAX / 2)
		return false;
	e->mtime = get_number(block, MTIME, &mtime) && mtime <= INT64_MAX ? (int64_t)mtime : 0;
	e->type = block[TYPE.at] == '\0' ? '0' : (char)block[TYPE.at];
	if (prefix > 0) {
		memcpy(e->name, block + PREFIX.at, prefix);
		e->name[prefix++] = '/';
	}
	memcpy(e->name + prefix, block + NAME.at, text_length(block, NAME));
	/* Links, devices and folders have no octets, whatever stands there. */
	if (e->type >= '1' && e->type <= '6')
		e->size = 0;
	return true;
}

static bool
read_whole(struct tar_reader *r, uint8_t *to, size_t n)
{
	while (n > 0) {
		ssize_t got = r->read(r->arg, to, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
		r->at += (uint64_t)got;
	}
	return true;
}

static bool
skip(struct tar_reader *r)
{
	uint8_t  piece[SKIP_BYTES];
	uint64_t n = r->left + r->pad;

	r->left = r->pad = 0;
	while (n > 0) {
		size_t part = n < sizeof piece ? (size_t)n : sizeof piece;

		if (!read_whole(r, piece, part))
			return false;
		n -= part;
	}
	return true;
}

static bool
is_zero(const uint8_t *block)
{
	for (size_t i = 0; i < TAR_BLOCK; i++)
		if (block[i] != 0)
			return false;
	return true;
}

enum tar_next
tar_next(struct tar_reader *r, struct tar_entry *e)
{
	uint8_t block[TAR_BLOCK];

	for (;;) {
		if (!skip(r) || !read_whole(r, block, sizeof block))
			return TAR_SHORT;
		if (is_zero(block))
			return TAR_END;
		if (!parse(block, e))
			return TAR_DAMAGED;
		r->left = e->size;
		r->pad = tar_padding(e->size);
		if (strchr("xgLK", e->type) == NULL)
			return TAR_ENTRY;
		/* Long names and the like are a few octets: a size in there is nobody's. */
		if (e->size > EXTRA_MAX)
			return TAR_DAMAGED;
	}
}

ssize_t
tar_read(struct tar_reader *r, void *to, size_t n)
{
	ssize_t got;

	if (r->left == 0)
		return 0;
	if (n > r->left)
		n = (size_t)r->left;
	do
		got = r->read(r->arg, to, n);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return -1;
	r->left -= (uint64_t)got;
	r->at += (uint64_t)got;
	return got;
}
