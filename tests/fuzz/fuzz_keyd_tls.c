/* SPDX-License-Identifier: ISC */
#include "lib/net/tls_key.h"
#include "tests/fuzz/fuzz.h"

/* Made for this test alone. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
			  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
			  "-----END PRIVATE KEY-----\n";

/* The scheme, and what is to be signed. Only two shapes are, and both say in words or by length what they are. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tls_key *key; /* loading it is all the work */
	struct buf             why = BUF(1000), out = BUF(TLS_SIGNATURE_MAX);
	struct str             content;

	if (key == NULL)
		key = tls_key_load(STR(pem), &why);
	must(key != NULL);
	if (size >= 2) {
		content = input(data + 2, size - 2);
		if (tls_key_sign(key, (unsigned)data[0] << 8 | data[1], content, &out) == NULL) {
			must(out.n == 64 && content.n <= TLS_CONTENT_MAX);
			must(str_find_str(content, STR("TLS 1.3, server CertificateVerify")) == 64 ||
			     content.p[64] == 3);
		} else {
			must(out.n == 0);
		}
	}
	buf_free(&why);
	buf_free(&out);
	return 0;
}
