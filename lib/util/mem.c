/* SPDX-License-Identifier: ISC */
#include "lib/util/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* No clean-up and no log line: both want memory. The supervisor tells of the exit status. */
static void *
sure(void *p)
{
	static const char sorry[] = "postern: out of memory\n";

	if (p == NULL) {
		if (write(STDERR_FILENO, sorry, sizeof sorry - 1) < 0)
			_exit(EX_OSERR);
		_exit(EX_OSERR);
	}
	return p;
}

void *
mem_zero(size_t size)
{
	return sure(calloc(1, size > 0 ? size : 1));
}

void *
mem_array(size_t n, size_t size)
{
	if (n == 0 || size == 0)
		return mem_zero(1);
	return sure(calloc(n, size));
}

void *
mem_resize(void *old, size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	return sure(reallocarray(old, n, size));
}

void *
mem_copy(const void *from, size_t size)
{
	void *p = sure(malloc(size > 0 ? size : 1));

	if (size > 0)
		memcpy(p, from, size);
	return p;
}

void
mem_wipe(void *p, size_t size)
{
	if (size > 0)
		explicit_bzero(p, size);
}
