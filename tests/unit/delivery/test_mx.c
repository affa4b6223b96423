/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "delivery/mx.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

/*
 * The resolver of these tests: a zone as text, "name type value, ..." with values
 * "10 host", an address, or NXDOMAIN, TEMPFAIL, BOGUS. Names that are not in it do not exist.
 */
static const char  *zone;
static struct loop *loop;
static unsigned     questions;

struct dns_query {
	struct deferred call;
	struct str      name;
	enum dns_type   type;
	void (*fn)(void *arg, const struct dns_answer *answer);
	void *arg;
};

static const char *
type_name(enum dns_type type)
{
	return type == DNS_MX ? "MX" : type == DNS_A ? "A" : "AAAA";
}

static enum dns_status
add_value(struct dns_answer *a, struct dns_record *r, enum dns_type type, struct str value)
{
	uint64_t preference;

	if (str_eq(value, STR("NXDOMAIN")))
		return DNS_NXDOMAIN;
	if (str_eq(value, STR("TEMPFAIL")))
		return DNS_TEMPFAIL;
	if (str_eq(value, STR("BOGUS")))
		return DNS_BOGUS;
	r[a->n] = (struct dns_record){.type = type, .ttl_s = 30};
	if (type == DNS_MX) {
		assert_true(str_number(str_word(&value), 65535, &preference));
		r[a->n].preference = (unsigned)preference;
		r[a->n].name = str_word(&value);
	} else {
		assert_true(addr_parse(value, &r[a->n].addr));
	}
	a->n++;
	return DNS_OK;
}

static void
answer(void *arg)
{
	struct dns_query *q = arg;
	struct dns_record records[64];
	struct dns_answer a = {.status = DNS_NXDOMAIN, .records = records, .why = "as the test says"};
	struct str        rest = str_of(zone), entry;

	while (str_cut(&rest, ',', &entry)) {
		struct str name = str_word(&entry), type = str_word(&entry);

		if (!str_eq(name, q->name))
			continue;
		if (a.status == DNS_NXDOMAIN)
			a.status = DNS_NODATA;
		if (str_eq(type, str_of(type_name(q->type))))
			a.status = add_value(&a, records, q->type, str_trim(entry));
	}
	q->fn(q->arg, &a);
	free(q);
}

struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	struct dns_query *q = mem_zero(sizeof *q);

	(void)d;
	questions++;
	*q = (struct dns_query){.name = name, .type = type, .fn = fn, .arg = arg};
	q->call = (struct deferred){.fn = answer, .arg = q};
	loop_defer(loop, &q->call);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	loop_defer_cancel(loop, &q->call);
	free(q);
}

struct result {
	struct hops  hops;
	struct reply failure;
	struct buf   text; /* "host ip, host ip" */
	unsigned     ttl_s;
	bool         came;
};

static void
found(void *arg, struct hops *hops, unsigned ttl_s, struct reply failure)
{
	struct result *r = arg;

	assert_false(r->came);
	r->came = true;
	r->ttl_s = ttl_s;
	r->failure = failure;
	for (size_t i = 0; i < hops->n; i++) {
		buf_addz(&r->text, i > 0 ? ", " : "");
		buf_add(&r->text, hops->v[i].name);
		buf_addc(&r->text, ' ');
		addr_format(&r->text, hops->v[i].addr);
		assert_int_equal(hops->v[i].addr.port, 25);
	}
	loop_stop(loop);
}

enum { SMARTHOST = 1, NO_IPV6 = 2, PRIVATE = 4, ONLY_IPV6 = 8 };

static void
ask(struct result *r, const char *domain, unsigned how)
{
	struct addr    own[2];
	struct mx_conf conf = {.loop = loop, .port = 25, .direct = !(how & SMARTHOST), .ipv6 = !(how & NO_IPV6),
	                       .only_ipv6 = how & ONLY_IPV6, .private_mx = how & PRIVATE, .own = own, .n_own = 2};

	assert_true(addr_parse_port(STR("192.0.2.25:25"), 25, &own[0]));
	assert_true(addr_parse_port(STR("192.0.2.26:587"), 25, &own[1]));
	*r = (struct result){.text = BUF(10000)};
	(void)mx_start(&conf, str_of(domain), found, r);
	assert_false(r->came);
	loop_run(loop);
	assert_true(r->came);
}

static const struct {
	const char *name, *zone, *domain;
	unsigned    how;
	const char *hops;   /* NULL: fails */
	unsigned    code;
	const char *status;
} rows[] = {
	{"one host", "d MX 10 a, a A 192.0.2.1", "d", 0, "a 192.0.2.1", 0, NULL},
	{"by preference", "d MX 30 c, d MX 10 a, d MX 20 b, a A 192.0.2.1, b A 192.0.2.2, c A 192.0.2.3", "d", 0,
	 "a 192.0.2.1, b 192.0.2.2, c 192.0.2.3", 0, NULL},
	{"families by turns", "d MX 10 a, a A 192.0.2.1, a AAAA 2001:db8::1", "d", 0,
	 "a 2001:db8::1, a 192.0.2.1", 0, NULL},
	{"IPv6 off", "d MX 10 a, a A 192.0.2.1, a AAAA 2001:db8::1", "d", NO_IPV6, "a 192.0.2.1", 0, NULL},
	{"IPv6 only", "d MX 10 a, d MX 20 b, a A 192.0.2.1, a AAAA 2001:db8::1, b A 192.0.2.2", "d", ONLY_IPV6,
	 "a 2001:db8::1", 0, NULL},
	{"IPv6 only, and nobody has it", "d MX 10 a, a A 192.0.2.1", "d", ONLY_IPV6, NULL, 451, "4.7.25"},
	{"a host named twice", "d MX 20 a, d MX 10 a, d MX 15 b, a A 192.0.2.1, b A 192.0.2.2", "d", 0,
	 "a 192.0.2.1, b 192.0.2.2", 0, NULL},
	{"no MX: the domain itself", "d A 192.0.2.1", "d", 0, "d 192.0.2.1", 0, NULL},
	{"a host without address is passed over", "d MX 10 a, d MX 20 b, b A 192.0.2.2", "d", 0,
	 "b 192.0.2.2", 0, NULL},
	{"a host that cannot be looked up, too", "d MX 10 a, d MX 20 b, a A TEMPFAIL, b A 192.0.2.2", "d", 0,
	 "b 192.0.2.2", 0, NULL},
	{"null MX", "d MX 0", "d", 0, NULL, 556, "5.1.10"},
	{"null MX beside others is ignored", "d MX 0, d MX 10 a, a A 192.0.2.1", "d", 0, "a 192.0.2.1", 0, NULL},
	{"no such domain", "x A 192.0.2.1", "d", 0, NULL, 550, "5.1.2"},
	{"nothing there", "d TXT x", "d", 0, NULL, 550, "5.1.2"},
	{"hosts without address", "d MX 10 a, d MX 20 b", "d", 0, NULL, 550, "5.4.4"},
	{"resolver fails", "d MX TEMPFAIL", "d", 0, NULL, 451, "4.4.3"},
	{"forged answer", "d MX BOGUS", "d", 0, NULL, 451, "4.4.3"},
	{"only address cannot be looked up", "d MX 10 a, a A TEMPFAIL, d MX 20 b", "d", 0, NULL, 451, "4.4.3"},
	{"best is ourselves", "d MX 10 me, d MX 20 b, me A 192.0.2.25, b A 192.0.2.2", "d", 0, NULL, 554, "5.4.6"},
	{"second is ourselves", "d MX 10 a, d MX 20 me, d MX 30 c, a A 192.0.2.1, me A 192.0.2.25, c A 192.0.2.3",
	 "d", 0, "a 192.0.2.1", 0, NULL},
	{"equal to ourselves is dropped", "d MX 5 a, d MX 10 b, d MX 10 me, d MX 10 c, a A 192.0.2.1, "
	 "b A 192.0.2.2, c A 192.0.2.3, me A 192.0.2.25", "d", 0, "a 192.0.2.1", 0, NULL},
	{"better than ourselves, but not to be found now", "d MX 10 a, d MX 20 me, a A TEMPFAIL, "
	 "me A 192.0.2.25", "d", 0, NULL, 451, "4.4.3"},
	{"worse than ourselves, and not to be found now", "d MX 10 me, d MX 20 b, me A 192.0.2.25, "
	 "b A TEMPFAIL", "d", 0, NULL, 554, "5.4.6"},
	{"our address, but not our port", "d MX 10 me, me A 192.0.2.26", "d", 0, "me 192.0.2.26", 0, NULL},
	{"the domain itself is ourselves", "d A 192.0.2.25", "d", 0, NULL, 554, "5.4.6"},
	{"loopback is refused", "d MX 10 a, a A 127.0.0.1, a AAAA ::1", "d", 0, NULL, 550, "5.4.4"},
	{"link-local is refused", "d MX 10 a, a AAAA fe80::1, a A 169.254.1.1", "d", 0, NULL, 550, "5.4.4"},
	{"loopback is passed over", "d MX 10 a, d MX 20 b, a A 127.0.0.1, b A 192.0.2.2", "d", 0,
	 "b 192.0.2.2", 0, NULL},
	{"loopback if allowed", "d MX 10 a, a A 127.0.0.1", "d", PRIVATE, "a 127.0.0.1", 0, NULL},
	{"private networks are refused", "d MX 10 a, a A 10.1.2.3, a AAAA fd00::1", "d", 0, NULL, 550, "5.4.4"},
	{"private networks if allowed", "d MX 10 a, a A 10.1.2.3", "d", PRIVATE, "a 10.1.2.3", 0, NULL},
	{"private smarthost", "s A 10.1.2.3", "s", SMARTHOST, "s 10.1.2.3", 0, NULL},
	{"multicast and broadcast", "d MX 10 a, a A 224.0.0.1, a A 255.255.255.255, a A 0.0.0.0, a AAAA ff02::1", "d", 0, NULL, 550, "5.4.4"},
	{"literal", "", "[192.0.2.1]", 0, "[192.0.2.1] 192.0.2.1", 0, NULL},
	{"IPv6 literal", "", "[ipv6:2001:db8::1]", 0, "[ipv6:2001:db8::1] 2001:db8::1", 0, NULL},
	{"literal of ourselves", "", "[192.0.2.25]", 0, NULL, 554, "5.4.6"},
	{"literal of loopback", "", "[127.0.0.1]", 0, NULL, 550, "5.4.4"},
	{"no literal", "", "[oops]", 0, NULL, 501, "5.1.3"},
	{"smarthost has no MX", "s MX 10 a, s A 192.0.2.7, a A 192.0.2.1", "s", SMARTHOST, "s 192.0.2.7", 0, NULL},
	{"smarthost by address", "", "192.0.2.7", SMARTHOST, "192.0.2.7 192.0.2.7", 0, NULL},
	{"smarthost on loopback", "s A 127.0.0.1", "s", SMARTHOST, "s 127.0.0.1", 0, NULL},
	{"smarthost that is not there", "x A 192.0.2.1", "s", SMARTHOST, NULL, 451, "4.4.4"},
};

static void
check(size_t i)
{
	struct result r;
	struct buf    status = BUF(64);

	zone = rows[i].zone;
	ask(&r, rows[i].domain, rows[i].how);
	if (rows[i].hops != NULL && !str_eq(buf_str(&r.text), str_of(rows[i].hops)))
		fail_msg("%s: got \"%s\" %u", rows[i].name, buf_z(&r.text), r.failure.code);
	reply_format_status(&status, r.failure);
	if (rows[i].hops == NULL && (r.text.n > 0 || r.failure.code != rows[i].code ||
	                             !str_eq(buf_str(&status), str_of(rows[i].status))))
		fail_msg("%s: got %u %s \"%s\"", rows[i].name, r.failure.code, buf_z(&status), buf_z(&r.text));
	buf_free(&r.text);
	buf_free(&status);
}

static void
domains_lead_to_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(i);
}

static void
equals_come_in_random_order(void **state)
{
	unsigned first[3] = {0};

	(void)state;
	random_hook(7);
	zone = "d MX 10 a, d MX 10 b, d MX 10 c, a A 192.0.2.1, b A 192.0.2.2, c A 192.0.2.3";
	for (int i = 0; i < 300; i++) {
		struct result r;

		ask(&r, "d", 0);
		first[r.text.p[0] - 'a']++;
		buf_free(&r.text);
	}
	random_hook(0);
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i], 60, 140);
}

static void
long_lists_are_cut(void **state)
{
	struct buf    text = BUF(100000);
	struct result r;
	size_t        hosts = 1;

	(void)state;
	for (int i = 50; i > 0; i--) {
		buf_addf(&text, "d MX %d h%02d, ", i, i);
		for (int k = 1; k < 12; k++)
			buf_addf(&text, "h%02d A 198.18.%d.%d, ", i, i, k);
	}
	zone = buf_z(&text);
	questions = 0;
	ask(&r, "d", 0);
	assert_int_equal(questions, 1 + 2 * MX_HOSTS_MAX);
	for (size_t i = 0; i < r.text.n; i++)
		hosts += r.text.p[i] == ',';
	assert_int_equal(hosts, MX_HOPS_MAX);
	assert_true(str_starts(buf_str(&r.text), STR("h01 ")));
	assert_int_equal(r.ttl_s, 30);
	buf_free(&r.text);
	buf_free(&text);
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_create();
	return loop == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_lead_to_hosts),
		cmocka_unit_test(equals_come_in_random_order),
		cmocka_unit_test(long_lists_are_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
