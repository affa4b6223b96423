/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "dkim/bodyhash.h"
#include "tests/fuzz/fuzz.h"

/* However the body is cut, its hash is the same. The first octet says how. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t           step = size > 0 ? data[0] % 16 + 1U : 1;
	struct str       body = input(data + (size > 0), size - (size > 0));
	unsigned char    whole[BODYHASH_OCTETS], cut[BODYHASH_OCTETS];
	struct bodyhash *h = bodyhash_create(CANON_RELAXED);

	for (int canon = CANON_RELAXED; canon <= CANON_SIMPLE; canon++) {
		bodyhash_restart(h, (enum canon)canon);
		bodyhash_feed(h, body);
		bodyhash_finish(h, whole);
		bodyhash_restart(h, (enum canon)canon);
		for (size_t at = 0; at < body.n; at += step)
			bodyhash_feed(h, str_sub(body, at, step));
		bodyhash_finish(h, cut);
		must(memcmp(whole, cut, sizeof whole) == 0);
	}
	bodyhash_destroy(h);
	return 0;
}
