/* SPDX-License-Identifier: ISC */
/* The client's side is libsasl2's own client library, which we did not write. */
#include "auth/sasl.h"

#include <sasl/sasl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "auth/scram.h"

static struct sasl *library;

struct login {
	const char *user, *password;
	union {
		sasl_secret_t secret;
		char room[128];
	} secret;
};

static int
get_name(void *context, int id UNUSED, const char **result, unsigned *n)
{
	struct login *l = context;

	*result = l->user;
	if (n != NULL)
		*n = (unsigned)strlen(l->user);
	return SASL_OK;
}

static int
get_secret(sasl_conn_t *conn UNUSED, void *context, int id UNUSED, sasl_secret_t **secret)
{
	struct login *l = context;

	l->secret.secret.len = strlen(l->password);
	memcpy(l->secret.secret.data, l->password, strlen(l->password) + 1);
	*secret = &l->secret.secret;
	return SASL_OK;
}

#define FN(f) ((int (*)(void))(void (*)(void))(f))

/* Play a whole exchange; how it ended on our side. */
static enum exchange_state
play(const char *mech, struct login *l, struct str binding, struct str client_binding)
{
	sasl_callback_t callbacks[] = {
		{SASL_CB_USER, FN(get_name), l},
		{SASL_CB_AUTHNAME, FN(get_name), l},
		{SASL_CB_PASS, FN(get_secret), l},
		{SASL_CB_LIST_END, NULL, NULL},
	};
	sasl_channel_binding_t cb = {.name = "tls-exporter", .critical = 1, .len = client_binding.n,
		.data = (const unsigned char *)client_binding.p};
	struct exchange *x = exchange_create(library, 256, binding);
	struct str challenge, initial;
	enum exchange_state state;
	sasl_conn_t *client;
	const char *out, *used;
	unsigned out_n;

	assert_int_equal(sasl_client_new("smtp", "mail.example.com", NULL, NULL, callbacks, 0, &client), SASL_OK);
	if (client_binding.n > 0)
		assert_int_equal(sasl_setprop(client, SASL_CHANNEL_BINDING, &cb), SASL_OK);
	assert_in_range(sasl_client_start(client, mech, NULL, &out, &out_n, &used), SASL_OK, SASL_CONTINUE);
	initial = (struct str){out, out_n};
	state = exchange_start(x, str_of(mech), out != NULL ? &initial : NULL, &challenge);
	for (int i = 0; state == EXCHANGE_MORE && i < 5; i++) {
		if (sasl_client_step(client, challenge.p, (unsigned)challenge.n, NULL, &out, &out_n) < 0) {
			state = EXCHANGE_FAILED;
			break;
		}
		state = exchange_step(x, (struct str){out, out_n}, &challenge);
	}
	if (state == EXCHANGE_OK)
		assert_true(str_eq(exchange_login(x), str_of(l->user)));
	sasl_dispose(&client);
	exchange_destroy(x);
	return state;
}

static void
one_stored_line_serves_all_mechanisms(void **state UNUSED)
{
	static const struct {
		const char *mech, *user, *password;
		enum exchange_state then;
	} rows[] = {
		{"PLAIN", "app1", "secret one", EXCHANGE_OK},
		{"PLAIN", "app1", "secret one", EXCHANGE_OK}, /* remembered */
		{"PLAIN", "app1", "secret two", EXCHANGE_FAILED},
		{"PLAIN", "nobody", "secret one", EXCHANGE_FAILED},
		{"LOGIN", "app1", "secret one", EXCHANGE_OK},
		{"LOGIN", "app1", "wrong", EXCHANGE_FAILED},
		{"LOGIN", "nobody", "wrong", EXCHANGE_FAILED},
		{"SCRAM-SHA-256", "app1", "secret one", EXCHANGE_OK},
		{"SCRAM-SHA-256", "app1", "wrong", EXCHANGE_FAILED},
		{"SCRAM-SHA-256", "nobody", "wrong", EXCHANGE_FAILED},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct login l = {.user = rows[i].user, .password = rows[i].password};
		enum exchange_state got = play(rows[i].mech, &l, STR_NONE, STR_NONE);

		if (got != rows[i].then)
			fail_msg("row %zu: %s %s: %d", i, rows[i].mech, rows[i].user, (int)got);
	}
}

static void
channel_binding_holds_only_on_the_same_channel(void **state UNUSED)
{
	struct login l = {.user = "app1", .password = "secret one"};
	struct str here = STR("0123456789abcdef0123456789abcdef"), there = STR("another channel with 32 octets..");

	assert_int_equal(play("SCRAM-SHA-256-PLUS", &l, here, here), EXCHANGE_OK);
	assert_int_not_equal(play("SCRAM-SHA-256-PLUS", &l, here, there), EXCHANGE_OK);
}

static void
other_mechanisms_are_refused(void **state UNUSED)
{
	static const char *const rows[] = {"CRAM-MD5", "DIGEST-MD5", "ANONYMOUS", "EXTERNAL", "NTLM", "", "PLAIN LOGIN"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exchange *x = exchange_create(library, 0, STR_NONE);
		struct str challenge;

		assert_int_equal(exchange_start(x, str_of(rows[i]), NULL, &challenge), EXCHANGE_BAD_MECH);
		exchange_destroy(x);
	}
}

static void
nobody_acts_for_another(void **state UNUSED)
{
	static const struct {
		struct str response;
		enum exchange_state then;
	} rows[] = {
		{{"\0app1\0secret one", 16}, EXCHANGE_OK},
		{{"app1\0app1\0secret one", 20}, EXCHANGE_OK},
		{{"app2\0app1\0secret one", 20}, EXCHANGE_FAILED},
		{{"root\0app1\0secret one", 20}, EXCHANGE_FAILED},
		{{"\0app1", 5}, EXCHANGE_MALFORMED},
		{{"", 0}, EXCHANGE_MALFORMED},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exchange *x = exchange_create(library, 256, STR_NONE);
		struct str challenge;
		enum exchange_state got = exchange_start(x, STR("PLAIN"), &rows[i].response, &challenge);

		if (got == EXCHANGE_MORE) /* an empty response is answered by asking again */
			got = exchange_step(x, rows[i].response, &challenge);
		if (rows[i].then == EXCHANGE_OK ? got != EXCHANGE_OK : got == EXCHANGE_OK)
			fail_msg("row %zu: %d", i, (int)got);
		exchange_destroy(x);
	}
}

/* The leak checker sees what the plugin would lose otherwise. */
static void
a_login_without_a_name_ends_before_the_password(void **state UNUSED)
{
	static char long_name[300];
	const struct str rows[] = {STR(""), STR(" \t"), STR("\0app1"), STR("\n\0x"), {long_name, sizeof long_name}};

	memset(long_name, 'a', sizeof long_name);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exchange *x = exchange_create(library, 256, STR_NONE);
		struct str challenge;

		assert_int_equal(exchange_start(x, STR("login"), NULL, &challenge), EXCHANGE_MORE);
		if (exchange_step(x, rows[i], &challenge) != EXCHANGE_FAILED)
			fail_msg("row %zu", i);
		exchange_destroy(x);
	}
}

static void
without_users_nothing_is_offered(void **state UNUSED)
{
	sasl_configure(library, STR("mail.example.com"), STR("# nobody\n"), STR_NONE);
	assert_int_equal(sasl_mechanisms(library, true).n, 0);
	assert_int_equal(sasl_mechanisms(library, false).n, 0);
}

static int
set_up(void **state UNUSED)
{
	struct buf text = BUF(4096), why = BUF(256);
	static const struct str password[] = {{"secret one", 10}, {"other", 5}};

	for (size_t i = 0; i < ARRAY_LEN(password); i++) {
		struct scram s;

		assert_true(scram_derive(&s, password[i], STR("saltsaltsaltsalt"), 4096));
		buf_addf(&text, "app%zu:", i + 1);
		scram_format(&text, &s);
		buf_addc(&text, '\n');
	}
	library = sasl_open(&why);
	if (library == NULL)
		print_error("%s\n", buf_z(&why));
	assert_non_null(library);
	sasl_configure(library, STR("mail.example.com"), buf_str(&text), STR_NONE);
	buf_free(&text);
	buf_free(&why);
	return sasl_client_init(NULL) == SASL_OK ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_stored_line_serves_all_mechanisms),
		cmocka_unit_test(channel_binding_holds_only_on_the_same_channel),
		cmocka_unit_test(other_mechanisms_are_refused),
		cmocka_unit_test(nobody_acts_for_another),
		cmocka_unit_test(a_login_without_a_name_ends_before_the_password),
		cmocka_unit_test(without_users_nothing_is_offered),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
