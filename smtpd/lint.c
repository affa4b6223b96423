/* SPDX-License-Identifier: ISC */
#include "smtpd/lint.h"

#include "lib/mail/address.h"
#include "smtpd/fixup.h"

enum { HOPS_MAX = 100, HOPS_MANY = 25 };

static bool
has(const struct lint_facts *f, enum lint_field field)
{
	return (f->seen & LINT_BIT(field)) != 0;
}

static bool
has_repair(const struct lint_facts *f, unsigned fixed)
{
	return (f->fixed & fixed) != 0;
}

/* ---- checks ---- */

static bool
date_missing(const struct lint_facts *f)
{
	return has_repair(f, FIXED_DATE);
}

static bool
msgid_missing(const struct lint_facts *f)
{
	return has_repair(f, FIXED_MESSAGE_ID);
}

/* An author who could be taken from the envelope is as good as one who stands there. */
static bool
from_missing(const struct lint_facts *f)
{
	return !has(f, FIELD_FROM) && !has_repair(f, FIXED_FROM);
}

static bool
from_multiple_addresses(const struct lint_facts *f)
{
	return f->authors > 1;
}

static bool
from_no_key(const struct lint_facts *f)
{
	return f->signs && !f->has_key && f->author.n > 0;
}

static bool
mailfrom_unaligned(const struct lint_facts *f)
{
	return !f->aligned;
}

static bool
line_long_body(const struct lint_facts *f)
{
	return has_repair(f, FIXED_ENCODED);
}

static bool
line_long_header(const struct lint_facts *f)
{
	return has_repair(f, FIXED_FOLDED);
}

static bool
header_8bit(const struct lint_facts *f)
{
	return f->head_eightbit && !f->says_utf8;
}

static bool
body_8bit_undeclared(const struct lint_facts *f)
{
	bool mime = has(f, FIELD_CONTENT_TYPE) || has(f, FIELD_MIME_VERSION);

	return f->body_eightbit && (!f->says_eightbit || !mime);
}

static bool
no_separator(const struct lint_facts *f)
{
	return has_repair(f, FIXED_SEPARATOR);
}

static bool
resent_block(const struct lint_facts *f)
{
	return f->seen >> FIELD_RESENT_FROM != 0;
}

static bool
bcc_present(const struct lint_facts *f)
{
	return has_repair(f, FIXED_BCC);
}

static bool
return_path_present(const struct lint_facts *f)
{
	return has_repair(f, FIXED_RETURN_PATH);
}

static bool
received_count(const struct lint_facts *f)
{
	return f->hops > HOPS_MAX;
}

static bool
received_many(const struct lint_facts *f)
{
	return f->hops >= HOPS_MANY && f->hops <= HOPS_MAX;
}

static bool
subject_missing(const struct lint_facts *f)
{
	return !has(f, FIELD_SUBJECT);
}

static bool
to_missing(const struct lint_facts *f)
{
	return !has(f, FIELD_TO) && !has(f, FIELD_CC);
}

static bool
mime_version_missing(const struct lint_facts *f)
{
	return has_repair(f, FIXED_MIME_VERSION);
}

static bool
bulk_no_unsubscribe(const struct lint_facts *f)
{
	return (f->bulk || has(f, FIELD_LIST_ID)) && !has(f, FIELD_LIST_UNSUBSCRIBE);
}

static bool
unsubscribe_no_post(const struct lint_facts *f)
{
	return has(f, FIELD_LIST_UNSUBSCRIBE) && !has(f, FIELD_LIST_UNSUBSCRIBE_POST);
}

/* Our signatures cover both fields (dkim/fields.c), so only a missing one leaves them open. */
static bool
unsubscribe_unsigned(const struct lint_facts *f)
{
	return has(f, FIELD_LIST_UNSUBSCRIBE_POST) && !f->has_key;
}

static bool
auto_submitted(const struct lint_facts *f)
{
	return has_repair(f, FIXED_AUTO_SUBMITTED);
}

static bool
auth_results_forged(const struct lint_facts *f)
{
	return has_repair(f, FIXED_AUTH_RESULTS);
}

/* clang-format off */
#define HOME(z_) {(z_), sizeof(z_) - 1}
/* clang-format on */

/* Addresses of these have a home whose owner tells receivers to refuse them from elsewhere. */
static bool
gmail_from(const struct lint_facts *f)
{
	static const struct str homes[] = {
		HOME("gmail.com"),      HOME("googlemail.com"), HOME("yahoo.com"),
		HOME("ymail.com"),      HOME("rocketmail.com"), HOME("yahoo.co.uk"),
		HOME("yahoo.de"),       HOME("yahoo.fr"),       HOME("yahoo.co.jp"),
		HOME("aol.com"),        HOME("outlook.com"),    HOME("hotmail.com"),
		HOME("live.com"),       HOME("msn.com"),        HOME("icloud.com"),
		HOME("me.com"),         HOME("mac.com"),        HOME("gmx.net"),
		HOME("gmx.com"),        HOME("gmx.de"),         HOME("web.de"),
		HOME("mail.com"),       HOME("mail.ru"),        HOME("yandex.ru"),
		HOME("yandex.com"),     HOME("qq.com"),         HOME("163.com"),
		HOME("protonmail.com"), HOME("proton.me"),      HOME("zoho.com"),
		HOME("t-online.de"),
	};

	for (size_t i = 0; i < ARRAY_LEN(homes); i++)
		if (str_eq(f->author, homes[i]))
			return true;
	return false;
}

/* ---- the table ---- */

struct row {
	const char      *id;
	enum lint_action action;
	bool             always; /* even where the listener says "lint off" */
	/* NULL: only who reads the message can tell, and notes it */
	bool (*check)(const struct lint_facts *f);
	const char *sentence;
};

/* clang-format off */
static const struct row rows[LINT_RULES] = {
	[LINT_DATE_MISSING] = {"date-missing", LINT_FIX, true, date_missing,
		"there is no Date field"},
	[LINT_MSGID_MISSING] = {"msgid-missing", LINT_FIX, true, msgid_missing,
		"there is no Message-ID field"},
	[LINT_FROM_MISSING] = {"from-missing", LINT_REJECT, true, from_missing,
		"there is no From field: say who writes"},
	[LINT_FROM_MULTIPLE_FIELDS] = {"from-multiple-fields", LINT_REJECT, true, NULL,
		"there are two From fields: leave one, or a reader sees another author than the filters do"},
	[LINT_FROM_MULTIPLE_ADDRESSES] = {"from-multiple-addresses", LINT_REJECT, false, from_multiple_addresses,
		"From has several addresses, which Gmail refuses: leave one"},
	[LINT_FROM_EMPTY_DOMAIN] = {"from-empty-domain", LINT_REJECT, false, NULL,
		"the address in From has no full domain: write local@example.com"},
	[LINT_FROM_NOT_ALLOWED] = {"from-not-allowed", LINT_REJECT, true, NULL,
		"this client may not write as this author"},
	[LINT_FROM_NO_KEY] = {"from-no-key", LINT_WARN, false, from_no_key,
		"no DKIM key fits the domain in From, the message goes unsigned: `postern dkim new DOMAIN` makes one"},
	[LINT_MAILFROM_UNALIGNED] = {"mailfrom-unaligned", LINT_WARN, false, mailfrom_unaligned,
		"the envelope's sender is of another domain than From: SPF will not count for DMARC"},
	[LINT_DUPLICATE_FIELD] = {"duplicate-field", LINT_REJECT, false, NULL,
		"a field that may be there once stands there twice"},
	[LINT_BARE_LF] = {"bare-lf", LINT_REJECT, true, NULL,
		"a line ends with a bare line feed: end lines with CR LF"},
	[LINT_BARE_CR] = {"bare-cr", LINT_REJECT, true, NULL,
		"a carriage return ends no line: end lines with CR LF"},
	[LINT_NUL] = {"nul", LINT_REJECT, true, NULL,
		"there is a NUL: encode the part as base64"},
	[LINT_LINE_LONG_BODY] = {"line-long-body", LINT_FIX, true, line_long_body,
		"a line has over 998 octets: encode the part as quoted-printable or base64"},
	[LINT_LINE_LONG_HEADER] = {"line-long-header", LINT_FIX, true, line_long_header,
		"a header line has over 998 octets: fold it"},
	[LINT_HEADER_8BIT] = {"header-8bit", LINT_REJECT, false, header_8bit,
		"the header holds octets over 127: encode words as RFC 2047 says, or ask for SMTPUTF8"},
	[LINT_BODY_8BIT_UNDECLARED] = {"body-8bit-undeclared", LINT_WARN, false, body_8bit_undeclared,
		"the body holds octets over 127, but BODY=8BITMIME or the MIME fields are missing"},
	[LINT_HEADER_SYNTAX] = {"header-syntax", LINT_REJECT, true, NULL,
		"a line in the header is no field: a name without blanks and a colon are due"},
	[LINT_NO_SEPARATOR] = {"no-separator", LINT_FIX, true, no_separator,
		"no empty line stands between header and body"},
	[LINT_RESENT_BLOCK] = {"resent-block", LINT_WARN, false, resent_block,
		"there are Resent- fields: they are not what forwards a mail today"},
	[LINT_BCC_PRESENT] = {"bcc-present", LINT_FIX, true, bcc_present,
		"there is a Bcc field: receivers would see it"},
	[LINT_RETURN_PATH_PRESENT] = {"return-path-present", LINT_FIX, true, return_path_present,
		"there is a Return-Path field: the last server writes that"},
	[LINT_RECEIVED_COUNT] = {"received-count", LINT_REJECT, true, received_count,
		"there are over 100 Received fields: the message goes in circles"},
	[LINT_RECEIVED_MANY] = {"received-many", LINT_WARN, false, received_many,
		"there are 25 Received fields or more: Mimecast takes that for a loop, Gmail does from 50 on"},
	[LINT_DATE_SKEW] = {"date-skew", LINT_WARN, false, NULL,
		"Date is no date, or more than a day away from now"},
	[LINT_MSGID_SYNTAX] = {"msgid-syntax", LINT_WARN, false, NULL,
		"Message-ID is not <something@your.domain>"},
	[LINT_SUBJECT_MISSING] = {"subject-missing", LINT_NOTE, false, subject_missing,
		"there is no Subject field"},
	[LINT_TO_MISSING] = {"to-missing", LINT_NOTE, false, to_missing,
		"there is no To or Cc field"},
	[LINT_MIME_VERSION_MISSING] = {"mime-version-missing", LINT_FIX, false, mime_version_missing,
		"there is a Content-Type field, but no MIME-Version"},
	[LINT_BULK_NO_UNSUBSCRIBE] = {"bulk-no-unsubscribe", LINT_WARN, false, bulk_no_unsubscribe,
		"this is a mail to many without List-Unsubscribe, which Gmail and Yahoo ask for"},
	[LINT_UNSUBSCRIBE_NO_POST] = {"unsubscribe-no-post", LINT_WARN, false, unsubscribe_no_post,
		"List-Unsubscribe needs a field List-Unsubscribe-Post: List-Unsubscribe=One-Click beside it"},
	[LINT_UNSUBSCRIBE_NO_HTTPS] = {"unsubscribe-no-https", LINT_WARN, false, NULL,
		"List-Unsubscribe-Post needs an https address in List-Unsubscribe"},
	/* The operator's fault, not the message's: it is not refused for it. */
	[LINT_UNSUBSCRIBE_UNSIGNED] = {"unsubscribe-unsigned", LINT_WARN, false, unsubscribe_unsigned,
		"unsubscribing by one click counts only under a DKIM signature, and no key fits the domain in From"},
	[LINT_AUTO_SUBMITTED] = {"auto-submitted", LINT_FIX, false, auto_submitted,
		"a report from the null sender does not say Auto-Submitted: auto-replied"},
	[LINT_AUTH_RESULTS_FORGED] = {"auth-results-forged", LINT_FIX, false, auth_results_forged,
		"there is an Authentication-Results field in our name"},
	[LINT_SIZE] = {"size", LINT_REJECT, true, NULL,
		"the message is larger than max-size allows"},
	[LINT_GMAIL_FROM] = {"gmail-from", LINT_WARN, false, gmail_from,
		"From is an address of a mail provider: receivers refuse it from anywhere else"},
};
/* clang-format on */

enum lint_action
lint_action(enum lint_rule rule, enum listen_lint mode)
{
	const struct row *r = &rows[rule];

	if (mode == LISTEN_LINT_OFF)
		return r->always ? r->action : LINT_PASS;
	if (mode == LISTEN_LINT_FIX)
		return r->action;
	return r->action == LINT_NOTE ? LINT_WARN : LINT_REJECT;
}

struct lint_verdict
lint_judge(const struct lint_facts *f, enum listen_lint mode)
{
	struct lint_verdict v = {.refused = LINT_RULES};

	for (unsigned i = 0; i < LINT_RULES; i++) {
		const struct row *r = &rows[i];
		enum lint_action  action;
		bool              noted = (f->noted & LINT_BIT(i)) != 0;

		if (!noted && (r->check == NULL || !r->check(f)))
			continue;
		action = lint_action((enum lint_rule)i, mode);
		if (action == LINT_PASS)
			continue;
		v.found |= LINT_BIT(i);
		if (action == LINT_WARN)
			v.warned |= LINT_BIT(i);
		/* What is repaired leaves a mark in `fixed`; what is noted could not be. */
		if (v.refused == LINT_RULES &&
		    (action == LINT_REJECT || (action == LINT_FIX && noted)))
			v.refused = (enum lint_rule)i;
	}
	return v;
}

const char *
lint_id(enum lint_rule rule)
{
	return rows[rule].id;
}

const char *
lint_sentence(enum lint_rule rule)
{
	return rows[rule].sentence;
}

struct reply
lint_reply(enum lint_rule rule, struct str words, struct buf *text)
{
	struct buf all = BUF(2 * REPLY_TEXT_MAX);

	/* The words may stand in `text` already. */
	buf_add(&all, words.n > 0 ? words : str_of(rows[rule].sentence));
	buf_addz(&all, " [");
	buf_addz(&all, rows[rule].id);
	buf_addc(&all, ']');
	buf_clear(text);
	buf_add(text, buf_str(&all));
	buf_free(&all);
	return (struct reply){550, {5, 6, 0}, buf_str(text)};
}

void
lint_format(struct buf *out, uint64_t found)
{
	const char *comma = "";

	for (unsigned i = 0; i < LINT_RULES && found >> i != 0; i++) {
		if ((found & LINT_BIT(i)) == 0)
			continue;
		buf_addz(out, comma);
		buf_addz(out, rows[i].id);
		comma = ",";
	}
}

void
lint_format_counter(struct buf *out, enum lint_rule rule)
{
	buf_addz(out, "lint_");
	for (const char *id = rows[rule].id; *id != '\0'; id++)
		buf_addc(out, *id == '-' ? '_' : *id);
	buf_addz(out, "_total");
}

void
lint_count(uint64_t counts[static LINT_RULES], uint64_t found)
{
	for (unsigned i = 0; i < LINT_RULES && found >> i != 0; i++)
		counts[i] += found >> i & 1;
}

/* ---- alignment ---- */

bool
lint_is_aligned(const struct config *c, struct str a, struct str b)
{
	if (a.n == 0 || b.n == 0)
		return false;
	if (domain_is_within(a, b) || domain_is_within(b, a))
		return true;
	for (size_t i = 0; i < c->domains.n; i++) {
		struct str d = c->domains.v[i];

		if (str_starts(d, STR("*.")))
			d = str_skip(d, 2);
		if (d.n > 0 && str_find(d, '*') < 0 && domain_is_within(a, d) &&
		    domain_is_within(b, d))
			return true;
	}
	return false;
}
