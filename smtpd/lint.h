/* SPDX-License-Identifier: ISC */
/*
 * lint - what receivers would hold against a message, rule by rule.
 *
 * One table: a rule's name, what is done about it, the check, a sentence for people. The checks
 * look at facts that others gathered while the message passed (fixup.h, message.h), so a message
 * is read once, however many rules there are. What a rule's default action means depends on the
 * listener:
 *
 *             fix (default)     strict      off
 *   note      counted           warned of   -
 *   warn      logged            refused     -
 *   fix       repaired          refused     - (repaired, if the rule always holds)
 *   reject    refused           refused     - (refused, if the rule always holds)
 */
#ifndef SMTPD_LINT_H
#define SMTPD_LINT_H

#include "lib/mail/reply.h"
#include "lib/proc/config.h"

/* Numbers of the rows; at most 64. */
enum lint_rule {
	LINT_DATE_MISSING,
	LINT_MSGID_MISSING,
	LINT_FROM_MISSING,
	LINT_FROM_MULTIPLE_FIELDS,
	LINT_FROM_MULTIPLE_ADDRESSES,
	LINT_FROM_EMPTY_DOMAIN,
	LINT_FROM_NOT_ALLOWED,
	LINT_FROM_NO_KEY,
	LINT_MAILFROM_UNALIGNED,
	LINT_DUPLICATE_FIELD,
	LINT_BARE_LF,
	LINT_BARE_CR,
	LINT_NUL,
	LINT_LINE_LONG_BODY,
	LINT_LINE_LONG_HEADER,
	LINT_HEADER_8BIT,
	LINT_BODY_8BIT_UNDECLARED,
	LINT_HEADER_SYNTAX,
	LINT_NO_SEPARATOR,
	LINT_RESENT_BLOCK,
	LINT_BCC_PRESENT,
	LINT_RETURN_PATH_PRESENT,
	LINT_RECEIVED_COUNT,
	LINT_RECEIVED_MANY,
	LINT_DATE_SKEW,
	LINT_MSGID_SYNTAX,
	LINT_SUBJECT_MISSING,
	LINT_TO_MISSING,
	LINT_MIME_VERSION_MISSING,
	LINT_BULK_NO_UNSUBSCRIBE,
	LINT_UNSUBSCRIBE_NO_POST,
	LINT_UNSUBSCRIBE_NO_HTTPS,
	LINT_UNSUBSCRIBE_UNSIGNED,
	LINT_AUTO_SUBMITTED,
	LINT_AUTH_RESULTS_FORGED,
	LINT_SIZE,
	LINT_GMAIL_FROM,
	LINT_RULES, /* their number; as a rule: none */
};

enum lint_action { LINT_PASS, LINT_NOTE, LINT_WARN, LINT_FIX, LINT_REJECT };

/* Fields with a meaning here: bits of `seen`. Numbers of the rows in fixup.c; at most 64. */
enum lint_field {
	FIELD_FROM,
	FIELD_TO,
	FIELD_SUBJECT,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_MIME_VERSION,
	FIELD_CONTENT_TYPE,
	FIELD_CONTENT_TRANSFER_ENCODING,
	FIELD_CC,
	FIELD_REPLY_TO,
	FIELD_SENDER,
	FIELD_RECEIVED,
	FIELD_LIST_UNSUBSCRIBE,
	FIELD_LIST_UNSUBSCRIBE_POST,
	FIELD_IN_REPLY_TO,
	FIELD_REFERENCES,
	FIELD_BCC,
	FIELD_LIST_ID,
	FIELD_PRECEDENCE,
	FIELD_RETURN_PATH,
	FIELD_AUTO_SUBMITTED,
	FIELD_AUTHENTICATION_RESULTS,
	FIELD_CONTENT_DISPOSITION,
	FIELD_CONTENT_ID,
	FIELD_CONTENT_DESCRIPTION,
	FIELD_CONTENT_LANGUAGE,
	FIELD_CONTENT_LOCATION,
	FIELD_CONTENT_MD5,
	FIELD_CONTENT_BASE,
	FIELD_CONTENT_DURATION,
	FIELD_CONTENT_FEATURES,
	FIELD_RESENT_FROM,
	FIELD_RESENT_SENDER,
	FIELD_RESENT_TO,
	FIELD_RESENT_CC,
	FIELD_RESENT_REPLY_TO,
	FIELD_RESENT_BCC,
	FIELD_RESENT_DATE,
	FIELD_RESENT_MESSAGE_ID,
	FIELD_COUNT,
};

#define LINT_BIT(n_) ((uint64_t)1 << (n_))

struct lint_facts {
	uint64_t   seen;     /* LINT_BIT(FIELD_*): stands there, and not empty */
	uint64_t   noted;    /* LINT_BIT(LINT_*): whoever reads the message saw it himself */
	unsigned   fixed;    /* FIXED_* of fixup.h: repaired, or it would have been */
	unsigned   hops;     /* Received fields */
	unsigned   authors;  /* addresses in From */
	struct str author;   /* canonical domain of the first author */
	bool       bulk;     /* Precedence says so, or how much its sender sends */
	bool       head_eightbit, body_eightbit;
	bool       says_utf8, says_eightbit; /* SMTPUTF8 and BODY=8BITMIME at MAIL */
	bool       signs;    /* signing is on */
	bool       has_key;  /* and a key is there for the author's domain */
	bool       aligned;  /* the envelope's sender and the author are of one organisation */
};

struct lint_verdict {
	uint64_t       found;   /* LINT_BIT(LINT_*) */
	uint64_t       warned;  /* those of them that are logged */
	enum lint_rule refused; /* LINT_RULES: none */
};

struct lint_verdict lint_judge(const struct lint_facts *f, enum listen_lint mode);

/* What is done about a rule there; LINT_PASS: nothing. */
enum lint_action lint_action(enum lint_rule rule, enum listen_lint mode);

const char *lint_id(enum lint_rule rule); /* "date-missing" */
const char *lint_sentence(enum lint_rule rule);

/*
 * The refusal, "550 5.6.0 SENTENCE [ID]"; `words` take the sentence's place unless empty. The
 * text is written to `text`.
 */
struct reply lint_reply(enum lint_rule rule, struct str words, struct buf *text);

/* "date-skew,subject-missing" */
void lint_format(struct buf *out, uint64_t rules);

/* "lint_date_skew_total": its name in the statistics. */
void lint_format_counter(struct buf *out, enum lint_rule rule);

/* One more for each rule that was found. */
void lint_count(uint64_t counts[static LINT_RULES], uint64_t found);

/*
 * True if DMARC's relaxed alignment can be taken for granted without asking the DNS: the same
 * domain, one below the other, or both below one name of `domains`.
 */
bool lint_is_aligned(const struct config *c, struct str a, struct str b);

#endif
