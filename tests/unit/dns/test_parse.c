/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dns/dns.h"

/*
 * Packets in a small notation, so that a row can be read: words of the question
 * and the records are put on the wire by build(); what no builder would make is
 * given in octets.
 *
 *     "."     names are dotted; "@12" is a pointer to octet 12 (the question's name)
 */
static void
name(struct buf *out, const char *text)
{
	struct str rest = str_of(text), label;

	while (rest.n > 0 && rest.p[0] != '@' && str_cut(&rest, '.', &label)) {
		buf_addc(out, (char)label.n);
		buf_add(out, label);
	}
	if (rest.n > 0) {
		uint64_t at = 0;

		assert_true(str_number(str_skip(rest, 1), 16383, &at));
		buf_addc(out, (char)(0xc0 | at >> 8));
		buf_addc(out, (char)(at & 0xff));
		return;
	}
	buf_addc(out, '\0');
}

static void
n16(struct buf *out, unsigned n)
{
	buf_addc(out, (char)(n >> 8 & 0xff));
	buf_addc(out, (char)(n & 0xff));
}

static void
header(struct buf *out, unsigned flags, unsigned answers)
{
	n16(out, 0x1234);
	n16(out, flags);
	n16(out, 1);
	n16(out, answers);
	n16(out, 0);
	n16(out, 0);
}

static void
record(struct buf *out, const char *owner, enum dns_type type, struct str data)
{
	name(out, owner);
	n16(out, (unsigned)type);
	n16(out, 1);
	n16(out, 0);
	n16(out, 300);
	n16(out, (unsigned)data.n);
	buf_add(out, data);
}

static void
mx(struct buf *out, const char *owner, unsigned preference, const char *host)
{
	struct buf data = BUF(512);

	n16(&data, preference);
	name(&data, host);
	record(out, owner, DNS_MX, buf_str(&data));
	buf_free(&data);
}

static void
alias(struct buf *out, const char *owner, const char *to)
{
	struct buf data = BUF(512);

	name(&data, to);
	record(out, owner, DNS_CNAME, buf_str(&data));
	buf_free(&data);
}

struct made {
	struct buf        packet;
	struct buf        scratch;
	struct dns_record records[8];
	size_t            n;
	enum dns_status   status;
};

static void
begin(struct made *m, const char *question, enum dns_type type, unsigned flags, unsigned answers)
{
	*m = (struct made){.packet = BUF(70000), .scratch = BUF(100000)};
	header(&m->packet, flags, answers);
	name(&m->packet, question);
	n16(&m->packet, (unsigned)type);
	n16(&m->packet, 1);
}

static void
parse(struct made *m, enum dns_type type)
{
	m->status = dns_parse(buf_str(&m->packet), type, m->records, ARRAY_LEN(m->records), &m->n,
	                      &m->scratch);
}

static void
end(struct made *m)
{
	buf_free(&m->packet);
	buf_free(&m->scratch);
}

static void
assert_text(struct str got, const char *want)
{
	assert_int_equal(got.n, str_of(want).n);
	assert_memory_equal(got.p, want, got.n);
}

static void
mx_records_come_with_preference_and_lower_case_names(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "Example.COM", DNS_MX, 0x8180, 3);
	mx(&m.packet, "@12", 20, "B.mail.@12");
	mx(&m.packet, "eXample.com", 10, "a.example.net");
	record(&m.packet, "@12", (enum dns_type)46, STR("a signature in between"));
	parse(&m, DNS_MX);
	assert_int_equal(m.status, DNS_OK);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.records[0].preference, 20);
	assert_int_equal(m.records[0].ttl_s, 300);
	assert_text(m.records[0].name, "b.mail.example.com");
	assert_int_equal(m.records[1].preference, 10);
	assert_text(m.records[1].name, "a.example.net");
	end(&m);
}

static void
null_mx_is_the_root(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "example.com", DNS_MX, 0x8180, 1);
	mx(&m.packet, "@12", 0, "");
	parse(&m, DNS_MX);
	assert_int_equal(m.status, DNS_OK);
	assert_int_equal(m.n, 1);
	assert_int_equal(m.records[0].name.n, 0);
	end(&m);
}

static void
addresses_of_both_families(void **state)
{
	struct made m;
	struct addr want;

	(void)state;
	begin(&m, "mx.example.com", DNS_A, 0x8180, 2);
	record(&m.packet, "@12", DNS_A, STR("\xc0\x00\x02\x01"));
	record(&m.packet, "@12", DNS_A, STR("\xc0\x00\x02")); /* too short: left out */
	parse(&m, DNS_A);
	assert_int_equal(m.n, 1);
	assert_true(addr_parse(STR("192.0.2.1"), &want) && addr_equal(want, m.records[0].addr));
	end(&m);
	begin(&m, "mx.example.com", DNS_AAAA, 0x8180, 1);
	record(&m.packet, "@12", DNS_AAAA, STR("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"));
	parse(&m, DNS_AAAA);
	assert_int_equal(m.n, 1);
	assert_true(addr_parse(STR("2001:db8::9"), &want) && addr_equal(want, m.records[0].addr));
	end(&m);
}

/* Or ::ffff:127.0.0.1 would be a way to our own loopback that nobody recognizes. */
static void
a_mapped_address_is_the_ipv4_one(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "mx.example.com", DNS_AAAA, 0x8180, 1);
	record(&m.packet, "@12", DNS_AAAA, STR("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"));
	parse(&m, DNS_AAAA);
	assert_int_equal(m.n, 1);
	assert_int_equal(m.records[0].addr.family, 4);
	assert_true(addr_is_loopback(m.records[0].addr));
	end(&m);
}

static void
strings_of_a_txt_record_are_joined(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "s1._domainkey.example.com", DNS_TXT, 0x8180, 2);
	record(&m.packet, "@12", DNS_TXT, STR("\x09v=DKIM1; \x05p=abc\x00"));
	record(&m.packet, "@12", DNS_TXT, STR("\x7ftoo long for its record"));
	parse(&m, DNS_TXT);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].data, "v=DKIM1; p=abc");
	end(&m);
}

static void
other_types_give_name_or_octets(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "1.2.0.192.in-addr.arpa", DNS_PTR, 0x8180, 1);
	record(&m.packet, "@12", DNS_PTR, STR("\x04mail\x07""example\0"));
	parse(&m, DNS_PTR);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].name, "mail.example");
	end(&m);
	begin(&m, "_25._tcp.mx.example", DNS_TLSA, 0x8180, 2);
	record(&m.packet, "@12", DNS_TLSA, STR("\x03\x01\x01" "0123"));
	record(&m.packet, "@12", DNS_TLSA, STR("\x03\x01"));
	parse(&m, DNS_TLSA);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].data, "\x03\x01\x01" "0123");
	end(&m);
}

static void
aliases_are_followed_in_any_order(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "example.com", DNS_MX, 0x8180, 4);
	mx(&m.packet, "real.example.org", 5, "mx.example.org");
	mx(&m.packet, "other.example.org", 1, "evil.example.org");
	alias(&m.packet, "step.example.net", "real.example.org");
	alias(&m.packet, "@12", "step.example.net");
	parse(&m, DNS_MX);
	assert_int_equal(m.status, DNS_OK);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].name, "mx.example.org");
	end(&m);
}

static void
an_alias_is_itself_when_asked_for(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "example.com", DNS_CNAME, 0x8180, 1);
	alias(&m.packet, "@12", "example.net");
	parse(&m, DNS_CNAME);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].name, "example.net");
	end(&m);
}

static void
a_ring_of_aliases_ends(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "a.example", DNS_A, 0x8180, 2);
	alias(&m.packet, "a.example", "b.example");
	alias(&m.packet, "b.example", "a.example");
	parse(&m, DNS_A);
	assert_int_equal(m.status, DNS_TEMPFAIL);
	end(&m);
}

static void
status_comes_from_the_header(void **state)
{
	static const struct {
		const char     *what;
		unsigned        flags;
		enum dns_status status;
	} rows[] = {
		{"no such name",    0x8183, DNS_NXDOMAIN},
		{"nothing there",   0x8180, DNS_NODATA},
		{"server failure",  0x8182, DNS_TEMPFAIL},
		{"refused",         0x8185, DNS_TEMPFAIL},
		{"truncated",       0x8380, DNS_TEMPFAIL},
		{"not an answer",   0x0180, DNS_TEMPFAIL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct made m;

		begin(&m, "example.com", DNS_MX, rows[i].flags, 0);
		parse(&m, DNS_MX);
		if (m.status != rows[i].status)
			fail_msg("%s: status %d", rows[i].what, (int)m.status);
		end(&m);
	}
}

/*
 * Octets behind a good question "a." (12 + 3 + 4 octets); no record may come out. That is
 * an answer only if what is there can be read: a name without data costs mail.
 */
static void
hostile_records_give_nothing(void **state)
{
	static const struct {
		const char     *what;
		unsigned        answers;
		enum dns_status status;
		struct str      octets;
	} rows[] = {
		{"nothing where a record should be", 65535, DNS_TEMPFAIL, {"", 0}},
		{"a pointer to itself", 65535, DNS_TEMPFAIL,
		 {"\xc0\x13\x00\x01\x00\x01\0\0\0\0\x00\x04" "1234", 16}},
		{"a pointer forward", 65535, DNS_TEMPFAIL,
		 {"\xc0\x20\x00\x01\x00\x01\0\0\0\0\x00\x04" "1234", 16}},
		{"a pointer to a label before itself that runs into it", 65535, DNS_TEMPFAIL,
		 {"\x01" "b\xc0\x13\x00\x01\x00\x01\0\0\0\0\x00\x04" "1234", 18}},
		{"half a pointer", 65535, DNS_TEMPFAIL, {"\xc0", 1}},
		{"a reserved label type", 65535, DNS_TEMPFAIL,
		 {"\x80" "a\0\x00\x01\x00\x01\0\0\0\0\x00\x04" "1234", 17}},
		{"a label longer than the packet", 65535, DNS_TEMPFAIL, {"\x3f" "abc", 4}},
		{"a record cut in its header", 65535, DNS_TEMPFAIL,
		 {"\xc0\x0c\x00\x01\x00\x01\0\0", 8}},
		{"data longer than the packet", 65535, DNS_TEMPFAIL,
		 {"\xc0\x0c\x00\x01\x00\x01\0\0\0\0\xff\xff" "1234", 16}},
		{"an address that the packet cuts", 1, DNS_TEMPFAIL,
		 {"\xc0\x0c\x00\x01\x00\x01\0\0\0\0\x00\x04" "12", 14}},
		{"another class", 1, DNS_NODATA,
		 {"\xc0\x0c\x00\x01\x00\x03\0\0\0\0\x00\x04" "1234", 16}},
		{"another owner", 1, DNS_NODATA,
		 {"\x01" "b\x00\x00\x01\x00\x01\0\0\0\0\x00\x04" "1234", 17}},
		{"IPv4 of five octets", 1, DNS_TEMPFAIL,
		 {"\xc0\x0c\x00\x01\x00\x01\0\0\0\0\x00\x05" "12345", 17}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct made m;

		begin(&m, "a", DNS_A, 0x8180, rows[i].answers);
		buf_add(&m.packet, rows[i].octets);
		parse(&m, DNS_A);
		if (m.n != 0 || m.status != rows[i].status)
			fail_msg("%s: status %d, %zu records", rows[i].what, (int)m.status, m.n);
		end(&m);
	}
}

static void
hostile_names_in_mx_records_are_left_out(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "a", DNS_MX, 0x8180, 4);
	mx(&m.packet, "@12", 1, "good.example");
	record(&m.packet, "@12", DNS_MX, STR("\0\x02\x03" "a.b\0"));  /* a dot inside a label */
	record(&m.packet, "@12", DNS_MX, STR("\0\x03\x03" "a\nb\0")); /* a line end */
	record(&m.packet, "@12", DNS_MX, STR("\0\x04\x05" "abc"));     /* runs into what follows */
	parse(&m, DNS_MX);
	assert_int_equal(m.n, 1);
	assert_text(m.records[0].name, "good.example");
	end(&m);
	/* With no other, the domain has an MX, which its own address does not replace. */
	begin(&m, "a", DNS_MX, 0x8180, 1);
	record(&m.packet, "@12", DNS_MX, STR("\0\x03\x03" "a\nb\0"));
	parse(&m, DNS_MX);
	assert_int_equal(m.status, DNS_TEMPFAIL);
	end(&m);
	/* A good name, but it ends behind the record. */
	begin(&m, "a", DNS_MX, 0x8180, 1);
	record(&m.packet, "@12", DNS_MX, STR("\0\x05\x04" "ab"));
	buf_add(&m.packet, STR("cd\0"));
	parse(&m, DNS_MX);
	assert_int_equal(m.n, 0);
	assert_int_equal(m.status, DNS_TEMPFAIL);
	end(&m);
}

static void
every_cut_of_a_packet_is_survived(void **state)
{
	struct made m;
	size_t      first;

	(void)state;
	begin(&m, "example.com", DNS_MX, 0x8180, 3);
	mx(&m.packet, "@12", 10, "a.@12");
	first = m.packet.n;
	alias(&m.packet, "x.@12", "y.@12");
	mx(&m.packet, "@12", 20, "b.@12");
	for (size_t n = 0; n < m.packet.n; n++) {
		struct dns_record records[8];
		size_t            got;
		char             *copy = malloc(n > 0 ? n : 1); /* just that: a sanitizer sees a step over it */
		struct buf        scratch = BUF(100000);

		assert_non_null(copy);
		memcpy(copy, m.packet.p, n);
		(void)dns_parse((struct str){copy, n}, DNS_MX, records, 8, &got, &scratch);
		if (got != (n >= first))
			fail_msg("%zu records of %zu octets", got, n);
		buf_free(&scratch);
		free(copy);
	}
	end(&m);
}

static void
no_more_records_than_asked_for(void **state)
{
	struct made m;

	(void)state;
	begin(&m, "a", DNS_A, 0x8180, 40);
	for (int i = 0; i < 40; i++)
		record(&m.packet, "@12", DNS_A, STR("\x0a\x00\x00\x01"));
	parse(&m, DNS_A);
	assert_int_equal(m.n, ARRAY_LEN(m.records));
	m.scratch.limit = 100; /* and a scratch that is too small is a failure, not an overrun */
	buf_clear(&m.scratch);
	parse(&m, DNS_A);
	assert_int_equal(m.status, DNS_TEMPFAIL);
	end(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mx_records_come_with_preference_and_lower_case_names),
		cmocka_unit_test(null_mx_is_the_root),
		cmocka_unit_test(addresses_of_both_families),
		cmocka_unit_test(a_mapped_address_is_the_ipv4_one),
		cmocka_unit_test(strings_of_a_txt_record_are_joined),
		cmocka_unit_test(other_types_give_name_or_octets),
		cmocka_unit_test(aliases_are_followed_in_any_order),
		cmocka_unit_test(an_alias_is_itself_when_asked_for),
		cmocka_unit_test(a_ring_of_aliases_ends),
		cmocka_unit_test(status_comes_from_the_header),
		cmocka_unit_test(hostile_records_give_nothing),
		cmocka_unit_test(hostile_names_in_mx_records_are_left_out),
		cmocka_unit_test(every_cut_of_a_packet_is_survived),
		cmocka_unit_test(no_more_records_than_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
