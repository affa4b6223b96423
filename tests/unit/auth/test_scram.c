/* SPDX-License-Identifier: ISC */
#include "auth/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util/encode.h"

/* The exchange of RFC 7677 section 3: user "user", password "pencil". */
static const struct str salt64 = {"W22ZaJ0SNY7soEsUEjb6gQ==", 24};
static const char auth_message[] =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

static void
derives_the_server_key_of_rfc7677(void **state UNUSED)
{
	struct buf salt = BUF(64), out = BUF(64);
	uint8_t signature[SCRAM_KEY];
	struct scram s;

	assert_true(base64_decode(&salt, salt64));
	assert_true(scram_derive(&s, STR("pencil"), buf_str(&salt), 4096));
	assert_true(scram_hmac(signature, (struct str){(const char *)s.server_key, SCRAM_KEY}, str_of(auth_message)));
	base64_encode(&out, (struct str){(const char *)signature, SCRAM_KEY});
	assert_string_equal(buf_z(&out), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	buf_free(&salt);
	buf_free(&out);
}

static void
verifies_only_the_right_password(void **state UNUSED)
{
	static const struct {
		const char *set, *try;
		bool good;
	} rows[] = {
		{"pencil", "pencil", true},
		{"pencil", "Pencil", false},
		{"pencil", "pencil ", false},
		{"pencil", "", false},
		{"p\xc3\xa4ss", "p\xc3\xa4ss", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scram s;

		assert_true(scram_derive(&s, str_of(rows[i].set), STR("0123456789abcdef"), 10));
		assert_int_equal(scram_verify(&s, str_of(rows[i].try)), rows[i].good);
	}
}

static void
text_form_round_trips(void **state UNUSED)
{
	struct buf text = BUF(512), again = BUF(512);
	struct scram s, t;

	assert_true(scram_derive(&s, STR("x"), STR("salt"), 77));
	scram_format(&text, &s);
	assert_true(scram_parse(buf_str(&text), &t));
	scram_format(&again, &t);
	assert_string_equal(buf_z(&text), buf_z(&again));
	assert_true(scram_verify(&t, STR("x")));
	buf_free(&text);
	buf_free(&again);
}

#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static void
refuses_damaged_text(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"SCRAM-SHA-256$4096:c2FsdA==$" KEY ":" KEY, true},
		{"", false},
		{"SCRAM-SHA-1$4096:c2FsdA==$" KEY ":" KEY, false},
		{"SCRAM-SHA-256$0:c2FsdA==$" KEY ":" KEY, false},
		{"SCRAM-SHA-256$1000001:c2FsdA==$" KEY ":" KEY, false},
		{"SCRAM-SHA-256$-1:c2FsdA==$" KEY ":" KEY, false},
		{"SCRAM-SHA-256$4096:$" KEY ":" KEY, false},
		{"SCRAM-SHA-256$4096:c2FsdA==$" KEY, false},
		{"SCRAM-SHA-256$4096:c2FsdA==$" KEY ":short", false},
		{"SCRAM-SHA-256$4096:c2FsdA==$" KEY ":" KEY "x", false},
		{"SCRAM-SHA-256$4096:c2FsdA=$" KEY ":" KEY, false},
	};
	struct scram s;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (scram_parse(str_of(rows[i].text), &s) != rows[i].good)
			fail_msg("row %zu: %s", i, rows[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derives_the_server_key_of_rfc7677),
		cmocka_unit_test(verifies_only_the_right_password),
		cmocka_unit_test(text_form_round_trips),
		cmocka_unit_test(refuses_damaged_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
