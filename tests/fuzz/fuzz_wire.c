/* SPDX-License-Identifier: ISC */
#include "lib/proc/wire.h"
#include "tests/fuzz/fuzz.h"

/* The first octet is the frame's id. A payload that is decoded has no other encoding. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_Alignas(max_align_t) unsigned char msg[WIRE_STRUCT_MAX];

	struct str payload = input(data + (size > 0), size - (size > 0));
	struct buf again = BUF(1 << 20);

	if (size > 0 && wire_is_known(data[0])) {
		enum wire_id id = (enum wire_id)data[0];

		if (wire_decode(id, payload, msg)) {
			wire_encode(&again, id, msg);
			must(again.n == wire_size(id, msg));
			must(str_eq(buf_str(&again), payload));
		}
	}
	buf_free(&again);
	return 0;
}
