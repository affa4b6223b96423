/* SPDX-License-Identifier: ISC */
#include "lib/util/encode.h"
#include "lib/util/json.h"
#include "tests/fuzz/fuzz.h"

static void
there_and_back(struct str in, void encode(struct buf *, struct str), bool decode(struct buf *, struct str))
{
	struct buf text = BUF(1 << 20), back = BUF(1 << 20);

	encode(&text, in);
	must(decode(&back, buf_str(&text)));
	must(str_eq(in, buf_str(&back)));
	buf_free(&text);
	buf_free(&back);
}

/* Base64 is strict: what decodes is the one encoding of it. */
static void
back_and_there(struct str in)
{
	struct buf plain = BUF(1 << 20), again = BUF(1 << 20);

	if (base64_decode(&plain, in)) {
		base64_encode(&again, buf_str(&plain));
		must(str_eq(in, buf_str(&again)));
	}
	buf_clear(&plain);
	(void)!hex_decode(&plain, in);
	(void)!xtext_decode(&plain, in);
	buf_free(&plain);
	buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = input(data, size);
	struct buf json = BUF(1 << 20);

	there_and_back(in, base64_encode, base64_decode);
	there_and_back(in, xtext_encode, xtext_decode);
	back_and_there(in);
	json_text(&json, in);
	for (size_t i = 0; i < json.n; i++)
		must((unsigned char)json.p[i] >= ' ');
	buf_free(&json);
	return 0;
}
