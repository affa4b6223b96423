/* SPDX-License-Identifier: ISC */
/*
 * fuzz - one target a file, the same for libFuzzer and for replay.c.
 *
 * A target feeds any octets to one parser, and checks what must hold for each
 * input: mostly that what was understood is written and understood again alike.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "lib/util/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct str
input(const uint8_t *data, size_t size)
{
	return (struct str){(const char *)data, size};
}

static inline void
must(bool holds)
{
	if (!holds)
		abort();
}

#endif
