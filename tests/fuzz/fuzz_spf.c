/* SPDX-License-Identifier: ISC */
#include "doctor/spf.h"

#include "tests/fuzz/fuzz.h"

/* A world in which every name has the record at hand, addresses and hosts: loops without end. */
static void
answer(void *arg, struct fact *f)
{
	const struct str *txt = arg;
	struct dns_record r[2] = {{.type = f->type, .ttl_s = 60}, {.type = f->type, .ttl_s = 60}};
	struct dns_answer a = {.status = DNS_OK, .records = r, .n = 1};

	switch (f->type) {
	case DNS_TXT:
		r[0].data = *txt;
		break;
	case DNS_A:
		must(addr_parse(STR("192.0.2.7"), &r[0].addr));
		break;
	case DNS_AAAA:
		must(addr_parse(STR("2001:db8::7"), &r[0].addr));
		break;
	case DNS_MX:
	case DNS_PTR:
		r[0].name = STR("host.example.com");
		r[1].name = STR("other.example.com");
		a.n = 2;
		break;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_SOA:
	case DNS_DNSKEY:
	case DNS_TLSA:
		a.status = DNS_NODATA;
		a.n = 0;
	}
	fact_put(f, &a);
}

static void
evaluate(struct str txt)
{
	struct facts_source  source = {.ask = answer, .arg = &txt};
	struct facts        *f = facts_create(&source);
	struct spf_answer    a = {.why = BUF(1 << 20), .explain = BUF(1 << 20)};
	struct spf_walk      w = {0};
	struct spf_question  q = {.helo = STR("h.example.com"), .local = STR("a.b-c"), .domain = STR("example.com")};

	must(addr_parse(STR("192.0.2.7"), &q.ip));
	must(spf_check(f, &q, &a) != SPF_PENDING);
	must(facts_missing(f) == 0 && facts_count(f) < 1000);
	must(spf_walk(&w, f, STR("example.com"), txt));
	spf_walk_free(&w);
	spf_answer_free(&a);
	facts_destroy(f);
}

/* Whatever stood there, what we would put in its place is a record. */
static void
repair(struct str txt)
{
	struct spf_record r;
	struct addr       own;
	struct buf        out = BUF(1 << 20), why = BUF(1 << 20);

	must(addr_parse(STR("2001:db8::25"), &own));
	spf_repair(&out, &txt, 1, &own, 1);
	must(out.over || spf_parse(&r, buf_str(&out), &why));
	buf_free(&out);
	buf_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str        txt = input(data, size);
	struct spf_record r;
	struct buf        why = BUF(1 << 20);

	if (size > 4096)
		return 0;
	if (spf_parse(&r, txt, &why))
		must(why.n == 0);
	must(r.n <= SPF_TERMS_MAX);
	buf_free(&why);
	evaluate(txt);
	repair(txt);
	return 0;
}
