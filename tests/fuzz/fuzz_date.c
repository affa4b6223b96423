/* SPDX-License-Identifier: ISC */
#include "lib/mail/date.h"
#include "tests/fuzz/fuzz.h"

/* A moment that was understood is, written out, understood as the same second. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF(100);
	int64_t    ms, again;

	if (date_parse(input(data, size), &ms) && ms >= 0) {
		date_format(&text, ms);
		must(date_parse(buf_str(&text), &again));
		must(again / 1000 == ms / 1000);
	}
	buf_free(&text);
	return 0;
}
