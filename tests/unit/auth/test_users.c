/* SPDX-License-Identifier: ISC */
#include "auth/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "auth/scram.h"

#define KEY "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define VERIFIER "SCRAM-SHA-256$4096:c2FsdA==$" KEY ":" KEY

static const char file[] = "#unknown c2VjcmV0\n"
                           "# a comment\n"
                           "\n"
                           "app1:" VERIFIER "\n"
                           "  shop@example.com:" VERIFIER "  \r\n"
                           "broken:plain-text-password\n"
                           ":" VERIFIER "\n"
                           "last:" VERIFIER;

static void
finds_the_users_and_nobody_else(void **state UNUSED)
{
	static const struct {
		const char *name;
		bool known;
	} rows[] = {{"app1", true}, {"shop@example.com", true}, {"last", true}, {"broken", false},
		{"", false}, {"APP1", false}, {"app1 ", false}, {"#unknown c2VjcmV0", false}};
	struct users *u = users_create(str_of(file));
	bool known;

	assert_int_equal(users_count(u), 3);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str v = users_verifier(u, str_of(rows[i].name), &known);

		if (known != rows[i].known)
			fail_msg("%s: known is %d", rows[i].name, known);
		assert_int_equal(str_eq(v, STR(VERIFIER)), rows[i].known);
	}
	users_destroy(u);
}

/* The salt is what a stranger sees in SCRAM's first answer. */
static void
salt_of(struct users *u, const char *name, struct scram *s)
{
	bool known;

	assert_true(scram_parse(users_verifier(u, str_of(name), &known), s));
	assert_false(known);
}

static void
unknown_names_keep_their_salt_over_processes_and_changes(void **state UNUSED)
{
	struct users *u = users_create(str_of(file)), *again = users_create(STR("#unknown c2VjcmV0\n"));
	struct scram a, b, other;

	salt_of(u, "nobody", &a);
	salt_of(again, "nobody", &b);
	salt_of(u, "somebody", &other);
	assert_int_equal(a.salt_n, SCRAM_SALT);
	assert_int_equal(a.iterations, SCRAM_ITERATIONS);
	assert_memory_equal(a.salt, b.salt, SCRAM_SALT);
	assert_memory_not_equal(a.salt, other.salt, SCRAM_SALT);
	users_destroy(u);
	users_destroy(again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_users_and_nobody_else),
		cmocka_unit_test(unknown_names_keep_their_salt_over_processes_and_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
