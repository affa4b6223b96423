/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/queue_play.h"

/* An smtpd and a delivery that have been taken over, before the role that has the mail. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 16 * 1024)
		stage_play(&queue_play, input(data, size));
	return 0;
}
