/* SPDX-License-Identifier: ISC */
#include "delivery/replies.h"
#include "tests/fuzz/fuzz.h"

static void
check_reply(struct reply r)
{
	struct buf   line = BUF(1 << 20);
	struct reply again;

	must(r.code >= 200 && r.code <= 599);
	reply_format(&line, r);
	must(str_find(buf_str(&line), '\n') < 0 && str_find(buf_str(&line), '\r') < 0);
	must(reply_parse(buf_str(&line), &again));
	must(again.code == r.code);
	buf_free(&line);
}

/* The input as a server's lines. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str     rest = input(data, size), line;
	struct replies replies;
	struct reply   r;

	replies_init(&replies);
	while (str_cut(&rest, '\n', &line)) {
		enum replies_state state = replies_line(&replies, line, &r);

		if (state == REPLIES_BROKEN)
			break;
		if (state == REPLIES_WHOLE)
			check_reply(r);
	}
	replies_free(&replies);
	return 0;
}
