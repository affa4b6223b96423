/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "queue/record.h"
#include "tests/fuzz/fuzz.h"

enum { SEQ = 1, SALT = 42 };

/*
 * Random octets never pass the checksum, so they are written over a good header:
 * the first says where, the others are what. A header that is not as it was
 * written is no record.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record good = {.type = RECORD_MSG, .seq = SEQ, .batch = 7, .id = 9, .env_len = 100};
	struct record r;
	uint8_t       head[RECORD_HEAD], changed[RECORD_HEAD];

	record_encode(head, &good, SALT);
	memcpy(changed, head, sizeof head);
	for (size_t i = 1; i < size; i++)
		changed[(data[0] + i) % sizeof changed] = data[i];
	if (record_decode(&r, changed, SEQ, SALT)) {
		must(memcmp(changed, head, sizeof head) == 0);
		must(r.id == good.id && r.env_len == good.env_len);
		must(record_span(&r) % RECORD_ALIGN == 0);
	} else {
		must(memcmp(changed, head, sizeof head) != 0);
	}
	must(!record_decode(&r, head, SEQ + 1, SALT));
	must(!record_decode(&r, head, SEQ, SALT + 1));
	return 0;
}
