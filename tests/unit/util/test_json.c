/* SPDX-License-Identifier: ISC */
#include "lib/util/json.h"
#include "tests/unit/check.h"

/* clang-format off */
static const struct {
	const char *name, *text, *json;
} texts[] = {
	{"empty",              "",                         "\"\""},
	{"plain",              "a/b",                      "\"a/b\""},
	{"quotes",             "a\"b\\c",                  "\"a\\\"b\\\\c\""},
	{"named controls",     "\b\f\n\r\t",               "\"\\b\\f\\n\\r\\t\""},
	{"other controls",     "\x01\x1b\x7f",             "\"\\u0001\\u001b\\u007f\""},
	{"two octets",         "\xc3\xa4",                 "\"\xc3\xa4\""},
	{"three octets",       "\xe2\x82\xac",             "\"\xe2\x82\xac\""},
	{"four octets",        "\xf0\x9f\x92\x8c",         "\"\xf0\x9f\x92\x8c\""},
	{"c1 control",         "\xc2\x9b",                 "\"\\u009b\""},
	{"latin 1",            "a\xe4z",                   "\"a\xef\xbf\xbdz\""},
	{"overlong",           "\xc0\xaf",                 "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	{"overlong of three",  "\xe0\x80\xaf",             "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"surrogate",          "\xed\xa0\x80",             "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"above the last",     "\xf4\x90\x80\x80",         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"cut short",          "\xe2\x82",                 "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	{"never a first octet", "\xff",                    "\"\xef\xbf\xbd\""},
};
/* clang-format on */

static void
text_is_escaped_and_always_utf8(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf out = BUF(100);

		json_text(&out, str_of(texts[i].text));
		check_text(texts[i].name, buf_str(&out), texts[i].json);
		buf_free(&out);
	}
}

static void
nul_is_escaped(void **state UNUSED)
{
	struct buf out = BUF(100);

	json_text(&out, STR("a\0b"));
	check_text("nul", buf_str(&out), "\"a\\u0000b\"");
	buf_free(&out);
}

static void
commas_come_by_themselves(void **state UNUSED)
{
	struct buf  out = BUF(200);
	struct json j = {.out = &out};

	json_open(&j, NULL, '{');
	json_open(&j, "none", '[');
	json_close(&j, ']');
	json_open(&j, "rows", '[');
	for (int i = 0; i < 2; i++) {
		json_open(&j, NULL, '{');
		json_int(&j, "n", -i);
		json_bool(&j, "odd", i % 2 != 0);
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_str(&j, "text", STR("x"));
	json_ms(&j, "delay", 1042);
	json_close(&j, '}');
	check_text("all", buf_str(&out),
	           "{\"none\":[],\"rows\":[{\"n\":0,\"odd\":false},{\"n\":-1,\"odd\":true}],"
	           "\"text\":\"x\",\"delay\":1.042}");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped_and_always_utf8),
		cmocka_unit_test(nul_is_escaped),
		cmocka_unit_test(commas_come_by_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
