/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/smtpd_play.h"

enum { INPUT_MAX = 16 * 1024 };

static size_t
count(struct str in, struct str what)
{
	size_t    n = 0;
	ptrdiff_t at;

	for (; (at = str_find_str(in, what)) >= 0; n++)
		in = str_skip(in, (size_t)at + what.n);
	return n;
}

/* "last" in any case, as BDAT has it. */
static size_t
count_last(struct str in)
{
	size_t n = 0;

	for (; in.n >= 4; in = str_skip(in, 1))
		n += str_istarts(in, STR("last"));
	return n;
}

/*
 * All that one client says, in pieces of any size; the first octets say who he is and how large. A
 * message is only what he ended by CRLF "." CRLF or by LAST: no other way to send two.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = input(data, size);
	unsigned   who = take_octet(&in);
	size_t     step = (size_t)(take_octet(&in) + 1) * 15;
	struct buf acts = BUF(1 << 20);

	if (size > INPUT_MAX)
		return 0;
	buf_addc(&acts, 'n');
	buf_addc(&acts, (char)(who & 7));
	stage_add_octets(&acts, in, step);
	buf_addz(&acts, "e!");
	stage_play(&smtpd_play, buf_str(&acts));
	must(smtpd_play_messages() <= count(in, STR("\r\n.\r\n")) + count_last(in));
	buf_free(&acts);
	return 0;
}
