/* SPDX-License-Identifier: ISC */
#include "lib/mail/address.h"
#include "tests/fuzz/fuzz.h"

/* An address that was accepted is, written out, accepted again and written alike. */
static void
check_again(struct address a)
{
	struct buf     once = BUF(1000), twice = BUF(1000);
	struct address b;

	address_format(&once, a);
	must(!once.over);
	must(address_parse(buf_str(&once), &b) == ADDRESS_OK);
	address_format(&twice, b);
	must(str_eq(buf_str(&once), buf_str(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

static void
check_domain(struct str domain)
{
	struct buf once = BUF(1000), twice = BUF(1000);

	if (domain_canonical(&once, domain)) {
		must(domain_canonical(&twice, buf_str(&once)));
		must(str_eq(buf_str(&once), buf_str(&twice)));
		(void)domain_matches(buf_str(&once), STR("*.example.com"));
	}
	buf_free(&once);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str     rest = input(data, size);
	struct address a;

	if (address_parse(rest, &a) == ADDRESS_OK) {
		check_again(a);
		check_domain(a.domain);
		(void)address_matches(a, STR("*@example.com"));
		(void)address_has_hidden_route(a);
	}
	check_domain(rest);
	if (address_parse_path(&rest, &a) == ADDRESS_OK && !address_is_null(a))
		check_again(a);
	must(rest.n <= size);
	return 0;
}
