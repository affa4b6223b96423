/* SPDX-License-Identifier: ISC */
#include "lib/util/tar.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"

enum { ROOM = 64 * TAR_BLOCK };

struct source {
	uint8_t octets[ROOM];
	size_t  n, at;
};

/* Small and uneven pieces, as from a pipe. */
static ssize_t
give(void *arg, void *to, size_t n)
{
	struct source *s = arg;
	size_t         piece = s->n - s->at < 300 ? s->n - s->at : 300;

	if (piece > n)
		piece = n;
	memcpy(to, s->octets + s->at, piece);
	s->at += piece;
	return (ssize_t)piece;
}

static void
add_header(struct source *s, const char *name, char type, uint64_t size)
{
	struct tar_entry e = {.type = type, .size = size, .mtime = 1763892431};

	snprintf(e.name, sizeof e.name, "%s", name);
	assert_true(tar_header(s->octets + s->n, &e));
	s->n += TAR_BLOCK;
}

static void
add_octets(struct source *s, char c, size_t n)
{
	memset(s->octets + s->n, c, n);
	s->n += n + tar_padding(n);
}

/* What a forger changes, with the sum made right again. */
static void
change(struct source *s, size_t header, size_t at, const void *octets, size_t n)
{
	uint8_t *block = s->octets + header * TAR_BLOCK;
	unsigned sum = 0;
	char     text[16];

	memcpy(block + at, octets, n);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += block[i];
	snprintf(text, sizeof text, "%06o", sum);
	memcpy(block + 148, text, 7);
}

static void
headers_are_as_others_write_them(void **state UNUSED)
{
	static const struct {
		size_t      at, n;
		const char *text;
	} fields[] = {
		{0, 18, "abcdefghijklm.eml"}, {100, 8, "0000600"}, {124, 12, "00000001001"},
		{136, 12, "15110556317"},     {156, 1, "0"},       {257, 8, "ustar\00000"},
	};
	struct source s = {.n = 0};

	add_header(&s, "abcdefghijklm.eml", '0', 513);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		assert_memory_equal(s.octets + fields[i].at, fields[i].text, fields[i].n);
	assert_int_equal(tar_padding(0), 0);
	assert_int_equal(tar_padding(1), 511);
	assert_int_equal(tar_padding(512), 0);
}

static void
headers_that_cannot_be_written(void **state UNUSED)
{
	uint8_t          block[TAR_BLOCK];
	struct tar_entry e = {.type = '0'};

	assert_false(tar_header(block, &e));
	memset(e.name, 'a', 100);
	assert_true(tar_header(block, &e));
	e.size = 0100000000000;
	assert_false(tar_header(block, &e));
	e.size--;
	assert_true(tar_header(block, &e));
	e.name[100] = 'a';
	assert_false(tar_header(block, &e));
}

static void
read_back(void **state UNUSED)
{
	struct source     s = {.n = 0};
	struct tar_reader r = {.read = give, .arg = &s};
	struct tar_entry  e;
	char              piece[400];
	size_t            n = 0;
	ssize_t           got;

	add_header(&s, "one", '0', 1000);
	add_octets(&s, 'x', 1000);
	add_header(&s, "pax", 'x', 30);
	add_octets(&s, 'p', 30);
	add_header(&s, "two", '0', 0);
	add_header(&s, "three", '0', 512);
	add_octets(&s, 'z', 512);
	add_header(&s, "link", '2', 999); /* a link has no octets */
	s.n += TAR_TRAILER;
	assert_int_equal(tar_next(&r, &e), TAR_ENTRY);
	assert_string_equal(e.name, "one");
	while ((got = tar_read(&r, piece, sizeof piece)) > 0)
		for (n += (size_t)got; got > 0; got--)
			assert_int_equal(piece[got - 1], 'x');
	assert_int_equal(n, 1000);
	assert_int_equal(tar_next(&r, &e), TAR_ENTRY);
	assert_string_equal(e.name, "two");
	assert_int_equal(tar_read(&r, piece, sizeof piece), 0);
	assert_int_equal(tar_next(&r, &e), TAR_ENTRY);
	assert_string_equal(e.name, "three");
	assert_int_equal(tar_next(&r, &e), TAR_ENTRY); /* octets that nobody read are passed over */
	assert_int_equal(e.type, '2');
	assert_int_equal(e.size, 0);
	assert_int_equal(tar_next(&r, &e), TAR_END);
}

/* clang-format off */
static const struct {
	const char   *name;
	size_t        at, n;
	const char   *octets;
	enum tar_next want;
	uint64_t      size;
} forged[] = {
	{"size in blanks and octal", 124, 12, "     1750   ", TAR_ENTRY, 1000},
	{"size of GNU tar",          124, 12, "\x80\0\0\0\0\0\0\0\0\0\003\350", TAR_ENTRY, 1000},
	{"size over 64 bits",        124, 12, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", TAR_DAMAGED, 0},
	{"size over 63 bits",        124, 12, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", TAR_DAMAGED, 0},
	{"negative size",            124, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", TAR_DAMAGED, 0},
	{"size with a sign",         124, 12, "-0000001750", TAR_DAMAGED, 0},
	{"size without digits",      124, 12, "           ", TAR_DAMAGED, 0},
	{"size in hex",              124, 12, "0x000001750", TAR_DAMAGED, 0},
	{"digits behind the end",    124, 12, "1750 0001750", TAR_DAMAGED, 0},
	{"no mtime",                 136, 12, "\0\0\0\0\0\0\0\0\0\0\0", TAR_ENTRY, 1000},
	{"name without an end",      0, 100,
	 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	 TAR_ENTRY, 1000},
	{"an old type",              156, 1, "\0", TAR_ENTRY, 1000},
	{"an extra header of 1000",  156, 1, "L", TAR_END, 0},
};
/* clang-format on */

static void
forged_headers(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
		struct source     s = {.n = 0};
		struct tar_reader r = {.read = give, .arg = &s};
		struct tar_entry  e;

		add_header(&s, "one", '0', 1000);
		add_octets(&s, 'x', 1000);
		s.n += TAR_TRAILER;
		change(&s, 0, forged[i].at, forged[i].octets, forged[i].n);
		check_int(forged[i].name, tar_next(&r, &e), forged[i].want);
		if (forged[i].want == TAR_ENTRY)
			check_int(forged[i].name, e.size, forged[i].size);
		assert_true(strlen(e.name) < TAR_NAME);
	}
}

static void
a_wrong_sum_is_no_header(void **state UNUSED)
{
	struct source     s = {.n = 0};
	struct tar_reader r = {.read = give, .arg = &s};
	struct tar_entry  e;

	add_header(&s, "one", '0', 0);
	s.octets[3] ^= 1;
	assert_int_equal(tar_next(&r, &e), TAR_DAMAGED);
}

/* An extra header may not make us read for hours. */
static void
a_large_extra_header(void **state UNUSED)
{
	struct source     s = {.n = 0};
	struct tar_reader r = {.read = give, .arg = &s};
	struct tar_entry  e;

	add_header(&s, "x", 'x', 1u << 30);
	s.n += TAR_TRAILER;
	assert_int_equal(tar_next(&r, &e), TAR_DAMAGED);
}

static void
cut_anywhere(void **state UNUSED)
{
	struct source     whole = {.n = 0};
	struct tar_entry  e;
	char              piece[100];

	add_header(&whole, "one", '0', 700);
	add_octets(&whole, 'x', 700);
	add_header(&whole, "two", '0', 10);
	add_octets(&whole, 'y', 10);
	for (size_t cut = 0; cut < whole.n; cut += 13) {
		struct source     s = whole;
		struct tar_reader r = {.read = give, .arg = &s};
		enum tar_next     next;

		s.n = cut;
		while ((next = tar_next(&r, &e)) == TAR_ENTRY)
			while (tar_read(&r, piece, sizeof piece) > 0)
				;
		check_int("cut", next, TAR_SHORT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_as_others_write_them),
		cmocka_unit_test(headers_that_cannot_be_written),
		cmocka_unit_test(read_back),
		cmocka_unit_test(forged_headers),
		cmocka_unit_test(a_wrong_sum_is_no_header),
		cmocka_unit_test(a_large_extra_header),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
