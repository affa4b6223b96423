/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "smtpd/data.h"
#include "tests/fuzz/fuzz.h"

static void
keep(void *arg, struct str run)
{
	buf_add(arg, run);
}

/* In pieces of `step` octets; how much was taken. */
static size_t
feed(struct data *d, struct str in, size_t step, struct buf *out)
{
	size_t at = 0;

	while (at < in.n && !d->ended) {
		struct str piece = str_sub(in, at, step);
		size_t     n = data_feed(d, piece, keep, out);

		must(n == piece.n || (d->ended && n < piece.n));
		at += n;
	}
	if (d->kind == DATA_COUNTED)
		data_finish(d, keep, out);
	return at;
}

/*
 * Said again, in the plainest way: the message ends at the first CRLF "." CRLF (the CRLF may be
 * that of the command), and a dot that begins a line is dropped. True only if it ended there.
 */
static bool
expect(struct str in, struct buf *out, size_t *used)
{
	ptrdiff_t end = str_starts(in, STR(".\r\n")) ? 0 : str_find_str(in, STR("\r\n.\r\n"));

	if (end < 0)
		return false;
	*used = (size_t)end + (str_starts(in, STR(".\r\n")) ? 3 : 5);
	in = str_sub(in, 0, *used - 3);
	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] != '.' || (i > 0 && (i < 2 || in.p[i - 1] != '\n' || in.p[i - 2] != '\r')))
			buf_addc(out, in.p[i]);
	return true;
}

/* What passes has no line end but CRLF, no NUL, and only the header has long lines. */
static void
check_clean(struct str text)
{
	size_t column = 0;
	bool   in_head = true;

	for (size_t i = 0; i < text.n; i++) {
		char last = i > 0 ? text.p[i - 1] : '\0';

		must(text.p[i] != '\0' && (text.p[i] == '\n') == (last == '\r'));
		if (text.p[i] == '\n') {
			in_head = in_head && column > 1;
			column = 0;
			continue;
		}
		column++;
		must(in_head || column <= DATA_LINE_MAX + 1U);
	}
}

static void
play(enum data_kind kind, bool repair, struct str in, size_t step)
{
	struct buf  whole = BUF(1 << 21), cut = BUF(1 << 21), wanted = BUF(1 << 21);
	struct data a, b;
	size_t      used = 0, taken;

	data_init(&a, kind, repair);
	data_init(&b, kind, repair);
	taken = feed(&a, in, in.n, &whole);
	must(feed(&b, in, step, &cut) == taken);
	must(a.ended == b.ended && (a.fault == DATA_FINE) == (b.fault == DATA_FINE));
	if (a.fault == DATA_FINE)
		must(a.repaired == b.repaired && str_eq(buf_str(&whole), buf_str(&cut)));
	if (kind == DATA_DOTTED) {
		bool ends = expect(in, &wanted, &used);

		must(a.ended == ends && (!ends || taken == used));
		if (ends && a.fault == DATA_FINE && !a.repaired)
			must(str_eq(buf_str(&whole), buf_str(&wanted)));
	}
	if (a.fault == DATA_FINE && (a.ended || kind == DATA_COUNTED))
		check_clean(buf_str(&whole));
	buf_free(&whole);
	buf_free(&cut);
	buf_free(&wanted);
}

/* The first octet says in how large pieces the rest comes. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = input(data, size);
	size_t     step = take_octet(&in) % 32 + 1;

	for (int way = 0; way < 4; way++)
		play((way & 1) != 0 ? DATA_COUNTED : DATA_DOTTED, (way & 2) != 0, in, step);
	return 0;
}
