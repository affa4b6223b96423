/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/delivery_play.h"

/* A queue and a keyd that say what they should not, and servers. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 16 * 1024)
		stage_play(&delivery_play, input(data, size));
	return 0;
}
