/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/smtpd_play.h"

/* Clients, and a queue and auth roles that say what they should not. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 16 * 1024)
		stage_play(&smtpd_play, input(data, size));
	return 0;
}
