/* SPDX-License-Identifier: ISC */
#include "queue/bounce.h"

#include "lib/mail/address.h"
#include "lib/mail/date.h"
#include "lib/mail/header.h"
#include "lib/util/encode.h"
#include "lib/util/time.h"

enum { FIELD_MAX = 900, WRAP = 72 };

struct wording {
	const char *subject, *action;
	const char *first; /* the sentence above the list */
};

static const struct wording wordings[] = {
	[BOUNCE_FAILED] =
		{"Your message could not be delivered", "failed",
                 "Your message could not be delivered to the recipients below. This is final:\r\n"
                 "no further attempt will be made for them."},
	[BOUNCE_DELAYED] =
		{"Your message is delayed", "delayed",
                 "Your message has not been delivered to the recipients below yet. You need not\r\n"
                 "do anything: it is tried again by itself."},
	[BOUNCE_RELAYED] =
		{"Your message was handed on", "relayed",
                 "Your message was accepted by the server of the recipients below. That server\r\n"
                 "does not send confirmations, so this is the last you hear of it."},
};

static bool
is_ours(struct str domain, const struct str *domains, size_t n)
{
	for (size_t i = 0; domain.n > 0 && i < n; i++)
		if (domain_matches(domain, domains[i]))
			return true;
	return false;
}

struct str
bounce_domain(const struct envelope *original, const struct str *domains, size_t n,
              struct str hostname)
{
	struct str     author = original->header_from, sender = STR_NONE;
	struct address a;

	if (original->from.n > 0 && address_parse(original->from, &a) == ADDRESS_OK)
		sender = a.domain;
	if (!is_ours(sender, domains, n))
		sender = STR_NONE;
	if (!is_ours(author, domains, n))
		author = STR_NONE;
	/* Mail comes back to the sender's domain; below the author's the same keys sign for it. */
	if (author.n > 0 && sender.n > author.n && domain_is_within(sender, author))
		return sender;
	if (author.n > 0 || sender.n > 0)
		return author.n > 0 ? author : sender;
	for (size_t i = 0; i < n; i++)
		if (str_find(domains[i], '*') < 0)
			return domains[i];
	return hostname;
}

static void
line(struct buf *out, const char *name, struct str value)
{
	buf_addz(out, name);
	buf_addz(out, ": ");
	buf_add(out, str_sub(value, 0, FIELD_MAX));
	buf_addz(out, "\r\n");
}

static void
date_line(struct buf *out, const char *name, int64_t ms)
{
	buf_addz(out, name);
	buf_addz(out, ": ");
	date_format(out, ms);
	buf_addz(out, "\r\n");
}

/* A peer's words: printable only, so that they can be neither a field nor a boundary. */
static void
add_words(struct buf *out, struct str s, bool utf8)
{
	for (size_t i = 0; i < s.n && i < FIELD_MAX; i++) {
		unsigned char c = (unsigned char)s.p[i];

		buf_addc(out, c < ' ' || c == 0x7f || (c > 0x7f && !utf8) ? '?' : (char)c);
	}
}

static void
add_reply(struct buf *out, struct reply r, bool utf8)
{
	buf_addn(out, r.code);
	buf_addc(out, ' ');
	reply_format_status(out, r);
	buf_addc(out, ' ');
	add_words(out, r.text, utf8);
}

/* The words again for people, in lines that a screen shows whole. */
static void
add_wrapped(struct buf *out, struct str text, bool utf8)
{
	struct str word;
	size_t     column = WRAP;

	while ((word = str_word(&text)).n > 0) {
		if (column + word.n >= WRAP) {
			buf_addz(out, column == WRAP ? "    " : "\r\n    ");
			column = 4;
		} else {
			buf_addc(out, ' ');
		}
		add_words(out, word, utf8);
		column += word.n + 1;
	}
	buf_addz(out, "\r\n");
}

static void
add_head(struct buf *out, const struct bounce *b, struct str boundary, bool eightbit)
{
	const struct wording *w = &wordings[b->kind];

	date_line(out, "Date", b->now_ms);
	buf_addf(out, "From: Mail Delivery <MAILER-DAEMON@%.*s>\r\n", (int)b->domain.n,
	         b->domain.p);
	line(out, "To", b->original->from);
	line(out, "Subject", str_of(w->subject));
	buf_addf(out, "Message-ID: <%.*s.%s@%.*s>\r\n", (int)b->id.n, b->id.p, w->action,
	         (int)b->hostname.n, b->hostname.p);
	if (b->original->msgid.n > 0) {
		line(out, "In-Reply-To", b->original->msgid);
		line(out, "References", b->original->msgid);
	}
	line(out, "Auto-Submitted", STR("auto-replied"));
	line(out, "MIME-Version", STR("1.0"));
	buf_addf(out, "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"%.*s\"\r\n",
	         b->original->smtputf8 ? "global-delivery-status" : "delivery-status",
	         (int)boundary.n, boundary.p);
	if (eightbit)
		line(out, "Content-Transfer-Encoding", STR("8bit"));
	buf_addz(out, "\r\n");
}

static void
add_part(struct buf *out, struct str boundary, const char *type, bool eightbit)
{
	buf_addf(out, "--%.*s\r\n", (int)boundary.n, boundary.p);
	line(out, "Content-Type", str_of(type));
	if (eightbit)
		line(out, "Content-Transfer-Encoding", STR("8bit"));
	buf_addz(out, "\r\n");
}

static void
add_original_facts(struct buf *out, const struct bounce *b)
{
	struct field f;
	struct str   head, body;
	struct buf   subject = BUF(FIELD_MAX);

	header_split(b->message, &head, &body);
	buf_addz(out, "The message:\r\n");
	if (header_find(head, STR("Subject"), 0, &f)) {
		header_unfold(&subject, f.value);
		buf_addz(out, "  Subject:    ");
		add_words(out, buf_str(&subject), b->original->smtputf8);
		buf_addz(out, "\r\n");
	}
	buf_free(&subject);
	buf_addz(out, "  Sent:       ");
	date_format(out, b->original->accepted_ms);
	if (b->original->msgid.n > 0) {
		buf_addz(out, "\r\n  Message-ID: ");
		add_words(out, b->original->msgid, b->original->smtputf8);
	}
	buf_addf(out, "\r\n  Queue id:   %.*s\r\n", (int)b->parent.n, b->parent.p);
}

static void
add_text(struct buf *out, const struct bounce *b)
{
	bool utf8 = b->original->smtputf8;

	buf_addf(out, "This is the mail server %.*s.\r\n\r\n%s\r\n", (int)b->hostname.n,
	         b->hostname.p, wordings[b->kind].first);
	if (b->kind == BOUNCE_DELAYED) {
		buf_addz(out, "If that does not succeed until ");
		date_format(out, b->expire_ms);
		buf_addz(out, ",\r\nyou get another message.\r\n");
	}
	for (size_t i = 0; i < b->n_rcpts; i++) {
		const struct bounce_rcpt *r = &b->rcpts[i];

		buf_addz(out, "\r\n<");
		add_words(out, r->rcpt->to, utf8);
		buf_addz(out, ">\r\n  ");
		if (b->kind == BOUNCE_FAILED && reply_is_temporary(r->reply)) {
			buf_addz(
				out,
				"It was tried again and again since it was sent; the last answer:\r\n");
			add_wrapped(out, r->reply.text, utf8);
			continue;
		}
		if (r->mta.n > 0) {
			buf_addz(out, "The server ");
			add_words(out, r->mta, false);
			buf_addf(out, " answered %u:\r\n", r->reply.code);
		} else {
			buf_addz(out,
			         b->kind == BOUNCE_DELAYED ? "So far:\r\n" : "The reason:\r\n");
		}
		add_wrapped(out, r->reply.text, utf8);
	}
	buf_addz(out, "\r\n");
	add_original_facts(out, b);
}

/* ORCPT comes as "type;address": what the sender wrote goes back to him as xtext where it must. */
static void
add_orcpt(struct buf *out, struct str orcpt)
{
	ptrdiff_t at = str_find(orcpt, ';');

	if (orcpt.n == 0 || at < 0)
		return;
	buf_addz(out, "Original-Recipient: ");
	add_words(out, str_sub(orcpt, 0, (size_t)at), false);
	buf_addc(out, ';');
	add_words(out, str_skip(orcpt, (size_t)at + 1), true);
	buf_addz(out, "\r\n");
}

static void
add_status(struct buf *out, const struct bounce *b)
{
	bool utf8 = b->original->smtputf8;

	if (b->original->envid.n > 0) {
		buf_addz(out, "Original-Envelope-Id: ");
		add_words(out, b->original->envid, false);
		buf_addz(out, "\r\n");
	}
	buf_addf(out, "Reporting-MTA: dns; %.*s\r\n", (int)b->hostname.n, b->hostname.p);
	date_line(out, "Arrival-Date", b->original->accepted_ms);
	for (size_t i = 0; i < b->n_rcpts; i++) {
		const struct bounce_rcpt *r = &b->rcpts[i];

		buf_addz(out, "\r\n");
		add_orcpt(out, r->rcpt->orcpt);
		buf_addz(out, utf8 ? "Final-Recipient: utf-8; " : "Final-Recipient: rfc822; ");
		add_words(out, r->rcpt->to, utf8);
		buf_addf(out, "\r\nAction: %s\r\nStatus: ", wordings[b->kind].action);
		reply_format_status(out, r->reply);
		buf_addz(out, "\r\n");
		if (r->mta.n > 0) {
			buf_addz(out, "Remote-MTA: dns; ");
			add_words(out, r->mta, false);
			buf_addz(out, "\r\n");
		}
		buf_addz(out,
		         r->mta.n > 0 ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-postern; ");
		add_reply(out, r->reply, utf8);
		buf_addz(out, "\r\n");
		date_line(out, "Last-Attempt-Date", b->now_ms);
		if (b->kind == BOUNCE_DELAYED)
			date_line(out, "Will-Retry-Until", b->expire_ms);
	}
}

static bool
has_eightbit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7f)
			return true;
	return false;
}

/* The boundary holds our id, which the original's writer could not know: it cannot be in his text. */
void
bounce_format(struct buf *out, const struct bounce *b, bool *eightbit)
{
	bool       utf8 = b->original->smtputf8;
	bool       full = b->whole && b->original->ret == RET_FULL && b->kind == BOUNCE_FAILED;
	struct str head, body, returned;
	struct buf boundary = BUF(128);

	header_split(b->message, &head, &body);
	returned = full ? b->message : head;
	*eightbit = utf8 || has_eightbit(returned);
	buf_addf(&boundary, "=_%.*s.%lld", (int)b->id.n, b->id.p, (long long)b->now_ms);
	add_head(out, b, buf_str(&boundary), *eightbit);
	add_part(out, buf_str(&boundary),
	         utf8 ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", utf8);
	add_text(out, b);
	buf_addz(out, "\r\n");
	add_part(out, buf_str(&boundary),
	         utf8 ? "message/global-delivery-status" : "message/delivery-status", utf8);
	add_status(out, b);
	buf_addz(out, "\r\n");
	if (full)
		add_part(out, buf_str(&boundary), utf8 ? "message/global" : "message/rfc822",
		         *eightbit);
	else
		add_part(out, buf_str(&boundary),
		         utf8 ? "message/global-headers" : "text/rfc822-headers", *eightbit);
	buf_add(out, returned);
	if (!str_ends(buf_str(out), STR("\r\n")))
		buf_addz(out, "\r\n");
	buf_addf(out, "\r\n--%.*s--\r\n", (int)boundary.n, boundary.p);
	buf_free(&boundary);
}
