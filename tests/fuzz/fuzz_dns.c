/* SPDX-License-Identifier: ISC */
#include "lib/dns/dns.h"
#include "tests/fuzz/fuzz.h"

/* The first octet chooses the type asked for, the rest is the packet. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_MX, DNS_TXT, DNS_PTR};
	struct dns_record          records[16];
	struct buf                 scratch = BUF(64 * 1024);
	size_t                     n = 0;

	if (size > 0) {
		(void)dns_parse(input(data + 1, size - 1), types[data[0] % ARRAY_LEN(types)], records,
		                ARRAY_LEN(records), &n, &scratch);
		must(n <= ARRAY_LEN(records));
	}
	buf_free(&scratch);
	return 0;
}
