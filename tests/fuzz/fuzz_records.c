/* SPDX-License-Identifier: ISC */
#include "dkim/record.h"
#include "doctor/dmarc.h"

#include "tests/fuzz/fuzz.h"

static void
answer(void *arg, struct fact *f)
{
	const struct str *txt = arg;
	struct dns_record r = {.type = f->type, .ttl_s = 60, .data = *txt};
	struct dns_answer a = {.status = f->type == DNS_TXT ? DNS_OK : DNS_NODATA, .records = &r, .n = f->type == DNS_TXT};

	fact_put(f, &a);
}

static void
find_policy(struct str txt)
{
	struct facts_source source = {.ask = answer, .arg = &txt};
	struct facts       *f = facts_create(&source);
	struct dmarc        d;

	dmarc_find(&d, f, STR("a.b.example.com"));
	must(d.state != DMARC_PENDING);
	must((d.state == DMARC_FOUND) <= dmarc_is_record(d.record));
	facts_destroy(f);
}

/* The input as a key record of DKIM, and as the DMARC record of every name there is. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str         txt = input(data, size), rest = txt, name, value;
	struct dkim_record r;
	struct buf         why = BUF(1 << 20);

	if (!dkim_record_parse(&r, txt, &why))
		must(why.n > 0);
	else
		must(r.revoked == (r.key.n == 0));
	dkim_record_free(&r);
	while (tag_next(&rest, &name, &value))
		must(name.n + value.n <= size);
	buf_free(&why);
	find_policy(txt);
	return 0;
}
