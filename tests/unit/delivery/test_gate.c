/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/gate.h"
#include "delivery/published.h"
#include "delivery/route.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "tests/fake/fake.h"

/* ---- a resolver whose answers the test gives ---- */

struct dns_query {
	struct link link;
	char       *name;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;
};

static struct list asked;
static unsigned    n_asked;

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = mem_zero(sizeof *q);

	(void)d;
	assert_int_equal(type, DNS_TXT);
	q->name = str_dup(name);
	q->fn = fn;
	q->arg = arg;
	list_push(&asked, &q->link);
	n_asked++;
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	list_remove(&asked, &q->link);
	free(q->name);
	free(q);
}

/* The oldest question is answered: text of a record, or NULL with a status. */
static void
answer(const char *name, const char *text, enum dns_status status)
{
	struct link      *k = list_pop(&asked);
	struct dns_query *q;
	struct dns_record r = {.type = DNS_TXT, .ttl_s = 300};
	struct dns_answer a = {.status = status, .why = "for a reason"};

	assert_non_null(k);
	q = CONTAINER(k, struct dns_query, link);
	assert_string_equal(q->name, name);
	if (text != NULL) {
		r.data = str_of(text);
		a.records = &r;
		a.n = 1;
	}
	q->fn(q->arg, &a);
	free(q->name);
	free(q);
}

/* ---- keys ---- */

#define HALF_1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HALF_2 "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define NAME_1 "s1._domainkey.a.example"
#define NAME_2 "s2._domainkey.a.example"
#define GOOD_1 "v=DKIM1; k=ed25519; p=" HALF_1
#define GOOD_2 "v=DKIM1; k=ed25519; p=" HALF_2

static struct dkim_key_conf keys[] = {
	{.selector = {"s1", 2}, .type = KEY_ED25519, .half = {HALF_1, sizeof HALF_1 - 1}},
	{.selector = {"s2", 2}, .type = KEY_ED25519, .half = {HALF_2, sizeof HALF_2 - 1}},
};

static struct dkim_conf     domain = {.domain = {"a.example", 9}, .keys = keys, .n_keys = 2};
static struct config        config = {.dkim = &domain, .n_dkim = 1, .dkim_sign = true};
static const struct route   direct = {.direct = true, .host = {"b.example", 9}};
static const struct envelope mail = {.from = {"x@a.example", 11}, .header_from = {"a.example", 9}};

struct bench {
	struct loop      *loop;
	struct published *published;
	struct buf        changes; /* "name why\n" */
	unsigned          woken;
};

static void
changed(void *arg, struct str name, struct str key, struct str why)
{
	struct bench *b = arg;

	assert_true(key.n > 0);
	buf_add(&b->changes, str_sub(name, 0, 2));
	buf_addc(&b->changes, ' ');
	buf_add(&b->changes, why);
	buf_addc(&b->changes, '\n');
}

static void
begin(struct bench *b)
{
	*b = (struct bench){.changes = BUF(4096)};
	list_init(&asked);
	n_asked = 0;
	config.preflight = PREFLIGHT_ADVISE;
	domain.go_unsigned = false;
	domain.n_keys = 2;
	b->loop = loop_create();
	b->published = published_create(b->loop, changed, b);
	published_resolver(b->published, (struct dns *)b);
}

static void
end(struct bench *b)
{
	published_destroy(b->published);
	assert_true(list_empty(&asked));
	buf_free(&b->changes);
	loop_destroy(b->loop);
}

static void
changes_are(struct bench *b, const char *text)
{
	assert_string_equal(buf_z(&b->changes), text);
	buf_clear(&b->changes);
}

/* One try: the way, and for OPEN the selectors, for HOLD a part of the text. */
static void
try_is(struct bench *b, const struct gates *g, const struct route *route, enum gate_way way,
       const char *text)
{
	struct gate_pass pass;
	enum gate_way    got = gate_try(g, b->published, &config, &mail, route, &pass);
	struct buf       have = BUF(4096);

	for (size_t i = 0; got == GATE_OPEN && pass.keys != NULL && i < pass.keys->n_keys; i++) {
		buf_addz(&have, i > 0 ? "," : "");
		buf_add(&have, pass.keys->keys[i].selector);
	}
	if (got == GATE_OPEN && pass.unsigned_why != NULL)
		buf_addz(&have, pass.unsigned_why);
	if (got == GATE_HOLD)
		buf_add(&have, pass.reply.text);
	if (got != way || strstr(buf_z(&have), text) == NULL || (*text == '\0' && have.n > 0))
		fail_msg("way %d: \"%s\"; expected %d: \"%s\"", (int)got, buf_z(&have), (int)way,
		         text);
	gate_pass_free(&pass);
	buf_free(&have);
}

static void
keys_sign_once_they_are_published(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	assert_int_equal(n_asked, 2);
	answer(NAME_1, GOOD_1, DNS_OK);
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_2, GOOD_2, DNS_OK);
	changes_are(&b, "s1 \ns2 \n");
	for (unsigned i = 0; i < 1000; i++)
		try_is(&b, NULL, &direct, GATE_OPEN, "s1,s2");
	assert_int_equal(n_asked, 2);
	end(&b);
}

static void
only_those_that_are_published_sign(void **state)
{
	static const struct {
		const char     *text; /* of s2; s1 is good */
		enum dns_status status;
	} rows[] = {
		{NULL, DNS_NXDOMAIN},
		{NULL, DNS_NODATA},
		{NULL, DNS_TEMPFAIL},
		{NULL, DNS_BOGUS},
		{GOOD_1, DNS_OK},
		{"v=DKIM1; k=ed25519; p=", DNS_OK},
		{"v=DKIM1; k=rsa; p=" HALF_2, DNS_OK},
		{"v=DKIM1; h=sha1; k=ed25519; p=" HALF_2, DNS_OK},
		{"something else", DNS_OK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bench b;

		begin(&b);
		try_is(&b, NULL, &direct, GATE_WAIT, "");
		answer(NAME_1, GOOD_1, DNS_OK);
		answer(NAME_2, rows[i].text, rows[i].status);
		try_is(&b, NULL, &direct, GATE_OPEN, "s1");
		end(&b);
	}
}

static void
without_a_key_mail_waits_or_goes_unsigned(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_1, NULL, DNS_NXDOMAIN);
	changes_are(&b, "s1 it is not published\n");
	try_is(&b, NULL, &direct, GATE_HOLD, NAME_1 " may not sign: it is not published");
	domain.go_unsigned = true;
	try_is(&b, NULL, &direct, GATE_OPEN, "key-not-published");
	end(&b);
}

static void
a_record_that_comes_late_is_noticed(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_1, NULL, DNS_NXDOMAIN);
	try_is(&b, NULL, &direct, GATE_HOLD, "not published");
	changes_are(&b, "s1 it is not published\n");
	assert_int_equal(n_asked, 1);
	fake_wait(b.loop, 20 * 1000);
	assert_int_equal(n_asked, 1); /* not all the time */
	fake_wait(b.loop, 20 * 1000);
	assert_int_equal(n_asked, 2); /* by itself, as mail waits */
	answer(NAME_1, GOOD_1, DNS_OK);
	changes_are(&b, "s1 \n");
	try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	end(&b);
}

static void
woken(void *arg)
{
	struct bench *b = arg;

	b->woken++;
}

/* The records of one paste are seen one after the other: mail that was held waits for all, not for ever. */
static void
siblings_have_time_to_appear(void **state)
{
	static const struct {
		const char       *late; /* what is found of the second key in the end */
		enum dns_status   status;
		const char       *signs;
	} rows[] = {
		{GOOD_2, DNS_OK, "s1,s2"},
		{NULL, DNS_NXDOMAIN, "s1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct bench          b;
		struct published_wait one = {.fn = woken, .arg = &b};

		begin(&b);
		try_is(&b, NULL, &direct, GATE_WAIT, "");
		answer(NAME_1, NULL, DNS_NXDOMAIN);
		answer(NAME_2, NULL, DNS_NXDOMAIN);
		try_is(&b, NULL, &direct, GATE_HOLD, "not published");
		fake_wait(b.loop, 40 * 1000);
		answer(NAME_1, GOOD_1, DNS_OK);
		answer(NAME_2, NULL, DNS_NXDOMAIN); /* asked a moment earlier */
		fake_run(b.loop);
		try_is(&b, NULL, &direct, GATE_WAIT, "");
		published_wait(b.published, &one);
		for (unsigned s = 0; s < 60 && b.woken == 0; s++) {
			fake_wait(b.loop, 1000);
			if (!list_empty(&asked))
				answer(NAME_2, s < 10 ? NULL : rows[i].late,
				       s < 10 ? DNS_NXDOMAIN : rows[i].status);
			fake_run(b.loop);
		}
		assert_int_equal(b.woken, 1);
		try_is(&b, NULL, &direct, GATE_OPEN, rows[i].signs);
		end(&b);
	}
}

/* A key once seen: failing DNS does not count for a week, another answer does. */
static void
a_key_that_was_seen_goes_on(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_1, GOOD_1, DNS_OK);
	for (unsigned day = 0; day < 6; day++) {
		fake_wait(b.loop, 24 * 3600 * 1000);
		try_is(&b, NULL, &direct, GATE_OPEN, "s1"); /* old, but nobody waits for the answer */
		answer(NAME_1, NULL, DNS_TEMPFAIL);
		try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	}
	changes_are(&b, "s1 \n");
	fake_wait(b.loop, 2 * 24 * 3600 * 1000);
	try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	answer(NAME_1, NULL, DNS_TEMPFAIL);
	try_is(&b, NULL, &direct, GATE_HOLD, "DNS does not say");
	fake_wait(b.loop, 60 * 1000);
	answer(NAME_1, GOOD_1, DNS_OK);
	try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	fake_wait(b.loop, 2 * 3600 * 1000);
	try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	answer(NAME_1, GOOD_2, DNS_OK);
	try_is(&b, NULL, &direct, GATE_HOLD, "DNS has another key");
	end(&b);
}

static void
nobody_waits_for_ever(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	fake_wait(b.loop, 11 * 1000);
	try_is(&b, NULL, &direct, GATE_HOLD, "DNS does not say");
	answer(NAME_1, GOOD_1, DNS_OK); /* late, and welcome */
	try_is(&b, NULL, &direct, GATE_OPEN, "s1");
	end(&b);
}

static void
those_who_wait_are_woken_once(void **state)
{
	struct bench          b;
	struct published_wait one = {.fn = woken, .arg = &b}, two = {.fn = woken, .arg = &b};

	(void)state;
	begin(&b);
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	published_wait(b.published, &one);
	published_wait(b.published, &two);
	published_leave(b.published, &two);
	answer(NAME_1, GOOD_1, DNS_OK);
	assert_int_equal(b.woken, 0); /* not from inside */
	fake_run(b.loop);
	assert_int_equal(b.woken, 1);
	answer(NAME_2, GOOD_2, DNS_OK);
	fake_run(b.loop);
	assert_int_equal(b.woken, 1);
	end(&b);
}

static void
a_new_key_of_an_old_name_is_asked_for(void **state)
{
	struct bench b;

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_1, GOOD_1, DNS_OK);
	keys[0].half = STR(HALF_2);
	try_is(&b, NULL, &direct, GATE_WAIT, "");
	answer(NAME_1, GOOD_1, DNS_OK);
	try_is(&b, NULL, &direct, GATE_HOLD, "another key");
	keys[0].half = STR(HALF_1);
	end(&b);
}

static void
what_another_process_has_seen_counts(void **state)
{
	struct bench  b;
	struct gates *g = gates_create();

	(void)state;
	begin(&b);
	domain.n_keys = 1;
	assert_true(gates_take(g, STR("seen " NAME_1 " CgsMDQ4PEBESExQVFhcYGRobHB0eHw=\n"), b.published));
	try_is(&b, g, &direct, GATE_WAIT, ""); /* the end of it is another one */
	published_destroy(b.published);
	b.published = published_create(b.loop, changed, &b);
	published_resolver(b.published, (struct dns *)&b);
	assert_true(gates_take(g, STR("seen " NAME_1 " CQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), b.published));
	try_is(&b, g, &direct, GATE_OPEN, "s1");
	gates_destroy(g);
	end(&b);
}

static void
on_the_way_to_this_machine_nothing_is_asked(void **state)
{
	static const struct {
		const char *host;
		bool        here;
	} rows[] = {
		{"127.0.0.1", true},  {"[::1]", true},      {"::1", true},
		{"localhost", true},  {"192.0.2.1", false}, {"relay.example", false},
		{"10.0.0.1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route r = {.host = str_of(rows[i].host)};
		struct bench b;

		begin(&b);
		try_is(&b, NULL, &r, rows[i].here ? GATE_OPEN : GATE_WAIT, "");
		assert_int_equal(n_asked > 0, !rows[i].here);
		end(&b);
	}
}

/* ---- preflight ---- */

static void
enforce_holds_what_fails(void **state)
{
	static const struct {
		const char    *gates;
		enum preflight preflight;
		bool           smarthost;
		enum gate_way  way;
		const char    *text;
	} rows[] = {
		{"", PREFLIGHT_ENFORCE, false, GATE_HOLD, "have not run yet"},
		{"", PREFLIGHT_ADVISE, false, GATE_OPEN, "s1"},
		{"examined\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nptr 4 pass\nspf 4 a.example pass\ndkim a.example pass\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nptr 4 skip\nspf 4 a.example skip\ndkim a.example skip\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nptr 4 fail\n", PREFLIGHT_ENFORCE, false, GATE_HOLD, "reverse name"},
		{"examined\nptr 4 fail\n", PREFLIGHT_ADVISE, false, GATE_OPEN, "s1"},
		{"examined\nptr 4 fail\n", PREFLIGHT_OFF, false, GATE_OPEN, "s1"},
		{"examined\nptr 4 fail\n", PREFLIGHT_ENFORCE, true, GATE_OPEN, "s1"},
		{"examined\nptr 6 fail\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nspf 4 a.example fail\n", PREFLIGHT_ENFORCE, false, GATE_HOLD, "SPF of a.example"},
		{"examined\nspf 4 b.example fail\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nspf 4 a.example fail\n", PREFLIGHT_ENFORCE, true, GATE_OPEN, "s1"},
		{"examined\ndkim a.example fail\n", PREFLIGHT_ENFORCE, false, GATE_HOLD, "DKIM record of a.example"},
		{"examined\ndkim a.example fail\n", PREFLIGHT_ENFORCE, true, GATE_HOLD, "DKIM record of a.example"},
		{"examined\ndkim b.example fail\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
		{"examined\nptr\n\nspf 4\ndkim fail\nfail\nptr 4\nx y z\n", PREFLIGHT_ENFORCE, false, GATE_OPEN, "s1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route  smarthost = {.host = STR("relay.example")};
		struct gates *g = gates_create();
		struct bench  b;

		begin(&b);
		domain.n_keys = 1;
		config.preflight = (int)rows[i].preflight;
		try_is(&b, NULL, &direct, GATE_WAIT, "");
		answer(NAME_1, GOOD_1, DNS_OK);
		(void)gates_take(g, str_of(rows[i].gates), b.published);
		try_is(&b, g, rows[i].smarthost ? &smarthost : &direct, rows[i].way, rows[i].text);
		gates_destroy(g);
		end(&b);
	}
}

/* Of two addresses of ours one that passes is enough; only what has none waits. */
static void
enforce_goes_over_the_family_that_passes(void **state)
{
	static const struct {
		const char        *gates;
		enum outbound_ipv6 how;
		enum gate_way      way;
		bool               only_ipv6;
	} rows[] = {
		{"ptr 4 pass\nptr 6 pass\nspf 4 a.example pass\nspf 6 a.example pass\n", IPV6_AUTO, GATE_OPEN, false},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example pass\n", IPV6_AUTO, GATE_OPEN, true},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example pass\n", IPV6_ON, GATE_OPEN, true},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example pass\n", IPV6_OFF, GATE_HOLD, false},
		{"ptr 4 fail\nptr 6 fail\nspf 6 a.example pass\n", IPV6_AUTO, GATE_HOLD, false},
		{"ptr 4 fail\nptr 6 skip\nspf 6 a.example pass\n", IPV6_ON, GATE_HOLD, false},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example fail\n", IPV6_AUTO, GATE_HOLD, false},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example skip\n", IPV6_AUTO, GATE_HOLD, false},
		{"ptr 4 fail\nptr 6 pass\nspf 6 b.example fail\n", IPV6_AUTO, GATE_OPEN, true},
		{"ptr 4 pass\nptr 6 pass\nspf 4 a.example fail\nspf 6 a.example pass\n", IPV6_AUTO, GATE_OPEN, true},
		{"ptr 4 pass\nptr 6 pass\nspf 4 b.example fail\nspf 6 b.example pass\n", IPV6_AUTO, GATE_OPEN, false},
		{"ptr 4 pass\nptr 6 fail\nspf 4 a.example pass\nspf 6 a.example fail\n", IPV6_AUTO, GATE_OPEN, false},
		{"ptr 4 fail\nptr 6 pass\nspf 6 a.example pass\ndkim a.example fail\n", IPV6_AUTO, GATE_HOLD, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config    c = config;
		struct gates    *g = gates_create();
		struct gate_pass pass;
		struct bench     b;
		struct buf       text = BUF(1000);
		enum gate_way    way;

		begin(&b);
		c.preflight = PREFLIGHT_ENFORCE;
		c.outbound.ipv6 = (int)rows[i].how;
		buf_addf(&text, "examined\n%s", rows[i].gates);
		(void)gates_take(g, buf_str(&text), b.published);
		way = gate_try(g, NULL, &c, &mail, &direct, &pass);
		if (way != rows[i].way || pass.only_ipv6 != rows[i].only_ipv6)
			fail_msg("row %zu", i);
		gate_pass_free(&pass);
		buf_free(&text);
		gates_destroy(g);
		end(&b);
	}
}

static void
ipv6_needs_its_checks(void **state)
{
	static const struct {
		const char         *gates;
		enum outbound_ipv6  how;
		enum preflight      preflight;
		bool                may;
	} rows[] = {
		{"", IPV6_ON, PREFLIGHT_ADVISE, true},
		{"examined\nptr 6 fail\n", IPV6_ON, PREFLIGHT_ADVISE, true},
		{"examined\nptr 6 fail\n", IPV6_ON, PREFLIGHT_ENFORCE, false},
		{"examined\nptr 6 pass\nspf 6 a.example fail\n", IPV6_ON, PREFLIGHT_ENFORCE, false},
		{"examined\nptr 6 skip\n", IPV6_ON, PREFLIGHT_ENFORCE, true},
		{"examined\nptr 6 pass\n", IPV6_OFF, PREFLIGHT_ADVISE, false},
		{"", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\n", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\nptr 6 pass\n", IPV6_AUTO, PREFLIGHT_ADVISE, true},
		{"examined\nptr 6 pass\nspf 6 a.example pass\n", IPV6_AUTO, PREFLIGHT_ENFORCE, true},
		{"examined\nptr 6 pass\nspf 6 a.example pass\nspf 6 b.example fail\n", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\nptr 6 pass\nspf 6 a.example skip\n", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\nptr 6 skip\nspf 6 a.example pass\n", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\nptr 4 pass\nspf 4 a.example pass\n", IPV6_AUTO, PREFLIGHT_ADVISE, false},
		{"examined\nptr 6 pass\nspf 6 a.example pass\n", IPV6_AUTO, PREFLIGHT_OFF, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config c = {.preflight = (int)rows[i].preflight, .outbound = {.ipv6 = (int)rows[i].how}};
		struct gates *g = gates_create();
		struct bench  b;

		begin(&b);
		(void)gates_take(g, str_of(rows[i].gates), b.published);
		assert_false(gates_take(g, str_of(rows[i].gates), b.published)); /* no news */
		if (gates_ipv6(g, &c) != rows[i].may)
			fail_msg("row %zu", i);
		gates_destroy(g);
		end(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_sign_once_they_are_published),
		cmocka_unit_test(only_those_that_are_published_sign),
		cmocka_unit_test(without_a_key_mail_waits_or_goes_unsigned),
		cmocka_unit_test(a_record_that_comes_late_is_noticed),
		cmocka_unit_test(siblings_have_time_to_appear),
		cmocka_unit_test(a_key_that_was_seen_goes_on),
		cmocka_unit_test(nobody_waits_for_ever),
		cmocka_unit_test(those_who_wait_are_woken_once),
		cmocka_unit_test(a_new_key_of_an_old_name_is_asked_for),
		cmocka_unit_test(what_another_process_has_seen_counts),
		cmocka_unit_test(on_the_way_to_this_machine_nothing_is_asked),
		cmocka_unit_test(enforce_holds_what_fails),
		cmocka_unit_test(enforce_goes_over_the_family_that_passes),
		cmocka_unit_test(ipv6_needs_its_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
