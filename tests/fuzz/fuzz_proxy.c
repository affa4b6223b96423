/* SPDX-License-Identifier: ISC */
#include "smtpd/proxy.h"
#include "tests/fuzz/fuzz.h"

/* The more of it is there, the same is said: MORE up to some octet, then one answer for good. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum proxy_result last = PROXY_MORE;
	struct proxy      first = {0}, now;

	if (size > PROXY_MAX + 8)
		size = PROXY_MAX + 8;
	for (size_t n = 0; n <= size; n += n < 300 ? 1 : 97) {
		enum proxy_result r = proxy_parse(input(data, n), &now);

		must(r != PROXY_OK || now.used <= n);
		must(r != PROXY_MORE || n < PROXY_MAX);
		if (last != PROXY_MORE) {
			must(r == last);
			must(r != PROXY_OK || (now.used == first.used && addr_equal(now.client, first.client)));
		}
		if (last == PROXY_MORE)
			first = now;
		last = r;
	}
	return 0;
}
