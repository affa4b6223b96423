/* SPDX-License-Identifier: ISC */
#include "lib/mail/header.h"
#include "tests/fuzz/fuzz.h"

static void
walk_mailboxes(struct str value)
{
	struct address a;
	bool           bad = false;

	while (header_mailbox(&value, &a, &bad))
		must(a.local.n + a.domain.n <= value.n + 100000);
}

/* The fields' raw texts, put together, are the head. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str   head, body, rest;
	struct buf   again = BUF(1 << 20), unfolded = BUF(1 << 20);
	struct field f;
	bool         bad = false;

	header_split(input(data, size), &head, &body);
	must(head.n + body.n <= size);
	rest = head;
	while (header_next(&rest, &f, &bad)) {
		buf_add(&again, f.raw);
		buf_clear(&unfolded);
		header_unfold(&unfolded, f.value);
		must(unfolded.n <= f.value.n);
		walk_mailboxes(f.value);
	}
	must(str_eq(buf_str(&again), head));
	(void)header_count(head, STR("from"));
	buf_free(&again);
	buf_free(&unfolded);
	return 0;
}
