/* SPDX-License-Identifier: ISC */
#include "smtpd/params.h"

#include "lib/mail/address.h"
#include "lib/util/encode.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500 }; /* RFC 3461 sections 4.4 and 4.2 */

union params {
	struct mail_params *mail;
	struct rcpt_params *rcpt;
};

struct parser {
	const char  *name;
	struct reply (*parse)(union params to, struct str value, struct buf *scratch);
	bool         bare; /* takes no value; all others need one */
};

#define FINE REPLY(250, 2, 0, 0, "ok")

static struct reply
parse_size(union params to, struct str value, struct buf *scratch UNUSED)
{
	if (!str_number(value, UINT64_MAX, &to.mail->size))
		return REPLY(501, 5, 5, 4, "SIZE= takes a number of octets");
	return FINE;
}

static struct reply
parse_body(union params to, struct str value, struct buf *scratch UNUSED)
{
	if (str_ieq(value, STR("8BITMIME")))
		to.mail->eightbit = true;
	else if (!str_ieq(value, STR("7BIT")))
		return REPLY(501, 5, 5, 4, "BODY= is 7BIT or 8BITMIME here");
	return FINE;
}

static struct reply
parse_smtputf8(union params to, struct str value UNUSED, struct buf *scratch UNUSED)
{
	to.mail->smtputf8 = true;
	return FINE;
}

static struct reply
parse_ret(union params to, struct str value, struct buf *scratch UNUSED)
{
	if (str_ieq(value, STR("FULL")))
		to.mail->ret = RET_FULL;
	else if (str_ieq(value, STR("HDRS")))
		to.mail->ret = RET_HDRS;
	else
		return REPLY(501, 5, 5, 4, "RET= is FULL or HDRS");
	return FINE;
}

/* Decode xtext behind what `scratch` holds. Control octets would break the envelope's lines. */
static bool
decode(struct str value, struct buf *scratch, struct str *out)
{
	size_t from = scratch->n;

	if (!xtext_decode(scratch, value) || scratch->over)
		return false;
	*out = str_skip(buf_str(scratch), from);
	for (size_t i = 0; i < out->n; i++)
		if ((unsigned char)out->p[i] < ' ' || out->p[i] == 0x7f)
			return false;
	return true;
}

static struct reply
parse_envid(union params to, struct str value, struct buf *scratch)
{
	if (value.n > ENVID_MAX || !decode(value, scratch, &to.mail->envid))
		return REPLY(501, 5, 5, 4, "ENVID= takes at most 100 octets of xtext");
	return FINE;
}

/* Who submitted it elsewhere: checked for form, then ignored; we trust no one's word for it. */
static struct reply
parse_auth(union params to UNUSED, struct str value, struct buf *scratch)
{
	struct address a;
	struct str     mailbox;

	if (str_eq(value, STR("<>")))
		return FINE;
	if (!decode(value, scratch, &mailbox) || address_parse(mailbox, &a) != ADDRESS_OK)
		return REPLY(501, 5, 5, 4, "AUTH= takes <> or an address in xtext");
	return FINE;
}

static struct reply
parse_notify(union params to, struct str value, struct buf *scratch UNUSED)
{
	if (!notify_parse(value, &to.rcpt->notify))
		return REPLY(501, 5, 5, 4,
		             "NOTIFY= is NEVER or a list of SUCCESS, FAILURE and DELAY");
	return FINE;
}

static struct reply
parse_orcpt(union params to, struct str value, struct buf *scratch)
{
	ptrdiff_t  semicolon = str_find(value, ';');
	size_t     from = scratch->n;
	struct str address;

	if (value.n > ORCPT_MAX || semicolon <= 0)
		return REPLY(501, 5, 5, 4, "ORCPT= is TYPE;ADDRESS, at most 500 octets");
	for (ptrdiff_t i = 0; i < semicolon; i++) {
		char c = value.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-'))
			return REPLY(501, 5, 5, 4, "ORCPT= has no valid address type");
	}
	buf_add(scratch, str_sub(value, 0, (size_t)semicolon + 1));
	if (!decode(str_skip(value, (size_t)semicolon + 1), scratch, &address) || address.n == 0)
		return REPLY(501, 5, 5, 4, "ORCPT= has no valid address in xtext");
	to.rcpt->orcpt = str_skip(buf_str(scratch), from);
	return FINE;
}

/* clang-format off */
static const struct parser mail_parsers[] = {
	{"SIZE",     parse_size,     false},
	{"BODY",     parse_body,     false},
	{"SMTPUTF8", parse_smtputf8, true},
	{"RET",      parse_ret,      false},
	{"ENVID",    parse_envid,    false},
	{"AUTH",     parse_auth,     false},
};

static const struct parser rcpt_parsers[] = {
	{"NOTIFY", parse_notify, false},
	{"ORCPT",  parse_orcpt,  false},
};
/* clang-format on */

static const struct parser *
find(const struct parser *table, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(name, str_of(table[i].name)))
			return &table[i];
	return NULL;
}

static struct reply
parse(struct str text, union params to, struct buf *scratch, const struct parser *table, size_t n)
{
	unsigned   seen = 0;
	struct str word;

	/*
	 * All values together are no longer than the line, so `scratch` never moves: values
	 * borrow.
	 */
	buf_clear(scratch);
	if (text.n > 0)
		(void)buf_room(scratch, text.n);
	if (text.n > 0 && text.p[0] != ' ' && text.p[0] != '\t')
		return REPLY(501, 5, 5, 4, "a blank is missing behind the address");
	while ((word = str_word(&text)).n > 0) {
		ptrdiff_t            eq = str_find(word, '=');
		struct str           name = eq < 0 ? word : str_sub(word, 0, (size_t)eq);
		struct str           value = eq < 0 ? STR_NONE : str_skip(word, (size_t)eq + 1);
		const struct parser *p = find(table, n, name);
		struct reply         r;

		if (p == NULL)
			return REPLY(555, 5, 5, 4, "unknown parameter");
		if ((seen & 1U << (p - table)) != 0)
			return REPLY(501, 5, 5, 4, "a parameter is given twice");
		seen |= 1U << (p - table);
		if (p->bare ? eq >= 0 : value.n == 0)
			return REPLY(501, 5, 5, 4, "a parameter's value is missing or not wanted");
		if ((r = p->parse(to, value, scratch)).code != 250)
			return r;
	}
	return FINE;
}

struct reply
params_mail(struct str text, struct mail_params *out, struct buf *scratch)
{
	*out = (struct mail_params){0};
	return parse(text, (union params){.mail = out}, scratch, mail_parsers,
	             ARRAY_LEN(mail_parsers));
}

struct reply
params_rcpt(struct str text, struct rcpt_params *out, struct buf *scratch)
{
	*out = (struct rcpt_params){0};
	return parse(text, (union params){.rcpt = out}, scratch, rcpt_parsers,
	             ARRAY_LEN(rcpt_parsers));
}
