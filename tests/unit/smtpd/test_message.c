/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "lib/proc/wire.h"
#include "smtpd/message.h"

#define S(z) {z, sizeof(z) - 1}
#define RECEIVED "Received: by test\r\n"
#define DATE "Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"
#define ID "Message-ID: <$ID@mail.example.com>\r\n"
#define REST DATE ID

static struct config config = {.hostname = S("mail.example.com")};
static struct trust_conf loopback;

static const struct row {
	const char *name;
	const char *in;  /* as sent before the dot */
	const char *out; /* NULL: refused; $ID stands for the id */
	unsigned    code, fixed, hops;
	const char *author, *why;
} rows[] = {
	{"a whole message stays as it is",
	 "From: A <a@example.com>\r\nDate: x\r\nMessage-ID: <1@x>\r\nX-Odd :  y \r\n\tz\r\n\r\nbody\r\n",
	 RECEIVED "From: A <a@example.com>\r\nDate: x\r\nMessage-ID: <1@x>\r\nX-Odd :  y \r\n\tz\r\n\r\nbody\r\n", 250, 0, 0,
	 "example.com", NULL},
	{"date and id are added", "From: a@example.com\r\n\r\nbody\r\n", RECEIVED "From: a@example.com\r\n" REST "\r\nbody\r\n",
	 250, FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"empty ones are replaced", "From: a@example.com\r\nDate:\r\nMessage-ID: \r\n \r\n\r\n",
	 RECEIVED "From: a@example.com\r\n" REST "\r\n", 250, FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"no From", "Subject: s\r\n\r\nbody\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"Bcc goes with its folds", "From: a@example.com\r\nBcc: x@y.net,\r\n z@y.net\r\nSubject: s\r\nBCC: q@y.net\r\n\r\n",
	 RECEIVED "From: a@example.com\r\nSubject: s\r\n" REST "\r\n", 250, FIXED_BCC | FIXED_DATE | FIXED_MESSAGE_ID, 0,
	 "example.com", NULL},
	{"Return-Path and Resent-Bcc go", "Return-Path: <a@b>\r\nFrom: a@example.com\r\nResent-Bcc: x\r\n\r\n",
	 RECEIVED "From: a@example.com\r\n" REST "\r\n", 250,
	 FIXED_BCC | FIXED_RETURN_PATH | FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"addresses are completed", "From: root (Cron)\r\nTo: ann, Bob <bob>, \"C, D\" <c@x.net>\r\nReply-To: root\r\n\r\n",
	 RECEIVED "From: root@own.example.com (Cron)\r\nTo: ann@own.example.com, Bob <bob@own.example.com>, "
	          "\"C, D\" <c@x.net>\r\nReply-To: root@own.example.com\r\n" REST "\r\n",
	 250, FIXED_ADDRESS | FIXED_DATE | FIXED_MESSAGE_ID, 0, "own.example.com", NULL},
	{"groups and odd lists pass", "From: a@example.com\r\nTo: undisclosed-recipients:;\r\nCc: @@nonsense@@\r\n\r\n",
	 RECEIVED "From: a@example.com\r\nTo: undisclosed-recipients:;\r\nCc: @@nonsense@@\r\n" REST "\r\n", 250,
	 FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"hops are counted", "Received: 1\r\nReceived: 2\r\nFrom: a@example.com\r\n\r\n",
	 RECEIVED "Received: 1\r\nReceived: 2\r\nFrom: a@example.com\r\n" REST "\r\n", 250, FIXED_DATE | FIXED_MESSAGE_ID, 2,
	 "example.com", NULL},
	{"several authors of ours", "From: a@example.com, b@own.example.com\r\nSender: a@example.com\r\n\r\n", NULL, 550, 0, 0,
	 NULL, "content"},
	{"one foreign author", "From: b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "from-refused"},
	{"one foreign author behind one of ours", "From: a@example.com, b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a foreign author behind a display name that lies", "From: \"a@example.com\" <b@other.net>\r\n\r\n", NULL, 550, 0, 0,
	 NULL, "from-refused"},
	{"a foreign author in folds and comments", "From: (x)\r\n b (y) @ (z)\r\n\tother.net\r\n\r\n", NULL, 550, 0, 0, NULL,
	 "from-refused"},
	{"a foreign Sender", "From: a@example.com\r\nSender: b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "from-refused"},
	{"a foreign Resent-From", "Resent-From: b@other.net\r\nFrom: a@example.com\r\n\r\n", NULL, 550, 0, 0, NULL, "from-refused"},
	{"two From fields", "From: a@example.com\r\nFrom: b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"two From fields in other letters", "From: a@example.com\r\nFROM : a@example.com\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"an empty From", "From:\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a From without an address", "From: Ann Other\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a From of nobody", "From: Nobody <>\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a From that is broken", "From: a@example.com b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"no header at all", "just text\r\nmore\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a header that breaks off", "From: a@example.com\r\njust text\r\n\r\nmore\r\n",
	 RECEIVED "From: a@example.com\r\n" REST "\r\njust text\r\n\r\nmore\r\n", 250,
	 FIXED_SEPARATOR | FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"a mailbox file's line", "From a@example.com Fri Jan  2\r\nFrom: a@example.com\r\n\r\n",
	 RECEIVED "From: a@example.com\r\n" REST "\r\n", 250, FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"an empty header", "\r\nbody\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"an empty message", "", NULL, 550, 0, 0, NULL, "content"},
	{"a header alone", "From: a@example.com\r\n", RECEIVED "From: a@example.com\r\n" REST "\r\n", 250,
	 FIXED_DATE | FIXED_MESSAGE_ID, 0, "example.com", NULL},
	{"a continuation without a field", " From: b@other.net\r\nFrom: a@example.com\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a continuation without a field, and no field behind it", " From: b@other.net\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"a blank in a field's name", "From: a@example.com\r\nMy Field: x\r\nSubject: s\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"MIME-Version is added", "From: a@example.com\r\nContent-Type: text/plain\r\n\r\n",
	 RECEIVED "From: a@example.com\r\nContent-Type: text/plain\r\n" REST "MIME-Version: 1.0\r\n\r\n", 250,
	 FIXED_DATE | FIXED_MESSAGE_ID | FIXED_MIME_VERSION, 0, "example.com", NULL},
	{"results of authentication in our name go, those of others stay",
	 "Authentication-Results: Mail.Example.COM; spf=pass\r\nFrom: a@example.com\r\nAuthentication-Results: mx.other.net; spf=pass\r\n\r\n",
	 RECEIVED "From: a@example.com\r\nAuthentication-Results: mx.other.net; spf=pass\r\n" REST "\r\n", 250,
	 FIXED_DATE | FIXED_MESSAGE_ID | FIXED_AUTH_RESULTS, 0, "example.com", NULL},
	{"a field twice", "From: a@example.com\r\nSubject: a\r\nsubject: b\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
	{"an empty Date beside a good one", "Date: \r\nFrom: a@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n",
	 RECEIVED "From: a@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n", 250, 0, 0, "example.com", NULL},
	{"8-bit in the header", "From: a@example.com\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n", NULL, 550, 0, 0, NULL, "content"},
};

static struct policy policy = {.config = &config};

static struct fixup
plan(void)
{
	return (struct fixup){.policy = &policy,
	                      .received = STR(RECEIVED),
	                      .own_domain = STR("own.example.com"),
	                      .sender = STR("env@example.com"),
	                      .id = (uint64_t)1767323045000 << 20,
	                      .now_ms = 1767323045000};
}

static int
set_up(void **state)
{
	static struct str more[] = {S("example.com"), S("own.example.com")};

	(void)state;
	config.domains = (struct strs){more, 2};
	assert_true(cidr_parse(STR("127.0.0.0/8"), &loopback.net));
	assert_true(addr_parse(STR("127.0.0.1"), &policy.client));
	config.trusts = &loopback;
	config.n_trusts = 1;
	return 0;
}

static void
expand(struct buf *out, const char *text)
{
	struct str rest = str_of(text);
	ptrdiff_t  at;

	while ((at = str_find_str(rest, STR("$ID"))) >= 0) {
		buf_add(out, str_sub(rest, 0, (size_t)at));
		id_format(out, plan().id);
		rest = str_skip(rest, (size_t)at + 3);
	}
	buf_add(out, rest);
}

static void
feed(struct message *m, struct str in, size_t piece)
{
	while (in.n > 0) {
		size_t n = message_feed(m, str_sub(in, 0, piece));

		assert_int_equal(n, in.n < piece ? in.n : piece);
		in = str_skip(in, n);
	}
}

static void
play(struct messages *ms, const struct row *row, size_t piece)
{
	struct fixup    p = plan();
	struct message *m = message_create(ms, &p, 100000);
	struct buf      want = BUF(8192);
	struct reply    r;

	message_expect(m, DATA_COUNTED, false);
	feed(m, str_of(row->in), piece);
	r = message_finish(m);
	assert_int_equal(r.code, row->code);
	if (row->out != NULL) {
		expand(&want, row->out);
		if (!str_eq(buf_str(&m->text), buf_str(&want)))
			fail_msg("got:\n%.*s", (int)m->text.n, m->text.p);
		assert_int_equal(m->fix.facts.fixed, row->fixed);
		assert_int_equal(m->fix.facts.hops, row->hops);
		assert_true(str_eq(m->fix.header_from, str_of(row->author)));
		assert_int_equal(message_size(m), want.n);
	} else {
		assert_string_equal(m->why, row->why);
		assert_true(r.text.n > 0);
	}
	message_destroy(ms, m);
	buf_free(&want);
}

static void
headers_are_repaired_however_they_come(void **state)
{
	static const size_t pieces[] = {100000, 1, 2, 3, 7, 17};
	struct messages     ms;

	(void)state;
	messages_init(&ms);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("# %s\n", rows[i].name);
		for (size_t j = 0; j < ARRAY_LEN(pieces); j++)
			play(&ms, &rows[i], pieces[j]);
	}
	messages_free(&ms);
}

/* The body of mail that nobody will sign is not. */
static void
the_body_is_hashed_for_a_key(void **state)
{
	static struct dkim_key_conf key = {.selector = S("s1")};
	static struct dkim_conf     dkim = {.domain = S("own.example.com"), .keys = &key, .n_keys = 1};
	static const struct {
		bool        sign;
		const char *from;
		bool        hashed;
	} cases[] = {
		{true, "a@own.example.com", true},
		{true, "a@example.com", false},
		{false, "a@own.example.com", false},
		{true, "a@own.example.com", true},
	};
	struct messages  ms;
	struct bodyhash *h = bodyhash_create(CANON_RELAXED);

	(void)state;
	messages_init(&ms);
	config.dkim = &dkim;
	config.n_dkim = 1;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixup    p = plan();
		struct buf      bh = BUF(BODYHASH_TEXT), again = BUF(BODYHASH_TEXT);
		struct message *m = message_create(&ms, &p, 100000);
		char            text[100];

		config.dkim_sign = cases[i].sign;
		snprintf(text, sizeof text, "From: %s\r\n\r\nsome  text \r\n\r\n.\r\n", cases[i].from);
		message_expect(m, DATA_DOTTED, false);
		(void)message_feed(m, str_of(text));
		assert_true(m->data.ended);
		assert_int_equal(message_finish(m).code, 250);
		message_hash(m, &bh);
		bodyhash_restart(h, CANON_RELAXED);
		bodyhash_feed(h, STR("some  text \r\n\r\n"));
		bodyhash_finish_text(h, &again);
		assert_true(str_eq(buf_str(&bh), cases[i].hashed ? buf_str(&again) : STR_NONE));
		assert_false(m->eightbit);
		message_destroy(&ms, m);
		buf_free(&bh);
		buf_free(&again);
	}
	config.dkim_sign = false;
	config.dkim = NULL;
	config.n_dkim = 0;
	messages_free(&ms);
	bodyhash_destroy(h);
}

static void
too_much_is_refused(void **state)
{
	struct messages ms;
	struct fixup    p = plan();
	struct message *m;

	(void)state;
	messages_init(&ms);
	m = message_create(&ms, &p, 30);
	message_expect(m, DATA_DOTTED, false);
	(void)message_feed(m, STR("From: a@example.com\r\n\r\n1234567\r\n.\r\n"));
	assert_int_equal(message_finish(m).code, 552);
	assert_string_equal(m->why, "too-big");
	message_destroy(&ms, m);

	/* A header without end must not fill the memory. */
	m = message_create(&ms, &p, 100 << 20);
	message_expect(m, DATA_DOTTED, false);
	for (size_t i = 0; i < 30000; i++)
		(void)message_feed(m, STR("X-Field: 0123456789\r\n"));
	assert_true(m->raw.cap <= 2 * MESSAGE_HEAD_MAX);
	(void)message_feed(m, STR(".\r\n"));
	assert_int_equal(message_finish(m).code, 552);
	message_destroy(&ms, m);

	/* Nor may one that repair makes longer than any frame. */
	m = message_create(&ms, &p, 100 << 20);
	message_expect(m, DATA_DOTTED, false);
	(void)message_feed(m, STR("From: a@example.com\r\nTo: a\r\n"));
	for (size_t i = 0; i < 20000; i++)
		(void)message_feed(m, STR(" ,a,b,c\r\n"));
	(void)message_feed(m, STR(".\r\n"));
	assert_false(message_wants_spill(m));
	assert_int_equal(message_finish(m).code, 552);
	message_destroy(&ms, m);
	messages_free(&ms);
}

static void
large_ones_go_to_the_descriptor(void **state)
{
	struct messages ms;
	struct fixup    p = plan();
	struct message *m;
	FILE           *f = tmpfile();
	uint64_t        fed = 0;

	(void)state;
	assert_non_null(f);
	messages_init(&ms);
	m = message_create(&ms, &p, 100 << 20);
	message_expect(m, DATA_DOTTED, false);
	(void)message_feed(m, STR("From: a@example.com\r\n\r\n"));
	while (fed < 3 << 20) {
		(void)message_feed(m, STR("0123456789012345678901234567890123456789\r\n"));
		fed += 42;
		if (message_wants_spill(m)) {
			assert_in_range(m->text.n, 190 << 10, 193 << 10); /* with the piece that it came in 256 KiB */
			message_spill(m, dup(fileno(f)));
		}
	}
	assert_true(m->text.n < 64 << 10);
	(void)message_feed(m, STR(".\r\n"));
	assert_int_equal(message_finish(m).code, 250);
	assert_int_equal(m->text.n, 0);
	assert_int_equal(message_size(m), m->written);
	assert_int_equal(lseek(fileno(f), 0, SEEK_END), (off_t)m->written);
	message_destroy(&ms, m);
	fclose(f);

	/* Without a descriptor it ends as a temporary refusal, not in endless memory. */
	m = message_create(&ms, &p, 100 << 20);
	message_expect(m, DATA_DOTTED, false);
	(void)message_feed(m, STR("From: a@example.com\r\n\r\n"));
	while (!message_wants_spill(m))
		(void)message_feed(m, STR("0123456789012345678901234567890123456789\r\n"));
	message_spill(m, -1);
	for (size_t i = 0; i < 100000; i++)
		(void)message_feed(m, STR("0123456789012345678901234567890123456789\r\n"));
	assert_int_equal(m->text.n, 0);
	(void)message_feed(m, STR(".\r\n"));
	assert_int_equal(message_finish(m).code, 451);
	message_destroy(&ms, m);
	messages_free(&ms);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_repaired_however_they_come),
		cmocka_unit_test(the_body_is_hashed_for_a_key),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(large_ones_go_to_the_descriptor),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
