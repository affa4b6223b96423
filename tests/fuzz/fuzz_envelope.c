/* SPDX-License-Identifier: ISC */
#include "lib/mail/envelope.h"
#include "tests/fuzz/fuzz.h"

/* What was read is, written out, read again and written alike. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf      once = BUF(1 << 20), twice = BUF(1 << 20);
	struct envelope e, again;

	if (envelope_parse(&e, input(data, size))) {
		must(e.n_rcpts > 0);
		envelope_format(&once, &e);
		must(envelope_parse(&again, buf_str(&once)));
		must(again.n_rcpts == e.n_rcpts);
		envelope_format(&twice, &again);
		must(str_eq(buf_str(&once), buf_str(&twice)));
		envelope_free(&again);
		envelope_free(&e);
	}
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
