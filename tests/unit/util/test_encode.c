/* SPDX-License-Identifier: ISC */
#include "lib/util/encode.h"
#include "tests/unit/check.h"

typedef void encoder(struct buf *out, struct str in);
typedef bool decoder(struct buf *out, struct str in);

/* clang-format off */
static const struct {
	encoder    *encode;
	decoder    *decode;
	const char *plain;
	const char *encoded;
} pairs[] = {
	/* RFC 4648 section 10 */
	{base64_encode, base64_decode, "",       ""},
	{base64_encode, base64_decode, "f",      "Zg=="},
	{base64_encode, base64_decode, "fo",     "Zm8="},
	{base64_encode, base64_decode, "foo",    "Zm9v"},
	{base64_encode, base64_decode, "foob",   "Zm9vYg=="},
	{base64_encode, base64_decode, "fooba",  "Zm9vYmE="},
	{base64_encode, base64_decode, "foobar", "Zm9vYmFy"},
	{base64_encode, base64_decode, "\xfb\xff\xbf", "+/+/"},
	{xtext_encode, xtext_decode, "ann@example.com", "ann@example.com"},
	{xtext_encode, xtext_decode, "a+b=c d~", "a+2Bb+3Dc+20d~"},
	{xtext_encode, xtext_decode, "\r\n\x7f\xe4", "+0D+0A+7F+E4"},
};

static const struct {
	decoder    *decode;
	const char *encoded;
} wrong[] = {
	{base64_decode, "Z"},
	{base64_decode, "Zg"},
	{base64_decode, "Zg="},
	{base64_decode, "===="},
	{base64_decode, "Z==="},
	{base64_decode, "Zh=="}, /* bits that go nowhere */
	{base64_decode, "Zm9="},
	{base64_decode, "Zg==Zg=="},
	{base64_decode, "Zm9v\r\n"},
	{base64_decode, "Zm 9"},
	{base64_decode, "Zm9-"},
	{hex_decode, "0"},
	{hex_decode, "0g"},
	{hex_decode, "abc"},
	{xtext_decode, "a+"},
	{xtext_decode, "a+2"},
	{xtext_decode, "a+2G"},
	{xtext_decode, "a b"},
	{xtext_decode, "a=b"},
};
/* clang-format on */

/* The octets behind the last one stay what they were, whatever the padding: an overflow by one is one. */
static void
decoding_writes_what_it_decodes_and_no_more(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct buf out = BUF(100);
		size_t     n = strlen(pairs[i].plain);

		memset(buf_room(&out, 64), 0x55, 64);
		assert_true(pairs[i].decode(&out, str_of(pairs[i].encoded)));
		assert_int_equal(out.n, n);
		for (size_t k = n; k < 64; k++)
			if (out.p[k] != 0x55)
				fail_msg("row %zu: octet %zu was written", i, k);
		buf_free(&out);
	}
}

static void
encodings_go_both_ways(void **state UNUSED)
{
	struct buf out = BUF(100);

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		buf_clear(&out);
		pairs[i].encode(&out, str_of(pairs[i].plain));
		check_text(pairs[i].plain, buf_str(&out), pairs[i].encoded);
		buf_clear(&out);
		assert_true(pairs[i].decode(&out, str_of(pairs[i].encoded)));
		check_text(pairs[i].encoded, buf_str(&out), pairs[i].plain);
	}
	buf_free(&out);
}

static void
wrong_encodings_are_refused_and_add_nothing(void **state UNUSED)
{
	struct buf out = BUF(100);

	buf_addz(&out, "before");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		check_int(wrong[i].encoded, wrong[i].decode(&out, str_of(wrong[i].encoded)), false);
		check_text(wrong[i].encoded, buf_str(&out), "before");
	}
	buf_free(&out);
}

static void
decoders_respect_the_limit(void **state UNUSED)
{
	struct buf out = BUF(2);

	assert_false(base64_decode(&out, STR("Zm9v")));
	assert_false(hex_decode(&out, STR("010203")));
	buf_clear(&out);
	assert_false(xtext_decode(&out, STR("abc")));
	buf_clear(&out);
	assert_true(base64_decode(&out, STR("Zm8=")));
	buf_free(&out);
}

static void
hex_takes_both_cases(void **state UNUSED)
{
	struct buf out = BUF(10);

	assert_true(hex_decode(&out, STR("4a4B")));
	check_text("hex", buf_str(&out), "JK");
	buf_clear(&out);
	assert_true(xtext_decode(&out, STR("+4a+4B")));
	check_text("xtext", buf_str(&out), "JK");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_go_both_ways),
		cmocka_unit_test(decoding_writes_what_it_decodes_and_no_more),
		cmocka_unit_test(wrong_encodings_are_refused_and_add_nothing),
		cmocka_unit_test(decoders_respect_the_limit),
		cmocka_unit_test(hex_takes_both_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
