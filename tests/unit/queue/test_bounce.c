/* SPDX-License-Identifier: ISC */
/* Reports, read back with Python's email package where it is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/str.h"
#include "queue/bounce.h"

static const char original[] =
	"Received: from x\r\nSubject: the order\r\nFrom: ann@example.com\r\n\r\nbody\r\n";

static struct rcpt rcpts[] = {
	{.to = {"bob@example.net", 15}, .orcpt = {"rfc822;robert@example.net", 25}},
	{.to = {"eve@example.net", 15}},
};
static const struct envelope envelope = {
	.from = {"ann@example.com", 15},
	.rcpts = rcpts,
	.n_rcpts = 2,
	.accepted_ms = 1763892431000,
	.envid = {"QQ314159", 8},
	.msgid = {"<1@example.com>", 15},
	.header_from = {"example.com", 11},
};

static void
make(struct buf *out, enum bounce_kind kind, const struct envelope *e, const char *words)
{
	struct bounce_rcpt list[] = {
		{.rcpt = &rcpts[0],
	         .reply = {550, {5, 1, 1}, str_of(words)},
	         .mta = STR("mx.example.net")},
		{.rcpt = &rcpts[1], .reply = REPLY(451, 4, 4, 1, "connection timed out")},
	};
	bool eightbit;

	bounce_format(out,
	              &(struct bounce){
			      .kind = kind,
			      .id = STR("7kq2m"),
			      .hostname = STR("mail.example.com"),
			      .domain = STR("example.com"),
			      .now_ms = 1763893431000,
			      .expire_ms = 1764893431000,
			      .parent = STR("7kq31"),
			      .original = e,
			      .message = str_of(original),
			      .whole = true,
			      .rcpts = list,
			      .n_rcpts = 2,
		      },
	              &eightbit);
	assert_false(out->over);
	buf_z(out);
}

static void
fields_are_there(void **state)
{
	static const char *const wanted[] = {
		"From: Mail Delivery <MAILER-DAEMON@example.com>\r\n",
		"To: ann@example.com\r\n",
		"Auto-Submitted: auto-replied\r\n",
		"In-Reply-To: <1@example.com>\r\n",
		"multipart/report; report-type=delivery-status;\r\n",
		"Original-Envelope-Id: QQ314159\r\n",
		"Reporting-MTA: dns; mail.example.com\r\n",
		("Original-Recipient: rfc822;robert@example.net\r\nFinal-Recipient: rfc822; bob@example.net\r\n"
		 "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.net\r\n"
		 "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"),
		("Final-Recipient: rfc822; eve@example.net\r\nAction: failed\r\nStatus: 4.4.1\r\n"
		 "Diagnostic-Code: x-postern; 451 4.4.1 connection timed out\r\n"),
		"Content-Type: text/rfc822-headers\r\n\r\nReceived: from x\r\n",
	};
	struct buf out = BUF(65536);

	(void)state;
	make(&out, BOUNCE_FAILED, &envelope, "no such user");
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (strstr(out.p, wanted[i]) == NULL)
			fail_msg("missing: %s\n%s", wanted[i], out.p);
	assert_null(strstr(out.p, "\r\nbody\r\n"));
	buf_free(&out);
}

static void
a_peer_cannot_add_fields(void **state)
{
	struct buf out = BUF(65536);

	(void)state;
	make(&out, BOUNCE_FAILED, &envelope, "no\r\nFinal-Recipient: rfc822; x@y\n--=_7kq2m\xff");
	assert_null(strstr(out.p, "\nFinal-Recipient: rfc822; x@y"));
	assert_null(memchr(out.p, 0xff, out.n));
	buf_free(&out);
}

static void
full_comes_back_when_asked(void **state)
{
	struct envelope e = envelope;
	struct buf      out = BUF(65536);

	(void)state;
	e.ret = RET_FULL;
	make(&out, BOUNCE_FAILED, &e, "no");
	assert_non_null(strstr(out.p, "Content-Type: message/rfc822\r\n"));
	assert_non_null(strstr(out.p, "\r\n\r\nbody\r\n"));
	buf_free(&out);
}

static void
python_reads_it(void **state)
{
	static const char program[] =
		"import sys,email,email.policy\n"
		"m=email.message_from_binary_file(sys.stdin.buffer,policy=email.policy.default)\n"
		"assert m.get_content_type()=='multipart/report' and not m.defects,m.defects\n"
		"p=list(m.iter_parts()); assert len(p)==3,p\n"
		"assert p[0].get_content_type()=='text/plain' and 'bob@example.net' in p[0].get_content()\n"
		"s=p[1].get_payload(); assert p[1].get_content_type()=='message/delivery-status'\n"
		"assert len(s)==3,s\n"
		"assert s[1]['Action'] in('failed','delayed','relayed') and s[1]['Final-Recipient']=='rfc822; bob@example.net'\n"
		"assert m['Auto-Submitted']=='auto-replied' and m['Date'] and m['Message-ID']\n"
		"assert all(len(l)<=998 for l in m.as_bytes().split(b'\\n'))\n";

	(void)state;
	if (system("python3 -c 'import email' 2>/dev/null") != 0)
		skip();
	for (int kind = BOUNCE_FAILED; kind <= BOUNCE_RELAYED; kind++) {
		char       path[] = "/tmp/test_bounce.XXXXXX", script[64], command[256];
		int        fd = mkstemp(path);
		FILE      *f;
		struct buf out = BUF(65536);

		make(&out, (enum bounce_kind)kind, &envelope, "no such user");
		assert_int_equal(write(fd, out.p, out.n), (ssize_t)out.n);
		close(fd);
		snprintf(script, sizeof script, "%s.py", path);
		f = fopen(script, "w");
		assert_non_null(f);
		fputs(program, f);
		fclose(f);
		snprintf(command, sizeof command, "python3 %s <%s", script, path);
		assert_int_equal(system(command), 0);
		unlink(path);
		unlink(script);
		buf_free(&out);
	}
}

static void
domains_are_ours(void **state)
{
	static const struct {
		const char *header_from, *from, *domains[3];
		const char *answer;
	} rows[] = {
		{"example.com", "a@other.example", {"example.com"}, "example.com"},
		{"example.com", "a@bounces.example.com", {"example.com", "*.example.com"}, "bounces.example.com"},
		{"example.com", "a@bounces.example.com", {"example.com"}, "example.com"},
		{"example.com", "a@notexample.com", {"example.com", "notexample.com"}, "example.com"},
		{"news.example.com", "a@example.com", {"example.com", "*.example.com"}, "news.example.com"},
		{"x.shop.example", "", {"example.com", "*.shop.example"}, "x.shop.example"},
		{"stranger.example", "a@example.com", {"example.com"}, "example.com"},
		{"stranger.example",
	         "a@stranger.example",
	         {"*.shop.example", "example.com"},
	         "example.com"},
		{"stranger.example", "", {"*.shop.example"}, "mail.host.example"},
		{"", "", {NULL}, "mail.host.example"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct envelope e = {.header_from = str_of(rows[i].header_from),
		                     .from = str_of(rows[i].from)};
		struct str      domains[3], answer;
		size_t          n = 0;

		for (; n < 3 && rows[i].domains[n] != NULL; n++)
			domains[n] = str_of(rows[i].domains[n]);
		answer = bounce_domain(&e, domains, n, STR("mail.host.example"));
		if (!str_eq(answer, str_of(rows[i].answer)))
			fail_msg("row %zu: %.*s", i, (int)answer.n, answer.p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_there),
		cmocka_unit_test(a_peer_cannot_add_fields),
		cmocka_unit_test(full_comes_back_when_asked),
		cmocka_unit_test(python_reads_it),
		cmocka_unit_test(domains_are_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
