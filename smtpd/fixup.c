/* SPDX-License-Identifier: ISC */
#include "smtpd/fixup.h"

#include "lib/mail/date.h"
#include "lib/mail/header.h"
#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "smtpd/data.h"
#include "smtpd/refold.h"

enum {
	MSGID_MAX = 998,
	SCRATCH_MAX = 4096,
	TAG_MAX = 100, /* " [rule]" behind a text of the policy's */
	MAILBOXES_MAX = 100000,
	AUTHORS_MAX = 100,
	SKEW_MS = 24 * 60 * 60 * 1000,
};

enum action { KEEP, DROP, AUTHOR, PEOPLE, DATE, MSGID, RECEIVED, RESULTS, LOOK };

struct known {
	struct str  name;
	enum action action;
	unsigned    fixed; /* DROP: what is said about it */
	/* A second one is refused: which of the two would a reader see? ALWAYS: under "lint off", too. */
	enum { OFTEN, ONCE, ALWAYS_ONCE } once;
};

#define NAME(z_) {(z_), sizeof(z_) - 1}

/* clang-format off */
static const struct known known[FIELD_COUNT] = {
	[FIELD_FROM] = {NAME("From"), AUTHOR, 0, ALWAYS_ONCE},
	[FIELD_TO] = {NAME("To"), PEOPLE, 0, ONCE},
	[FIELD_SUBJECT] = {NAME("Subject"), KEEP, 0, ONCE},
	[FIELD_DATE] = {NAME("Date"), DATE, 0, ONCE},
	[FIELD_MESSAGE_ID] = {NAME("Message-ID"), MSGID, 0, ONCE},
	[FIELD_MIME_VERSION] = {NAME("MIME-Version"), KEEP, 0, ONCE},
	[FIELD_CONTENT_TYPE] = {NAME("Content-Type"), LOOK, 0, ONCE},
	[FIELD_CONTENT_TRANSFER_ENCODING] = {NAME("Content-Transfer-Encoding"), KEEP, 0, ONCE},
	[FIELD_CC] = {NAME("Cc"), PEOPLE, 0, ONCE},
	[FIELD_REPLY_TO] = {NAME("Reply-To"), PEOPLE, 0, ONCE},
	[FIELD_SENDER] = {NAME("Sender"), AUTHOR, 0, ALWAYS_ONCE},
	[FIELD_RECEIVED] = {NAME("Received"), RECEIVED, 0, OFTEN},
	[FIELD_LIST_UNSUBSCRIBE] = {NAME("List-Unsubscribe"), LOOK, 0, OFTEN},
	[FIELD_LIST_UNSUBSCRIBE_POST] = {NAME("List-Unsubscribe-Post"), LOOK, 0, OFTEN},
	[FIELD_IN_REPLY_TO] = {NAME("In-Reply-To"), KEEP, 0, ONCE},
	[FIELD_REFERENCES] = {NAME("References"), KEEP, 0, ONCE},
	[FIELD_BCC] = {NAME("Bcc"), DROP, FIXED_BCC, OFTEN},
	[FIELD_LIST_ID] = {NAME("List-Id"), KEEP, 0, OFTEN},
	[FIELD_PRECEDENCE] = {NAME("Precedence"), LOOK, 0, OFTEN},
	[FIELD_RETURN_PATH] = {NAME("Return-Path"), DROP, FIXED_RETURN_PATH, OFTEN},
	[FIELD_AUTO_SUBMITTED] = {NAME("Auto-Submitted"), KEEP, 0, OFTEN},
	[FIELD_AUTHENTICATION_RESULTS] = {NAME("Authentication-Results"), RESULTS, FIXED_AUTH_RESULTS, OFTEN},
	[FIELD_CONTENT_DISPOSITION] = {NAME("Content-Disposition"), KEEP, 0, ONCE},
	[FIELD_CONTENT_ID] = {NAME("Content-ID"), KEEP, 0, ONCE},
	[FIELD_CONTENT_DESCRIPTION] = {NAME("Content-Description"), KEEP, 0, ONCE},
	[FIELD_CONTENT_LANGUAGE] = {NAME("Content-Language"), KEEP, 0, ONCE},
	[FIELD_CONTENT_LOCATION] = {NAME("Content-Location"), KEEP, 0, ONCE},
	[FIELD_CONTENT_MD5] = {NAME("Content-MD5"), KEEP, 0, ONCE},
	[FIELD_CONTENT_BASE] = {NAME("Content-Base"), KEEP, 0, ONCE},
	[FIELD_CONTENT_DURATION] = {NAME("Content-Duration"), KEEP, 0, ONCE},
	[FIELD_CONTENT_FEATURES] = {NAME("Content-Features"), KEEP, 0, ONCE},
	[FIELD_RESENT_FROM] = {NAME("Resent-From"), AUTHOR, 0, OFTEN},
	[FIELD_RESENT_SENDER] = {NAME("Resent-Sender"), AUTHOR, 0, OFTEN},
	[FIELD_RESENT_TO] = {NAME("Resent-To"), PEOPLE, 0, OFTEN},
	[FIELD_RESENT_CC] = {NAME("Resent-Cc"), PEOPLE, 0, OFTEN},
	[FIELD_RESENT_REPLY_TO] = {NAME("Resent-Reply-To"), PEOPLE, 0, OFTEN},
	[FIELD_RESENT_BCC] = {NAME("Resent-Bcc"), DROP, FIXED_BCC, OFTEN},
	[FIELD_RESENT_DATE] = {NAME("Resent-Date"), KEEP, 0, OFTEN},
	[FIELD_RESENT_MESSAGE_ID] = {NAME("Resent-Message-ID"), KEEP, 0, OFTEN},
};
/* clang-format on */

struct work {
	const struct fixup  *f;
	struct buf          *out;
	struct fixup_result *r;
	struct lint_facts   *facts;
	struct str           unsent; /* fields passed over unchanged, copied in one piece later */
	size_t               mailboxes;
	bool                 https;    /* in List-Unsubscribe */
	bool                 report;   /* Content-Type: multipart/report */
	const char          *why;      /* of what is noted as faulty, for the log */
	enum lint_rule       told;     /* the rule that `told_reply` is about; LINT_RULES: none */
	struct reply         told_reply;
};

/* Lengths and first letters rule out nearly all: a header has more fields than we know. */
static const struct known *
find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].name.n == name.n && ((known[i].name.p[0] ^ name.p[0]) & ~0x20) == 0 &&
		    str_ieq(name, known[i].name))
			return &known[i];
	return NULL;
}

static uint64_t
bit_of(const struct known *k)
{
	return LINT_BIT(k - known);
}

static bool
is_off(const struct work *w)
{
	return w->f->lint == LISTEN_LINT_OFF;
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
	w->facts->fixed |= fixed;
}

static void
note(struct work *w, enum lint_rule rule)
{
	w->facts->noted |= LINT_BIT(rule);
}

/* The first fault that has words of its own; they will be the reply's, if it is the rule's that refuses. */
static void
tell(struct work *w, enum lint_rule rule, struct reply r)
{
	note(w, rule);
	if (w->told != LINT_RULES)
		return;
	w->told = rule;
	w->told_reply = r;
}

static void
tell_field(struct work *w, enum lint_rule rule, struct str field, const char *text)
{
	if (w->told == LINT_RULES) {
		buf_clear(&w->r->text);
		buf_add(&w->r->text, str_sub(field, 0, 100));
		buf_addz(&w->r->text, text);
	}
	tell(w, rule, (struct reply){550, {5, 6, 0}, buf_str(&w->r->text)});
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
	w->facts->fixed |= FIXED_ADDRESS;
}

static void
authorise(struct work *w, const struct known *k, struct address a)
{
	struct verdict v;

	/* What is told is refused in any case, and the text holds the words already. */
	if (w->told != LINT_RULES)
		return;
	v = policy_header(w->f->policy, k->name, a, &w->r->text);
	if (policy_is_ok(v))
		return;
	w->why = "from-refused";
	tell(w, LINT_FROM_NOT_ALLOWED, v.reply);
}

/* `written`: its domain is the message's, not ours. */
static void
take_author(struct work *w, const struct known *k, struct address a, bool written)
{
	if (k == &known[FIELD_FROM]) {
		w->facts->authors++;
		note_author(w, a);
		if (a.local.n == 0 || (written && !a.literal && str_find(a.domain, '.') < 0))
			note(w, LINT_FROM_EMPTY_DOMAIN);
	}
	authorise(w, k, a);
}

/* The field that stands in the output from there on. */
static void
refold_field(struct work *w, size_t from, struct str name, bool list)
{
	if (!refold_is_needed(str_skip(buf_str(w->out), from)))
		return;
	if (!is_off(w) && refold(w->out, from, list))
		w->facts->fixed |= FIXED_FOLDED;
	else
		tell_field(w, LINT_LINE_LONG_HEADER, name,
		           ": has a line of over 998 octets: fold it");
}

/* What the message came with is kept as it is; only lines that nobody may send are folded. */
static void
keep_field(struct work *w, const struct known *k, const struct field *field)
{
	size_t from;

	if (!refold_is_needed(field->raw)) {
		keep(w, field->raw);
		return;
	}
	flush(w);
	from = w->out->n;
	buf_add(w->out, field->raw);
	refold_field(w, from, field->name,
	             k != NULL && (k->action == PEOPLE || k->action == AUTHOR));
}

/*
 * A field of mailboxes. Only the authors' must be well-formed: a crooked To: hurts its reader
 * alone. False: too many of them to go on.
 */
static bool
fix_mailboxes(struct work *w, const struct known *k, const struct field *field)
{
	bool           bad = false;
	size_t         n = 0, from;
	struct str     raw = field->raw, rest = field->value;
	struct address a;

	from = w->out->n + w->unsent.n;
	while (header_mailbox(&rest, &a, &bad)) {
		bool written = a.domain.n > 0 || a.local.n == 0;

		if (++w->mailboxes > MAILBOXES_MAX || (k->action == AUTHOR && n == AUTHORS_MAX)) {
			tell_field(w, LINT_HEADER_SYNTAX, field->name, ": has too many addresses");
			return false;
		}
		n++;
		if (!written) {
			complete(w, &raw, a);
			a.domain = w->f->own_domain;
		}
		if (k->action == AUTHOR)
			take_author(w, k, a, written);
	}
	if (k->action == AUTHOR && (bad || n == 0))
		tell_field(w, LINT_HEADER_SYNTAX, k->name,
		           ": is not a list of addresses: write Name <local@domain>");
	if (raw.n == field->raw.n) {
		keep_field(w, k, field);
		return true;
	}
	buf_add(w->out, raw);
	refold_field(w, from, field->name, true);
	return true;
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

static bool
is_msgid(struct str id)
{
	ptrdiff_t  at = str_rfind(id, '@');
	struct str domain;

	if (id.n < 5 || id.p[0] != '<' || id.p[id.n - 1] != '>' || at < 2)
		return false;
	domain = str_sub(id, (size_t)at + 1, id.n - (size_t)at - 2);
	return domain.n > 0 && str_find(str_sub(id, 1, id.n - 2), '<') < 0 &&
	       !str_ieq(domain, STR("localhost")) && !str_iends(domain, STR(".local")) &&
	       !str_iends(domain, STR(".localdomain"));
}

static void
look_at_date(struct work *w, struct str value)
{
	struct buf *b = &w->r->scratch;
	int64_t     then;

	if (is_off(w))
		return;
	buf_clear(b);
	header_unfold(b, value);
	if (b->over || !date_parse(buf_str(b), &then) || then - w->f->now_ms > SKEW_MS ||
	    w->f->now_ms - then > SKEW_MS)
		note(w, LINT_DATE_SKEW);
}

static bool
has_https(struct str value)
{
	for (ptrdiff_t at; (at = str_find(value, '<')) >= 0;) {
		value = str_skip(value, (size_t)at + 1);
		if (str_istarts(value, STR("https://")))
			return true;
	}
	return false;
}

/* Fields whose values say something about the message as a whole. */
static void
look(struct work *w, const struct known *k, struct str value)
{
	struct str word = str_word(&value);

	switch ((int)(k - known)) {
	case FIELD_CONTENT_TYPE:
		w->report = w->report || str_istarts(word, STR("multipart/report"));
		break;
	case FIELD_PRECEDENCE:
		w->facts->bulk = w->facts->bulk || str_ieq(word, STR("bulk")) ||
		                 str_ieq(word, STR("list"));
		break;
	case FIELD_LIST_UNSUBSCRIBE:
		w->https = w->https || has_https(word) || has_https(value);
		break;
	case FIELD_LIST_UNSUBSCRIBE_POST:
		/* Another value is none that a receiver knows. */
		if (!str_ieq(word, STR("List-Unsubscribe=One-Click")))
			w->facts->seen &= ~bit_of(k);
		break;
	default:
		break;
	}
}

/* Its first word is the name of the server that speaks (RFC 8601 section 2.2). */
static bool
is_in_our_name(const struct work *w, struct str value)
{
	struct str word = str_word(&value);
	ptrdiff_t  end = str_find(word, ';');

	if (end >= 0)
		word = str_sub(word, 0, (size_t)end);
	return str_ieq(word, w->f->policy->config->hostname);
}

/* False: dropped. */
static bool
fix_single(struct work *w, const struct known *k, const struct field *field)
{
	switch (k->action) {
	case DROP:
		drop(w, k->fixed);
		return false;
	case DATE:
	case MSGID:
		/* An empty one is as good as none, and receivers refuse it. */
		if (is_blank(field->value)) {
			drop(w, 0);
			return false;
		}
		if ((w->facts->seen & bit_of(k)) != 0)
			break;
		if (k->action == DATE) {
			look_at_date(w, field->value);
			break;
		}
		note_msgid(w, field->value);
		if (!is_msgid(w->r->msgid))
			note(w, LINT_MSGID_SYNTAX);
		break;
	case RECEIVED:
		w->facts->hops++;
		break;
	case RESULTS:
		if (is_off(w) || !is_in_our_name(w, field->value))
			break;
		drop(w, k->fixed);
		return false;
	case KEEP:
	case AUTHOR:
	case PEOPLE:
	case LOOK:
		break;
	}
	return true;
}

/* False: the rest is not looked at. */
static bool
fix_field(struct work *w, const struct field *field)
{
	const struct known *k = find(field->name);

	if (k == NULL) {
		keep_field(w, NULL, field);
		return true;
	}
	if (k->once != OFTEN && (w->facts->seen & bit_of(k)) != 0 &&
	    (k->once == ALWAYS_ONCE || !is_off(w))) {
		if (k == &known[FIELD_FROM])
			note(w, LINT_FROM_MULTIPLE_FIELDS);
		else
			tell_field(w, LINT_DUPLICATE_FIELD, field->name, ": stands there twice");
	}
	if (k->action == AUTHOR || k->action == PEOPLE) {
		w->facts->seen |= bit_of(k);
		return fix_mailboxes(w, k, field);
	}
	if (!fix_single(w, k, field))
		return true;
	w->facts->seen |= bit_of(k);
	if (k->action == LOOK)
		look(w, k, field->value);
	keep_field(w, k, field);
	return true;
}

static bool
has_seen(const struct work *w, enum lint_field field)
{
	return (w->facts->seen & LINT_BIT(field)) != 0;
}

/*
 * Elsewhere it is refused: who writes is not ours to say. With lint off nobody judges, and
 * mail without an author cannot be signed.
 */
static void
add_from(struct work *w)
{
	const struct fixup *f = w->f;
	struct address      a;

	if (f->lint != LISTEN_LINT_OFF || address_parse(f->sender, &a) != ADDRESS_OK)
		return;
	note_author(w, a);
	buf_addz(w->out, "From: ");
	buf_add(w->out, f->sender);
	buf_addz(w->out, "\r\n");
	w->facts->fixed |= FIXED_FROM;
}

static void
add_msgid(struct work *w)
{
	size_t from;

	buf_addz(w->out, "Message-ID: ");
	from = w->out->n;
	buf_addc(w->out, '<');
	id_format(w->out, w->f->id);
	buf_addc(w->out, '@');
	buf_add(w->out, w->f->policy->config->hostname);
	buf_addc(w->out, '>');
	note_msgid(w, str_skip(buf_str(w->out), from));
	buf_addz(w->out, "\r\n");
	w->facts->fixed |= FIXED_MESSAGE_ID;
}

static void
add_missing(struct work *w)
{
	flush(w);
	if (!has_seen(w, FIELD_FROM))
		add_from(w);
	if (!has_seen(w, FIELD_DATE)) {
		buf_addz(w->out, "Date: ");
		date_format(w->out, w->f->now_ms);
		buf_addz(w->out, "\r\n");
		w->facts->fixed |= FIXED_DATE;
	}
	if (!has_seen(w, FIELD_MESSAGE_ID))
		add_msgid(w);
	if (is_off(w))
		return;
	if (has_seen(w, FIELD_CONTENT_TYPE) && !has_seen(w, FIELD_MIME_VERSION)) {
		buf_addz(w->out, "MIME-Version: 1.0\r\n");
		w->facts->fixed |= FIXED_MIME_VERSION;
	}
	if (w->report && w->f->sender.n == 0 && !has_seen(w, FIELD_AUTO_SUBMITTED)) {
		buf_addz(w->out, "Auto-Submitted: auto-replied\r\n");
		w->facts->fixed |= FIXED_AUTO_SUBMITTED;
	}
}

/* Mailbox files begin with such a line; programs that read them hand it on. */
static bool
is_mbox_line(struct str raw)
{
	return str_starts(raw, STR("From ")) || str_starts(raw, STR(">From "));
}

/* Behind a line that is no field: does the header go on there? */
static bool
goes_on(struct str rest)
{
	struct field field;

	while (header_next(&rest, &field, NULL))
		if (field.name.n > 0 && find(field.name) != NULL)
			return true;
	return false;
}

static void
break_off(struct work *w, struct str from, struct str behind)
{
	w->r->rest = from;
	w->facts->fixed |= FIXED_SEPARATOR;
	if (!is_off(w) && goes_on(behind))
		note(w, LINT_HEADER_SYNTAX);
	/* The collector let them pass, as lines of the header. */
	if (refold_is_needed(from) && w->f->lint != LISTEN_LINT_FIX)
		note(w, LINT_LINE_LONG_BODY);
	else
		w->r->long_rest = refold_is_needed(from);
}

static void
walk(struct work *w, struct str head)
{
	struct str   rest = head, before = head;
	struct field field;
	bool         bad = false;

	while (header_next(&rest, &field, &bad)) {
		if (!bad) {
			if (!fix_field(w, &field))
				return;
		} else if (field.raw.p == head.p && is_mbox_line(field.raw)) {
			bad = false;
		} else {
			break_off(w, before, rest);
			return;
		}
		before = rest;
	}
}

static void
fill_facts(struct work *w, struct str head)
{
	const struct fixup  *f = w->f;
	struct lint_facts   *facts = w->facts;
	const struct config *c = f->policy->config;
	ptrdiff_t            at = str_rfind(f->sender, '@');

	if (has_seen(w, FIELD_LIST_UNSUBSCRIBE_POST) && !w->https)
		note(w, LINT_UNSUBSCRIBE_NO_HTTPS);
	facts->bulk = facts->bulk || f->many;
	facts->author = w->r->header_from;
	facts->head_eightbit = data_has_eightbit(head);
	facts->says_utf8 = f->says_utf8;
	facts->says_eightbit = f->says_eightbit;
	facts->signs = c->dkim_sign;
	facts->has_key = config_find_dkim(c, facts->author) != NULL;
	facts->aligned = f->sender.n == 0 || facts->author.n == 0;
	if (facts->aligned || at < 0)
		return;
	/* As written it is the very same, nearly always. */
	facts->aligned = lint_is_aligned(c, str_skip(f->sender, (size_t)at + 1), facts->author);
	buf_clear(&w->r->scratch);
	if (!facts->aligned && domain_canonical(&w->r->scratch, str_skip(f->sender, (size_t)at + 1)))
		facts->aligned = lint_is_aligned(c, buf_str(&w->r->scratch), facts->author);
}

static struct reply
judge(struct work *w)
{
	enum lint_rule rule;

	w->r->verdict = lint_judge(w->facts, w->f->lint);
	rule = w->r->verdict.refused;
	if (rule == LINT_RULES)
		return REPLY(250, 2, 0, 0, "ok");
	w->r->why = rule == LINT_FROM_NOT_ALLOWED ? w->why : "content";
	if (rule == w->told) {
		struct reply r = lint_reply(rule, w->told_reply.text, &w->r->text);

		w->told_reply.text = r.text;
		return w->told_reply;
	}
	return lint_reply(rule, STR_NONE, &w->r->text);
}

void
fixup_result_init(struct fixup_result *r)
{
	*r = (struct fixup_result){.from = BUF(DOMAIN_MAX + 1),
	                           .msgid_text = BUF(MSGID_MAX),
	                           .scratch = BUF(SCRATCH_MAX),
	                           .text = BUF(POLICY_TEXT_MAX + TAG_MAX)};
}

void
fixup_result_free(struct fixup_result *r)
{
	buf_free(&r->from);
	buf_free(&r->msgid_text);
	buf_free(&r->scratch);
	buf_free(&r->text);
}

void
fixup_reset(struct fixup_result *r)
{
	r->facts = (struct lint_facts){0};
	r->verdict = (struct lint_verdict){.refused = LINT_RULES};
	r->header_from = r->msgid = r->rest = STR_NONE;
	r->long_rest = false;
	r->why = NULL;
}

struct reply
fixup_head(const struct fixup *f, struct str head, struct buf *out, struct fixup_result *result)
{
	struct work  w = {.f = f, .out = out, .r = result, .facts = &result->facts, .told = LINT_RULES};
	struct reply r;

	fixup_reset(result);
	buf_add(out, f->received);
	walk(&w, head);
	add_missing(&w);
	fill_facts(&w, head);
	r = judge(&w);
	buf_addz(out, "\r\n");
	return r;
}

void
fixup_format(struct buf *out, unsigned fixed)
{
	static const char *const names[] = {
		"date",         "message-id",   "from",           "bcc",    "return-path",
		"address",      "separator",    "bare-lf",        "final-crlf",
		"mime-version", "auth-results", "auto-submitted", "folded",  "encoded",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if ((fixed & 1U << i) == 0)
			continue;
		if (out->n > 0)
			buf_addc(out, ',');
		buf_addz(out, names[i]);
	}
}
