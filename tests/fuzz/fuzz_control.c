/* SPDX-License-Identifier: ISC */
#include "lib/proc/control.h"
#include "tests/fuzz/fuzz.h"

/* The input as a request, and as a row of an answer. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf scratch = BUF(1 << 20);
	struct str rest = input(data, size), word, key;
	bool       number;

	while (control_word(&rest, &scratch, &word))
		must(word.n <= size);
	rest = input(data, size);
	buf_clear(&scratch);
	while (control_next_cell(&rest, &key, &scratch, &number))
		must(key.n <= size);
	buf_free(&scratch);
	return 0;
}
