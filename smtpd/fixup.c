/* SPDX-License-Identifier: ISC */
#include "smtpd/fixup.h"

#include "lib/mail/date.h"
#include "lib/mail/header.h"
#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "smtpd/data.h"

enum { MSGID_MAX = 998, MAILBOXES_MAX = 100000, AUTHORS_MAX = 100 };

enum action { KEEP, DROP, AUTHOR, PEOPLE, DATE, MSGID, RECEIVED };

struct rule {
	const char *name;
	enum action action;
	unsigned    fixed; /* DROP: what is said about it */
	bool        once;  /* a second one is refused: which of the two would a reader see? */
};

static const struct rule rules[] = {
	{"From", AUTHOR, 0, true},
	{"To", PEOPLE, 0, false},
	{"Cc", PEOPLE, 0, false},
	{"Date", DATE, 0, false},
	{"Message-ID", MSGID, 0, false},
	{"Received", RECEIVED, 0, false},
	{"Sender", AUTHOR, 0, true},
	{"Reply-To", PEOPLE, 0, false},
	{"Bcc", DROP, FIXED_BCC, false},
	{"Return-Path", DROP, FIXED_RETURN_PATH, false},
	{"Resent-From", AUTHOR, 0, false},
	{"Resent-Sender", AUTHOR, 0, false},
	{"Resent-To", PEOPLE, 0, false},
	{"Resent-Cc", PEOPLE, 0, false},
	{"Resent-Reply-To", PEOPLE, 0, false},
	{"Resent-Bcc", DROP, FIXED_BCC, false},
};

enum { RULE_FROM = 0, RULE_DATE = 3, RULE_MSGID = 4 };

struct work {
	const struct fixup  *f;
	struct buf          *out;
	struct fixup_result *r;
	struct str           unsent; /* fields passed over unchanged, copied in one piece later */
	unsigned             seen;   /* a bit for each rule */
	size_t               mailboxes;
};

#define FINE REPLY(250, 2, 0, 0, "ok")

static const struct rule *
find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (str_ieq(name, str_of(rules[i].name)))
			return &rules[i];
	return NULL;
}

static void
flush(struct work *w)
{
	buf_add(w->out, w->unsent);
	w->unsent = STR_NONE;
}

static void
keep(struct work *w, struct str raw)
{
	if (w->unsent.n == 0)
		w->unsent = raw;
	else
		w->unsent.n += raw.n; /* fields stand one behind the other */
}

static void
drop(struct work *w, unsigned fixed)
{
	flush(w);
	w->r->fixed |= fixed;
}

static struct reply
refuse(struct work *w, const char *why, struct str field, const char *text)
{
	w->r->why = why;
	buf_clear(&w->r->text);
	buf_add(&w->r->text, field);
	buf_addz(&w->r->text, text);
	return (struct reply){550, {5, 6, 0}, buf_str(&w->r->text)};
}

/* The first author's domain decides which key signs. */
static void
note_author(struct work *w, struct address a)
{
	if (w->r->header_from.n > 0)
		return;
	buf_clear(&w->r->from);
	if (domain_canonical(&w->r->from, a.domain))
		w->r->header_from = buf_str(&w->r->from);
}

/* Send what stands before the end of the local part, and then the domain it lacks. */
static void
complete(struct work *w, struct str *raw, struct address a)
{
	size_t n = (size_t)(a.local.p + a.local.n - raw->p);

	flush(w);
	buf_add(w->out, str_sub(*raw, 0, n));
	buf_addc(w->out, '@');
	buf_add(w->out, w->f->own_domain);
	*raw = str_skip(*raw, n);
	w->r->fixed |= FIXED_ADDRESS;
}

static struct reply
authorise(struct work *w, const struct rule *rule, struct address a)
{
	struct verdict v = policy_header(w->f->policy, str_of(rule->name), a, &w->r->text);

	if (rule == &rules[RULE_FROM])
		note_author(w, a);
	if (policy_is_ok(v))
		return FINE;
	w->r->why = "from-refused";
	return v.reply;
}

/*
 * A field of mailboxes. Only the authors' must be well-formed: a crooked To: hurts its reader
 * alone.
 */
static struct reply
fix_mailboxes(struct work *w, const struct rule *rule, const struct field *field)
{
	bool           bad = false;
	size_t         n = 0;
	struct str     raw = field->raw, rest = field->value;
	struct address a;
	struct reply   r = FINE;

	while (r.code == 250 && header_mailbox(&rest, &a, &bad)) {
		if (++w->mailboxes > MAILBOXES_MAX || (rule->action == AUTHOR && n == AUTHORS_MAX))
			return refuse(w, "content", field->name, ": has too many addresses");
		n++;
		if (a.domain.n == 0 && a.local.n > 0) {
			complete(w, &raw, a);
			a.domain = w->f->own_domain;
		}
		if (rule->action == AUTHOR)
			r = authorise(w, rule, a);
	}
	if (r.code != 250)
		return r;
	if (rule->action == AUTHOR && (bad || n == 0))
		return refuse(w, "content", str_of(rule->name),
		              ": is not a list of addresses: write Name <local@domain>");
	keep(w, raw);
	return r;
}

static void
note_msgid(struct work *w, struct str value)
{
	struct buf *b = &w->r->msgid_text;

	buf_clear(b);
	header_unfold(b, value);
	w->r->msgid = b->over ? STR_NONE : buf_str(b);
	for (size_t i = 0; i < w->r->msgid.n; i++)
		if ((unsigned char)w->r->msgid.p[i] <= ' ' || w->r->msgid.p[i] == 0x7f)
			w->r->msgid = STR_NONE;
}

static bool
is_blank(struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] != ' ' && value.p[i] != '\t' && value.p[i] != '\r' &&
		    value.p[i] != '\n')
			return false;
	return true;
}

static struct reply
fix_field(struct work *w, const struct field *field)
{
	const struct rule *rule = find(field->name);
	unsigned           bit;

	if (rule == NULL) {
		keep(w, field->raw);
		return FINE;
	}
	bit = 1U << (rule - rules);
	if (rule->once && (w->seen & bit) != 0)
		return refuse(w, "content", field->name, ": stands there twice");
	switch (rule->action) {
	case DROP:
		drop(w, rule->fixed);
		return FINE;
	case AUTHOR:
	case PEOPLE:
		w->seen |= bit;
		return fix_mailboxes(w, rule, field);
	case DATE:
	case MSGID:
		/* An empty one is as good as none, and receivers refuse it. */
		if (is_blank(field->value)) {
			drop(w, 0);
			return FINE;
		}
		if (rule->action == MSGID && (w->seen & bit) == 0)
			note_msgid(w, field->value);
		break;
	case RECEIVED:
		w->r->hops++;
		break;
	case KEEP:
		break;
	}
	w->seen |= bit;
	keep(w, field->raw);
	return FINE;
}

static struct reply
add_missing(struct work *w)
{
	const struct fixup *f = w->f;

	flush(w);
	if ((w->seen & 1U << RULE_FROM) == 0) {
		struct address a;

		if (address_parse(f->sender, &a) != ADDRESS_OK)
			return refuse(w, "content", STR("From"), ": is missing");
		note_author(w, a);
		buf_addz(w->out, "From: ");
		buf_add(w->out, f->sender);
		buf_addz(w->out, "\r\n");
		w->r->fixed |= FIXED_FROM;
	}
	if ((w->seen & 1U << RULE_DATE) == 0) {
		buf_addz(w->out, "Date: ");
		date_format(w->out, f->now_ms);
		buf_addz(w->out, "\r\n");
		w->r->fixed |= FIXED_DATE;
	}
	if ((w->seen & 1U << RULE_MSGID) == 0) {
		size_t from;

		buf_addz(w->out, "Message-ID: ");
		from = w->out->n;
		buf_addc(w->out, '<');
		id_format(w->out, f->id);
		buf_addc(w->out, '@');
		buf_add(w->out, f->policy->config->hostname);
		buf_addc(w->out, '>');
		note_msgid(w, str_skip(buf_str(w->out), from));
		buf_addz(w->out, "\r\n");
		w->r->fixed |= FIXED_MESSAGE_ID;
	}
	return FINE;
}

/* Mailbox files begin with such a line; programs that read them hand it on. */
static bool
is_mbox_line(struct str raw)
{
	return str_starts(raw, STR("From ")) || str_starts(raw, STR(">From "));
}

static struct reply
walk(struct work *w, struct str head)
{
	struct str   rest = head, before = head;
	struct field field;
	struct reply r = FINE;
	bool         bad = false;

	while (r.code == 250 && header_next(&rest, &field, &bad)) {
		if (!bad) {
			r = fix_field(w, &field);
		} else if (field.raw.p == head.p && is_mbox_line(field.raw)) {
			bad = false;
		} else {
			w->r->rest = before;
			w->r->fixed |= FIXED_SEPARATOR;
			break;
		}
		before = rest;
	}
	return r;
}

void
fixup_result_init(struct fixup_result *r)
{
	*r = (struct fixup_result){.from = BUF(DOMAIN_MAX + 1),
	                           .msgid_text = BUF(MSGID_MAX),
	                           .text = BUF(POLICY_TEXT_MAX)};
}

void
fixup_result_free(struct fixup_result *r)
{
	buf_free(&r->from);
	buf_free(&r->msgid_text);
	buf_free(&r->text);
}

struct reply
fixup_head(const struct fixup *f, struct str head, struct buf *out, struct fixup_result *result)
{
	struct work  w = {.f = f, .out = out, .r = result};
	struct reply r;

	result->fixed = result->hops = 0;
	result->header_from = result->msgid = result->rest = STR_NONE;
	result->why = NULL;
	result->eightbit = data_has_eightbit(head);
	buf_add(out, f->received);
	if ((r = walk(&w, head)).code == 250)
		r = add_missing(&w);
	buf_addz(out, "\r\n");
	return r;
}

void
fixup_format(struct buf *out, unsigned fixed)
{
	static const char *const names[] = {"date",      "message-id",  "from",
	                                    "bcc",       "return-path", "address",
	                                    "separator", "bare-lf",     "final-crlf"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((fixed & 1U << i) == 0)
			continue;
		if (out->n > 0)
			buf_addc(out, ',');
		buf_addz(out, names[i]);
	}
}
