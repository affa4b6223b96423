/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "queue/record.h"
#include "tests/fuzz/fuzz.h"

enum { SEQ = 1, SALT = 42, AT_SUM = 44 };

/*
 * Random octets never pass the checksum, so they are written over a good header:
 * the first says where, the others are what. Whatever still passes says the same as
 * before; the sums of envelope and body stand for themselves. The header's own sum is not
 * written over: who sees the salt, as a fuzzer does and a sender does not, can make it fit.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record good = {.type = RECORD_MSG, .seq = SEQ, .batch = 7, .id = 9, .env_len = 100};
	struct record r;
	uint8_t       head[RECORD_HEAD], changed[RECORD_HEAD];

	record_encode(head, &good, SALT);
	memcpy(changed, head, sizeof head);
	for (size_t i = 1; i < size; i++) {
		size_t at = (data[0] + i) % sizeof changed;

		if (at / 4 != AT_SUM / 4)
			changed[at] = data[i];
	}
	if (record_decode(&r, changed, SEQ, SALT)) {
		must(r.type == good.type && r.flags == good.flags && r.id == good.id);
		must(r.batch == good.batch && r.batch_off == good.batch_off);
		must(record_span(&r) == record_span(&good));
	} else {
		must(memcmp(changed, head, sizeof head) != 0);
	}
	must(!record_decode(&r, head, SEQ + 1, SALT));
	must(!record_decode(&r, head, SEQ, SALT + 1));
	return 0;
}
