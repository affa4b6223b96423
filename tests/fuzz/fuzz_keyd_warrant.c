/* SPDX-License-Identifier: ISC */
#include "dkim/warrant.h"
#include "lib/mail/header.h"
#include "tests/fuzz/fuzz.h"

static bool
has_own_author(struct str fields)
{
	struct field   f;
	struct address a;
	bool           bad = false, any = false;

	while (header_next(&fields, &f, NULL)) {
		struct buf domain = BUF(DOMAIN_MAX);
		bool       own;

		if (!str_ieq(f.name, STR("from")))
			continue;
		any = true;
		own = header_mailbox(&f.value, &a, &bad) && domain_canonical(&domain, a.domain) &&
		      (str_eq(buf_str(&domain), STR("example.org")) ||
		       str_ends(buf_str(&domain), STR(".example.org")));
		buf_free(&domain);
		if (!own)
			return false;
	}
	return any;
}

/*
 * The fields, an empty line, and the signature's own field. What is signed has an
 * author of the domain, and names domain, selector and no other.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct warrant keys[] = {
		{{"example.org", 11}, {"s1", 2}, KEY_RSA},
		{{"example.org", 11}, {"s1", 2}, KEY_ED25519},
	};
	struct str in = input(data, size), fields, last;

	header_split(in, &fields, &last);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (warrant_check(&keys[i], fields, last) == NULL) {
			must(has_own_author(fields));
			must(str_find_str(last, STR("d=example.org")) > 0);
			must(str_find_str(last, STR("s=s1")) > 0);
			must(str_find_str(last, STR("l=")) < 0 || str_find_str(last, STR("l=")) >
			                                                  str_find_str(last, STR("bh=")));
		}
	return 0;
}
