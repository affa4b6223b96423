/* SPDX-License-Identifier: ISC */
#include "lib/util/buf.h"
#include "smtpd/recode.h"
#include "smtpd/refold.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 8 << 20 };

static void
collect(void *arg, struct str run, bool in_body UNUSED)
{
	buf_add(arg, run);
}

/*
 * Lines of text from the input, those that begin with an 'L' made long: what comes out has no long
 * line, and comes out of a second run as it is.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf  in = BUF(OUT_MAX), out = BUF(OUT_MAX), again = BUF(OUT_MAX);
	struct str  rest = input(data, size), line;
	const char *why;

	while (str_cut(&rest, '\n', &line)) {
		for (size_t i = 0; i < line.n; i++)
			if (line.p[i] != '\r' && line.p[i] != '\0')
				buf_addc(&in, line.p[i]);
		for (int i = 0; str_starts(line, STR("L")) && i < 1100; i++)
			buf_addc(&in, "=- \xc3" "a"[i % 5]);
		buf_addz(&in, "\r\n");
	}
	why = recode(buf_str(&in), collect, &out);
	if (why == NULL && !out.over) {
		must(!refold_is_needed(buf_str(&out)));
		must(recode(buf_str(&out), collect, &again) == NULL);
		must(str_eq(buf_str(&out), buf_str(&again)));
	}
	buf_free(&in);
	buf_free(&out);
	buf_free(&again);
	return 0;
}
