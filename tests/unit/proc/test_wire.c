/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proc/wire.h"

static const char octets[] = "\0a\377\n text of some length";
#define T                             \
	{                             \
		octets, sizeof octets \
	}

union any {
	struct wire_config     config;
	struct wire_listener   listener;
	struct wire_shared     shared;
	struct wire_peer       peer;
	struct wire_control    control;
	struct wire_ready      ready;
	struct wire_stats      stats;
	struct wire_trouble    trouble;
	struct wire_examine    examine;
	struct wire_findings   findings;
	struct wire_gates      gates;
	struct wire_suspect    suspect;
	struct wire_key_state  key_state;
	struct wire_mechs      mechs;
	struct wire_auth_start auth_start;
	struct wire_auth_step  auth_step;
	struct wire_auth_id    auth_id;
	struct wire_auth_more  auth_more;
	struct wire_auth_done  auth_done;
	struct wire_intake     intake;
	struct wire_spill      spill;
	struct wire_spilled    spilled;
	struct wire_put        put;
	struct wire_drop       drop;
	struct wire_stored     stored;
	struct wire_capacity   capacity;
	struct wire_lease      lease;
	struct wire_outcome    outcome;
	struct wire_sign       sign;
	struct wire_signed     signed_;
	struct wire_tls_sign tls_sign;
	struct wire_empty      empty;
	char                   room[WIRE_STRUCT_MAX];
};

/* Every message with the largest numbers and with texts of any octets. */
static const struct row {
	enum wire_id id;
	union any    msg;
} rows[] = {
	{WIRE_CONFIG, {.config = {UINT32_MAX, T}}},
	{WIRE_LISTENER, {.listener = {UINT32_MAX}}},
	{WIRE_SPOOL, {.empty = {0}}},
	{WIRE_SHARED, {.shared = {UINT32_MAX, UINT64_MAX}}},
	{WIRE_PEER, {.peer = {UINT8_MAX, UINT32_MAX}}},
	{WIRE_GO, {.empty = {0}}},
	{WIRE_DRAIN, {.empty = {0}}},
	{WIRE_CONTROL, {.control = {T}}},
	{WIRE_ASK_STATS, {.empty = {0}}},
	{WIRE_READY, {.ready = {UINT32_MAX}}},
	{WIRE_STATS, {.stats = {T}}},
	{WIRE_TROUBLE, {.trouble = {T}}},
	{WIRE_EXAMINE, {.examine = {T, T}}},
	{WIRE_FINDINGS, {.findings = {T, T}}},
	{WIRE_GATES, {.gates = {T}}},
	{WIRE_SUSPECT, {.suspect = {T, T, T, T, T}}},
	{WIRE_KEY_STATE, {.key_state = {T, T, T}}},
	{WIRE_LOST, {.peer = {3, 77}}},
	{WIRE_MECHS, {.mechs = {T, T}}},
	{WIRE_AUTH_START, {.auth_start = {UINT64_MAX, T, UINT8_MAX, T, UINT32_MAX, T, T}}},
	{WIRE_AUTH_STEP, {.auth_step = {UINT64_MAX, T}}},
	{WIRE_AUTH_CANCEL, {.auth_id = {UINT64_MAX}}},
	{WIRE_AUTH_MORE, {.auth_more = {UINT64_MAX, T}}},
	{WIRE_AUTH_DONE, {.auth_done = {UINT64_MAX, UINT16_MAX, T, T, UINT8_MAX}}},
	{WIRE_INTAKE, {.intake = {UINT8_MAX, T}}},
	{WIRE_SPILL, {.spill = {UINT64_MAX, UINT64_MAX}}},
	{WIRE_SPILLED, {.spilled = {UINT64_MAX, UINT8_MAX}}},
	{WIRE_PUT, {.put = {UINT64_MAX, UINT8_MAX, UINT64_MAX, T, T}}},
	{WIRE_DROP, {.drop = {UINT64_MAX}}},
	{WIRE_STORED, {.stored = {UINT64_MAX, UINT16_MAX, T}}},
	{WIRE_CAPACITY, {.capacity = {UINT32_MAX}}},
	{WIRE_LEASE,
         {.lease = {UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT32_MAX, T, T, T, UINT64_MAX, T}}},
	{WIRE_OUTCOME,
         {.outcome = {UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT8_MAX, UINT8_MAX, T, T, T, T}}},
	{WIRE_RETRY, {.empty = {0}}},
	{WIRE_SIGN, {.sign = {UINT64_MAX, T, T, T, T}}},
	{WIRE_SIGNED, {.signed_ = {UINT64_MAX, UINT8_MAX, T, T}}},
	{WIRE_TLS_SIGN, {.tls_sign = {T, UINT16_MAX, T}}},
	{WIRE_TLS_SIGNED, {.signed_ = {UINT64_MAX, UINT8_MAX, T, T}}},
	{WIRE_KEYS, {.empty = {0}}},
};

static struct buf
encode(enum wire_id id, const void *msg)
{
	struct buf b = BUF(WIRE_CONFIG_MAX);

	wire_encode(&b, id, msg);
	assert_false(b.over);
	assert_int_equal(b.n, wire_size(id, msg));
	return b;
}

static void
every_message_has_a_row(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(rows), WIRE_COUNT - 1);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(rows[i].id, i + 1);
	assert_false(wire_is_known(WIRE_NONE));
	assert_false(wire_is_known(WIRE_COUNT));
	assert_false(wire_is_known(UINT16_MAX));
}

/* The decoded struct says the same as the first one: encoding it again gives the same octets. */
static void
round_trip(enum wire_id id, const void *msg)
{
	struct buf a = encode(id, msg), b;
	union any  back;

	memset(&back, 0xaa, sizeof back);
	assert_true(wire_decode(id, buf_str(&a), &back));
	b = encode(id, &back);
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
	buf_free(&a);
	buf_free(&b);
}

static void
messages_come_back_as_they_were_sent(void **state)
{
	static const union any zero;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		round_trip(rows[i].id, &rows[i].msg);
		round_trip(rows[i].id, &zero);
	}
}

static void
fields_land_where_they_belong(void **state)
{
	struct wire_lease in = {1, 2, 3, 4, STR("lane"), STR("0 1"), STR("env"), 5, STR("body")},
			  out;
	struct buf b = encode(WIRE_LEASE, &in);

	(void)state;
	assert_true(wire_decode(WIRE_LEASE, buf_str(&b), &out));
	assert_int_equal(out.id, 1);
	assert_int_equal(out.part, 2);
	assert_int_equal(out.token, 3);
	assert_int_equal(out.attempt, 4);
	assert_true(str_eq(out.lane, STR("lane")));
	assert_true(str_eq(out.rcpts, STR("0 1")));
	assert_true(str_eq(out.envelope, STR("env")));
	assert_int_equal(out.size, 5);
	assert_true(str_eq(out.body, STR("body")));
	buf_free(&b);
}

/* A copy of exactly this size, so that a sanitizer sees each octet read too far. */
static bool
decodes(enum wire_id id, const char *p, size_t n)
{
	char     *exact = malloc(n > 0 ? n : 1);
	union any msg;
	bool      ok;

	assert_non_null(exact);
	if (n > 0)
		memcpy(exact, p, n);
	ok = wire_decode(id, (struct str){exact, n}, &msg);
	if (ok) {
		struct buf again = encode(id, &msg);

		assert_int_equal(again.n, n);
		if (n > 0)
			assert_memory_equal(again.p, exact, n);
		buf_free(&again);
	}
	free(exact);
	return ok;
}

static void
short_and_long_messages_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = encode(rows[i].id, &rows[i].msg);

		for (size_t n = 0; n < b.n; n++)
			assert_false(decodes(rows[i].id, b.p, n));
		assert_true(b.n == 0 || decodes(rows[i].id, b.p, b.n));
		buf_addc(&b, '\0');
		assert_false(decodes(rows[i].id, b.p, b.n));
		buf_free(&b);
	}
}

/* A flipped bit is another number, another text, or refused; never more than what is there. */
static void
flipped_bits_do_no_harm(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = encode(rows[i].id, &rows[i].msg);

		for (size_t bit = 0; bit < b.n * 8; bit++) {
			b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
			(void)decodes(rows[i].id, b.p, b.n);
			b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
		}
		buf_free(&b);
	}
}

static void
a_message_over_its_limit_is_refused(void **state)
{
	struct buf       big = BUF(2 * 1024 * 1024), b = BUF(100);
	struct wire_sign sign = {0};
	struct wire_sign out;
	struct buf       all;

	(void)state;
	while (big.n <= wire_limit(WIRE_SIGN))
		buf_addz(&big, "xxxxxxxxxxxxxxxx");
	sign.fields = buf_str(&big);
	all = encode(WIRE_SIGN, &sign);
	assert_false(wire_decode(WIRE_SIGN, buf_str(&all), &out));
	wire_encode(&b, WIRE_SIGN, &sign);
	assert_true(b.over);
	assert_int_equal(b.n, 0);
	buf_free(&all);
	buf_free(&b);
	buf_free(&big);
}

#define SUP ROLE_SUPERVISOR

static const struct {
	enum wire_id id;
	enum role_id from, to;
	bool         may;
} directions[] = {
	{WIRE_CONFIG, SUP, ROLE_SMTPD, true},
	{WIRE_CONFIG, SUP, ROLE_KEYD, true},
	{WIRE_CONFIG, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_CONFIG, ROLE_SMTPD, SUP, false},
	{WIRE_LISTENER, SUP, ROLE_SMTPD, true},
	{WIRE_LISTENER, SUP, ROLE_DELIVERY, false},
	{WIRE_SPOOL, SUP, ROLE_QUEUE, true},
	{WIRE_SPOOL, SUP, ROLE_SMTPD, false},
	{WIRE_SHARED, SUP, ROLE_SMTPD, true},
	{WIRE_SHARED, SUP, ROLE_DELIVERY, false},
	{WIRE_SHARED, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_PEER, SUP, ROLE_DELIVERY, true},
	{WIRE_PEER, ROLE_QUEUE, ROLE_DELIVERY, false},
	{WIRE_GO, SUP, ROLE_AUTH, true},
	{WIRE_DRAIN, SUP, ROLE_AUTH, true},
	{WIRE_DRAIN, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_CONTROL, SUP, ROLE_QUEUE, true},
	{WIRE_CONTROL, SUP, ROLE_SMTPD, false},
	{WIRE_READY, ROLE_KEYD, SUP, true},
	{WIRE_READY, SUP, ROLE_KEYD, false},
	{WIRE_STATS, ROLE_SMTPD, SUP, true},
	{WIRE_TROUBLE, ROLE_QUEUE, SUP, true},
	{WIRE_TROUBLE, ROLE_QUEUE, ROLE_SMTPD, false},
	{WIRE_CONFIG, SUP, ROLE_DOCTOR, true},
	{WIRE_PEER, SUP, ROLE_DOCTOR, true},
	{WIRE_LISTENER, SUP, ROLE_DOCTOR, false},
	{WIRE_SPOOL, SUP, ROLE_DOCTOR, false},
	{WIRE_EXAMINE, SUP, ROLE_DOCTOR, true},
	{WIRE_EXAMINE, SUP, ROLE_DELIVERY, false},
	{WIRE_FINDINGS, ROLE_DOCTOR, SUP, true},
	{WIRE_FINDINGS, ROLE_DELIVERY, SUP, false},
	{WIRE_GATES, SUP, ROLE_DELIVERY, true},
	{WIRE_GATES, ROLE_DOCTOR, ROLE_DELIVERY, false},
	{WIRE_SUSPECT, ROLE_DELIVERY, SUP, true},
	{WIRE_SUSPECT, ROLE_SMTPD, SUP, false},
	{WIRE_KEY_STATE, ROLE_DELIVERY, SUP, true},
	{WIRE_RETRY, ROLE_DELIVERY, ROLE_QUEUE, true},
	{WIRE_RETRY, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_SIGN, ROLE_DOCTOR, ROLE_KEYD, false},
	{WIRE_LOST, ROLE_DELIVERY, SUP, true},
	{WIRE_LOST, ROLE_DELIVERY, ROLE_KEYD, false},
	{WIRE_MECHS, ROLE_AUTH, ROLE_SMTPD, true},
	{WIRE_MECHS, ROLE_QUEUE, ROLE_SMTPD, false},
	{WIRE_AUTH_START, ROLE_SMTPD, ROLE_AUTH, true},
	{WIRE_AUTH_START, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_AUTH_STEP, ROLE_SMTPD, ROLE_AUTH, true},
	{WIRE_AUTH_CANCEL, ROLE_SMTPD, ROLE_AUTH, true},
	{WIRE_AUTH_MORE, ROLE_AUTH, ROLE_SMTPD, true},
	{WIRE_AUTH_DONE, ROLE_AUTH, ROLE_SMTPD, true},
	{WIRE_AUTH_DONE, ROLE_SMTPD, ROLE_AUTH, false},
	{WIRE_INTAKE, ROLE_QUEUE, ROLE_SMTPD, true},
	{WIRE_SPILL, ROLE_SMTPD, ROLE_QUEUE, true},
	{WIRE_SPILLED, ROLE_QUEUE, ROLE_SMTPD, true},
	{WIRE_PUT, ROLE_SMTPD, ROLE_QUEUE, true},
	{WIRE_PUT, ROLE_DELIVERY, ROLE_QUEUE, false},
	{WIRE_DROP, ROLE_SMTPD, ROLE_QUEUE, true},
	{WIRE_STORED, ROLE_QUEUE, ROLE_SMTPD, true},
	{WIRE_STORED, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_CAPACITY, ROLE_DELIVERY, ROLE_QUEUE, true},
	{WIRE_LEASE, ROLE_QUEUE, ROLE_DELIVERY, true},
	{WIRE_LEASE, ROLE_DELIVERY, ROLE_QUEUE, false},
	{WIRE_OUTCOME, ROLE_DELIVERY, ROLE_QUEUE, true},
	{WIRE_OUTCOME, ROLE_SMTPD, ROLE_QUEUE, false},
	{WIRE_SIGN, ROLE_DELIVERY, ROLE_KEYD, true},
	{WIRE_SIGN, ROLE_SMTPD, ROLE_KEYD, false},
	{WIRE_SIGNED, ROLE_KEYD, ROLE_DELIVERY, true},
	{WIRE_SIGNED, ROLE_KEYD, ROLE_QUEUE, false},
	{WIRE_TLS_SIGN, ROLE_SMTPD, ROLE_KEYD, true},
	{WIRE_TLS_SIGN, ROLE_DELIVERY, ROLE_KEYD, false},
	{WIRE_TLS_SIGNED, ROLE_KEYD, ROLE_SMTPD, true},
	{WIRE_TLS_SIGNED, ROLE_KEYD, ROLE_DELIVERY, false},
};

static void
messages_pass_only_where_they_may(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(directions); i++)
		assert_int_equal(
			wire_may_pass(directions[i].id, directions[i].from, directions[i].to),
			directions[i].may);
	/* And never to oneself. */
	for (unsigned id = 1; id < WIRE_COUNT; id++)
		for (unsigned r = 0; r < ROLE_COUNT; r++)
			assert_false(
				wire_may_pass((enum wire_id)id, (enum role_id)r, (enum role_id)r));
}

static void
descriptors_ride_with_few(void **state)
{
	unsigned with = 0;

	(void)state;
	for (unsigned id = 1; id < WIRE_COUNT; id++) {
		with += wire_has_fd((enum wire_id)id);
		assert_true(wire_limit((enum wire_id)id) <= WIRE_CONFIG_MAX);
		assert_true(strlen(wire_name((enum wire_id)id)) > 0);
	}
	assert_int_equal(with, 7);
	assert_true(wire_limit(WIRE_PUT) >= WIRE_INLINE_MAX + 1024 * 1024);
}

static void
roles_have_names(void **state)
{
	enum role_id id;

	(void)state;
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		assert_true(role_find(str_of(role_name((enum role_id)i)), &id));
		assert_int_equal(id, i);
	}
	assert_false(role_find(STR("smtp"), &id));
	assert_false(role_find(STR(""), &id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_has_a_row),
		cmocka_unit_test(messages_come_back_as_they_were_sent),
		cmocka_unit_test(fields_land_where_they_belong),
		cmocka_unit_test(short_and_long_messages_are_refused),
		cmocka_unit_test(flipped_bits_do_no_harm),
		cmocka_unit_test(a_message_over_its_limit_is_refused),
		cmocka_unit_test(messages_pass_only_where_they_may),
		cmocka_unit_test(descriptors_ride_with_few),
		cmocka_unit_test(roles_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
