/* SPDX-License-Identifier: ISC */
#include "lib/proc/verdicts.h"
#include "tests/fuzz/fuzz.h"

enum { REPORT_MOST = 4 << 20 };

static void
changed(const struct verdict *now, const char *was)
{
	must(now->id != NULL && now->status != NULL && was != NULL);
}

static void
take(struct verdicts *v, struct str only, struct str rows, struct str gates)
{
	verdicts_take(v, &(struct wire_examine){.only = only},
	              &(struct wire_findings){.rows = rows, .gates = gates}, changed);
}

/*
 * Frames of a doctor that was taken over: pieces are what was asked for, rows and gates, by turns, a
 * key in between. Gates that are told once more say the same.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct verdicts *v = verdicts_create();
	struct str       in = input(data, size);
	struct buf       gates = BUF(REPORT_MOST), again = BUF(REPORT_MOST), report = BUF(REPORT_MOST);

	while (in.n > 0) {
		struct str only = take_piece(&in), rows = take_piece(&in), text = take_piece(&in);

		take(v, only, rows, text);
		(void)verdicts_key(v, &(struct wire_key_state){take_piece(&in), STR("K"), text});
	}
	verdicts_gates(v, &gates);
	take(v, STR("no such check"), STR_NONE, buf_str(&gates));
	verdicts_gates(v, &again);
	must(gates.n == again.n);
	verdicts_report(v, &report);
	must(!report.over);
	verdicts_destroy(v);
	buf_free(&gates);
	buf_free(&again);
	buf_free(&report);
	return 0;
}
