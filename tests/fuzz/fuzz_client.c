/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/delivery_play.h"

/*
 * A message for a server that says the input, line by line, TLS when it is asked for; and again
 * on the next connection.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf acts = BUF(1 << 20);
	struct str rest = input(data, size), line;

	if (size > 16 * 1024)
		return 0;
	buf_addz(&acts, "l!");
	buf_addz(&acts, "!o");
	while (str_cut(&rest, '\n', &line)) {
		struct buf whole = BUF(1 << 20);

		buf_add(&whole, line);
		buf_addc(&whole, '\n');
		stage_add_octets(&acts, buf_str(&whole), 3000);
		buf_addc(&acts, 't');
		buf_addc(&acts, 'o');
		buf_free(&whole);
	}
	buf_addz(&acts, "e!ok!ok!w\x11!");
	stage_play(&delivery_play, buf_str(&acts));
	buf_free(&acts);
	return 0;
}
