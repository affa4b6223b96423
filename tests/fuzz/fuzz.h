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
#include <stdio.h>
#include <stdlib.h>

#include "lib/util/buf.h"
#include "lib/util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct str
input(const uint8_t *data, size_t size)
{
	return (struct str){(const char *)data, size};
}

/* Cut a number off the input: 0 when it is used up. */
static inline unsigned
take_octet(struct str *in)
{
	unsigned octet = in->n > 0 ? (uint8_t)in->p[0] : 0;

	*in = str_skip(*in, 1);
	return octet;
}

/* Octets with their length in front, in one octet or (from 240 on) two. */
static inline struct str
take_piece(struct str *in)
{
	size_t     n = take_octet(in);
	struct str piece;

	if (n >= 240)
		n = (n - 240) << 8 | take_octet(in);
	piece = str_sub(*in, 0, n);
	*in = str_skip(*in, n);
	return piece;
}

/* As text passes data.c: CRLF at the end of lines, no CR elsewhere, no NUL. */
static inline void
add_clean(struct buf *out, struct str in)
{
	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] == '\n')
			buf_addz(out, "\r\n");
		else if (in.p[i] != '\r' && in.p[i] != '\0')
			buf_addc(out, in.p[i]);
}

static inline void
drop_line(struct str line UNUSED)
{
}

/* What the code under test logs goes nowhere. */
static inline void
hush(void)
{
	log_hook(drop_line);
}

static inline void
broken(const char *where, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", where, line, what);
	abort();
}

/* What holds for each input. */
#define must(holds) ((holds) ? (void)0 : broken(__FILE__, __LINE__, #holds))

#endif
