/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "lib/mail/header.h"
#include "lib/proc/config.h"
#include "smtpd/fixup.h"
#include "tests/fuzz/fuzz.h"

enum { NOW_S = 1767323045, LINE_MAX = 998 };

static struct str
received(void)
{
	return STR("Received: by mail.example.com; Fri, 02 Jan 2026 03:04:05 +0000\r\n");
}

/* Nothing that would let a reader see another header than we do. */
static void
check_head(struct str whole, enum listen_lint mode)
{
	static const char *const gone[] = {"bcc", "resent-bcc", "return-path"};
	static const char *const once[] = {"date", "from", "message-id"};
	struct str               head, body, rest, line;
	struct field             f;
	bool                     bad = false;

	header_split(whole, &head, &body);
	must(body.n == 0 && head.n + 2 == whole.n);
	rest = head;
	while (header_next(&rest, &f, &bad))
		must(f.name.n > 0);
	must(!bad);
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		must(header_count(head, str_of(gone[i])) == 0);
	for (size_t i = 0; i < ARRAY_LEN(once) && mode != LISTEN_LINT_OFF; i++)
		must(header_count(head, str_of(once[i])) >= 1);
	while (str_cut(&head, '\n', &line))
		must(line.n == 0 || (line.n <= LINE_MAX + 1 && line.p[line.n - 1] == '\r'));
}

/* What has been repaired once needs no repair. */
static void
repeat(const struct fixup *plan, struct str once)
{
	struct fixup_result r;
	struct buf          twice = BUF(1 << 21);
	struct str          head = str_sub(once, received().n, once.n - received().n - 2);

	fixup_result_init(&r);
	fixup_reset(&r);
	must(str_starts(once, received()));
	must(fixup_head(plan, head, &twice, &r).code == 250);
	must(r.facts.fixed == 0 && str_eq(buf_str(&twice), once));
	fixup_result_free(&r);
	buf_free(&twice);
}

/* The first octet chooses listener and parameters, the rest is the header. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct str own[] = {{"example.com", 11}, {"*.example.com", 13}};
	struct dkim_key_conf key = {.selector = STR("s1")};
	struct dkim_conf     dkim = {.domain = STR("example.com"), .keys = &key, .n_keys = 1};
	struct config config = {.hostname = STR("mail.example.com"), .domains = {own, 2}, .dkim_sign = true, .dkim = &dkim, .n_dkim = 1};
	struct policy policy = {.config = &config};
	struct str    in = input(data, size);
	unsigned      how = take_octet(&in);
	struct fixup  plan = {.policy = &policy, .received = received(), .own_domain = STR("example.com"),
	                      .sender = (how & 4) != 0 ? STR_NONE : STR("bounce@example.com"), .id = (uint64_t)NOW_S << 30,
	                      .now_ms = (int64_t)NOW_S * 1000, .lint = (enum listen_lint)(how % 3),
	                      .says_utf8 = (how & 8) != 0, .says_eightbit = (how & 16) != 0};
	struct buf          head = BUF(1 << 20), out = BUF(1 << 21);
	struct fixup_result r;

	add_clean(&head, in);
	if (!str_ends(buf_str(&head), STR("\n"))) /* data.c sees to it */
		buf_addz(&head, "\r\n");
	fixup_result_init(&r);
	fixup_reset(&r);
	if (fixup_head(&plan, buf_str(&head), &out, &r).code == 250) {
		check_head(buf_str(&out), plan.lint);
		if (r.facts.fixed == 0 || r.rest.n == 0)
			repeat(&plan, buf_str(&out));
	} else {
		must(r.verdict.refused < LINT_RULES || r.why != NULL);
	}
	fixup_result_free(&r);
	buf_free(&head);
	buf_free(&out);
	return 0;
}
