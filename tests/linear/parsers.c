/* SPDX-License-Identifier: ISC */
/*
 * parsers - runs each parser of what others send on an input and on one of twice the size.
 *
 * Prints a line for each of the two, "NAME OCTETS", in the order in which `measured` is called; tests/linear/run
 * counts the instructions of that function.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/replies.h"
#include "dkim/bodyhash.h"
#include "dkim/fields.h"
#include "lib/dns/dns.h"
#include "lib/mail/envelope.h"
#include "lib/mail/header.h"
#include "lib/proc/config.h"
#include "queue/part.h"
#include "smtpd/data.h"
#include "smtpd/fixup.h"
#include "smtpd/params.h"

enum { INPUT_MAX = 64 * 1024 * 1024, HEADER_LINES = 50000, ADDRESSES = 250000, TOKENS = 30000, MANY = 1000 };

/* ---- inputs ---- */

static void
repeat(struct buf *b, const char *head, const char *unit, size_t n)
{
	buf_addz(b, head);
	for (size_t i = 0; i < n; i++)
		buf_addz(b, unit);
}

/* Units with their number in place of the %. */
static void
number(struct buf *b, const char *unit, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (const char *p = unit; *p != '\0'; p++) {
			if (*p == '%')
				buf_addn(b, i);
			else
				buf_addc(b, *p);
		}
}

static void
make_dns(struct buf *b, size_t n)
{
	static const char question[] = "\1x\7example\0\0\20\0\1"; /* TXT */
	static const char record[] = "\300\14\0\20\0\1\0\0\0\74\0\5\4abcd";
	char              head[12] = {0, 1, (char)0x81, (char)0x80, 0, 1, (char)(n >> 8), (char)n};

	buf_add(b, (struct str){head, sizeof head});
	buf_add(b, (struct str){question, sizeof question - 1});
	for (size_t i = 0; i < n; i++)
		buf_add(b, (struct str){record, sizeof record - 1});
}

/* ---- parsers ---- */

static void
parse_address(struct str s)
{
	struct address     a;
	enum address_error error = address_parse_path(&s, &a);

	(void)error;
}

static void
walk_fields(struct str s)
{
	struct field f;
	bool         bad = false;
	struct buf   text = BUF(INPUT_MAX);

	while (header_next(&s, &f, &bad)) {
		buf_clear(&text);
		header_unfold(&text, f.value);
	}
	buf_free(&text);
}

static void
walk_mailboxes(struct str s)
{
	struct address a;
	bool           bad = false;

	while (header_mailbox(&s, &a, &bad))
		;
}

static void
repair(struct str head)
{
	static struct trust_conf trust = {.net = {.addr = {.family = 4, .ip = {127}}, .bits = 8}};
	static struct str        domains[] = {{"example.com", 11}};
	struct config            c = {.hostname = STR("mail.example.com"),
	                              .domains = {domains, 1},
	                              .trusts = &trust,
	                              .n_trusts = 1};
	struct policy            policy = {.config = &c, .client = {.family = 4, .ip = {127, 0, 0, 1}}};
	struct fixup             plan = {.policy = &policy,
	                                 .received = STR("Received: x\r\n"),
	                                 .own_domain = STR("example.com"),
	                                 .sender = STR("a@example.com"),
	                                 .now_ms = 1795428431102};
	struct fixup_result      result;
	struct buf               out = BUF(INPUT_MAX);

	fixup_result_init(&result);
	fixup_reset(&result);
	(void)fixup_head(&plan, head, &out, &result);
	fixup_result_free(&result);
	buf_free(&out);
}

static void
read_envelope(struct str s)
{
	struct envelope e;
	struct buf      again = BUF(INPUT_MAX);

	if (envelope_parse(&e, s)) {
		envelope_format(&again, &e);
		envelope_free(&e);
	}
	buf_free(&again);
}

static void
read_part(struct str s)
{
	struct part_text p;

	while (part_parse(&s, &p))
		part_free(&p);
}

static void
read_replies(struct str s)
{
	struct replies r;
	struct reply   reply;
	struct str     line;

	replies_init(&r);
	while (str_cut(&s, '\n', &line))
		if (replies_line(&r, line, &reply) == REPLIES_BROKEN)
			break;
	replies_free(&r);
}

static void
read_dns(struct str s)
{
	static struct dns_record records[64 * 1024];
	struct buf               scratch = BUF(INPUT_MAX);
	size_t                   n;

	(void)dns_parse(s, DNS_TXT, records, ARRAY_LEN(records), &n, &scratch);
	buf_free(&scratch);
}

static void
choose_fields(struct str s)
{
	struct buf names = BUF(INPUT_MAX), data = BUF(INPUT_MAX);

	fields_select(s, CANON_RELAXED, &names, &data);
	buf_free(&names);
	buf_free(&data);
}

static void
read_config(struct str s)
{
	config_unref(config_read(s, 1));
}

static void
take(void *arg, struct str run)
{
	bodyhash_feed(arg, run);
}

static void
read_body(struct str s)
{
	struct bodyhash *hash = bodyhash_create(CANON_RELAXED);
	struct buf       text = BUF(BODYHASH_TEXT);
	struct data      d;

	data_init(&d, DATA_DOTTED, true);
	(void)data_feed(&d, s, take, hash);
	bodyhash_finish_text(hash, &text);
	bodyhash_destroy(hash);
	buf_free(&text);
}

static void
read_params(struct str s)
{
	struct buf         scratch = BUF(INPUT_MAX);
	struct rcpt_params rcpt;
	struct mail_params mail;

	(void)params_rcpt(s, &rcpt, &scratch);
	(void)params_mail(s, &mail, &scratch);
	buf_free(&scratch);
}

/* ---- the table ---- */

static const struct row {
	const char *name;
	void (*parse)(struct str s);
	const char *head, *unit; /* `unit` repeated, its number in place of % */
	size_t      n;
	void (*make)(struct buf *b, size_t n);
} rows[] = {
	{"an address that quotes and quotes", parse_address, "<\"", "\\a", TOKENS, NULL},
	{"an address of nothing but dots", parse_address, "<", "a.", TOKENS, NULL},
	{"a source route", parse_address, "<@a", ",@a", TOKENS, NULL},
	{"100,000 header lines", walk_fields, "", "X-%: a b\r\n", HEADER_LINES, NULL},
	{"one field of 100,000 lines", walk_fields, "X:", " a\r\n", HEADER_LINES, NULL},
	{"500,000 addresses", walk_mailboxes, "", "a%@example.net, ", ADDRESSES, NULL},
	{"names without an address", walk_mailboxes, "", "a \"b\" (c) ", TOKENS, NULL},
	{"comments in comments", walk_mailboxes, "", "(", TOKENS, NULL},
	{"groups in groups", walk_mailboxes, "", "a:", TOKENS, NULL},
	{"repairs of many lines", repair, "From: a@example.com\r\n", "X-%: a\r\n", TOKENS, NULL},
	{"repairs of many authors", repair, "From: ", "a%@example.com,\r\n ", TOKENS, NULL},
	{"repairs of many From", repair, "", "From: a@example.com\r\n", TOKENS, NULL},
	{"repairs of many hops", repair, "From: a@example.com\r\n", "Received: x\r\n", TOKENS, NULL},
	{"repairs of many copies", repair, "From: a@example.com\r\n", "Bcc: b@example.com\r\n", TOKENS, NULL},
	{"repairs of one long line", repair, "From: a@example.com\r\nX: ", "abc def ", TOKENS, NULL},
	{"repairs of one long word", repair, "From: a@example.com\r\nX: ", "abcdef", TOKENS, NULL},
	{"an envelope", read_envelope, "from: a@example.com\nsize: 4\n",
	 "to: b%@example.net\norcpt: rfc822;b%@example.net\nnotify: failure,delay\n", HEADER_LINES / 2, NULL},
	{"the lines of a part", read_part, "part: 0 wait 0 0 - example.net 0-99999\n", "rcpt: % sent 250 2.0.0 ok\n",
	 HEADER_LINES, NULL},
	{"an endless reply", read_replies, "", "250-abc def ghi\n", TOKENS, NULL},
	{"many replies", read_replies, "", "250 2.0.0 abc def ghi\n", TOKENS, NULL},
	{"a reply of one endless line", read_replies, "", "250 2.0.0 abc ", HEADER_LINES, NULL},
	{"a DNS answer", read_dns, NULL, NULL, 1500, make_dns},
	{"fields to sign", choose_fields, "From: a@example.com\r\n", "To: b%@example.net\r\n", HEADER_LINES, NULL},
	{"fields not to sign", choose_fields, "From: a@example.com\r\n", "X-%: b\r\n", HEADER_LINES, NULL},
	{"a configuration of domains", read_config, "domains", " d%.example", MANY, NULL},
	{"a configuration of users", read_config, "", "user u% { from *@d%.example }\n", MANY, NULL},
	{"a configuration of networks", read_config, "trust", " fd00:%::/64", MANY, NULL},
	{"lines that begin with dots", read_body, "", ".. a  b \r\n", TOKENS, NULL},
	{"line feeds alone", read_body, "", "\n", TOKENS, NULL},
	{"empty lines", read_body, "", "\r\n", TOKENS, NULL},
	{"xtext", read_params, " ORCPT=rfc822;", "+41", HEADER_LINES, NULL},
	{"parameters", read_params, "", " NOTIFY=NEVER", HEADER_LINES, NULL},
};

/* Found by its name: neither inlined nor left out. */
__attribute__((noinline, used)) void measured(const struct row *row, struct str input);

void
measured(const struct row *row, struct str input)
{
	row->parse(input);
}

static void
play(const struct row *row, size_t n)
{
	struct buf b = BUF(INPUT_MAX);

	if (row->make != NULL)
		row->make(&b, n);
	else if (strchr(row->unit, '%') == NULL)
		repeat(&b, row->head, row->unit, n);
	else {
		buf_addz(&b, row->head);
		number(&b, row->unit, n);
	}
	if (b.over)
		abort();
	printf("%s\t%zu\n", row->name, b.n);
	measured(row, buf_str(&b));
	buf_free(&b);
}

int
main(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		play(&rows[i], rows[i].n);
		play(&rows[i], 2 * rows[i].n);
	}
	return 0;
}
