/* SPDX-License-Identifier: ISC */
#include "lib/mail/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { RCPTS_MAX = 100000 };

enum kind { TEXT, FLAG, TIME, SIZE, COUNT, RET, RCPT_TO, RCPT_ORCPT, RCPT_NOTIFY };

/* clang-format off */
#define KEY(literal) {(literal), sizeof(literal) - 1}
/* clang-format on */

/* In the order in which they are written; the lines of a recipient follow its "to". */
static const struct {
	struct str key;
	enum kind  kind;
	size_t     at; /* in struct envelope */
} lines[] = {
	{KEY("from"), TEXT, offsetof(struct envelope, from)},
	{KEY("pace"), TEXT, offsetof(struct envelope, pace)},
	{KEY("accepted-ms"), TIME, offsetof(struct envelope, accepted_ms)},
	{KEY("size"), SIZE, offsetof(struct envelope, size)},
	{KEY("client"), TEXT, offsetof(struct envelope, client)},
	{KEY("helo"), TEXT, offsetof(struct envelope, helo)},
	{KEY("login"), TEXT, offsetof(struct envelope, login)},
	{KEY("proto"), TEXT, offsetof(struct envelope, proto)},
	{KEY("envid"), TEXT, offsetof(struct envelope, envid)},
	{KEY("ret"), RET, offsetof(struct envelope, ret)},
	{KEY("smtputf8"), FLAG, offsetof(struct envelope, smtputf8)},
	{KEY("eightbit"), FLAG, offsetof(struct envelope, eightbit)},
	{KEY("hold"), FLAG, offsetof(struct envelope, hold)},
	{KEY("hold-why"), TEXT, offsetof(struct envelope, hold_why)},
	{KEY("hops"), COUNT, offsetof(struct envelope, hops)},
	{KEY("header-from"), TEXT, offsetof(struct envelope, header_from)},
	{KEY("msgid"), TEXT, offsetof(struct envelope, msgid)},
	{KEY("bh-canon"), TEXT, offsetof(struct envelope, bh_canon)},
	{KEY("bh"), TEXT, offsetof(struct envelope, bh)},
	{KEY("parent"), TEXT, offsetof(struct envelope, parent)},
	{KEY("to"), RCPT_TO, 0},
	{KEY("orcpt"), RCPT_ORCPT, 0},
	{KEY("notify"), RCPT_NOTIFY, 0},
};

static const struct {
	struct str word;
	unsigned   bit;
} notifies[] = {
	{KEY("never"), NOTIFY_NEVER},
	{KEY("success"), NOTIFY_SUCCESS},
	{KEY("failure"), NOTIFY_FAILURE},
	{KEY("delay"), NOTIFY_DELAY},
};

static const struct str rets[] = {[RET_FULL] = KEY("full"), [RET_HDRS] = KEY("hdrs")};

bool
notify_parse(struct str text, unsigned *bits)
{
	struct str word;

	*bits = 0;
	while (str_cut(&text, ',', &word)) {
		unsigned bit = 0;

		for (size_t i = 0; i < ARRAY_LEN(notifies); i++)
			if (str_ieq(word, notifies[i].word))
				bit = notifies[i].bit;
		if (bit == 0)
			return false;
		*bits |= bit;
	}
	return *bits != 0 && (*bits == NOTIFY_NEVER || (*bits & NOTIFY_NEVER) == 0);
}

void
notify_format(struct buf *out, unsigned bits)
{
	bool comma = false;

	for (size_t i = 0; i < ARRAY_LEN(notifies); i++)
		if ((bits & notifies[i].bit) != 0) {
			buf_addz(out, comma ? "," : "");
			buf_add(out, notifies[i].word);
			comma = true;
		}
}

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static size_t
plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && !is_control(s.p[n]))
		n++;
	return n;
}

/*
 * The reader borrows values and so cannot undo an escape: a control octet, which no
 * checked value has, stays visible as \xNN, and cannot begin a line of its own.
 */
static void
add_line(struct buf *out, struct str key, struct str value)
{
	buf_add(out, key);
	buf_addz(out, ": ");
	for (;;) {
		size_t plain = plain_length(value);

		buf_add(out, str_sub(value, 0, plain));
		if (plain == value.n)
			break;
		buf_addf(out, "\\x%02x", (unsigned char)value.p[plain]);
		value = str_skip(value, plain + 1);
	}
	buf_addc(out, '\n');
}

static void
add_number(struct buf *out, struct str key, uint64_t number)
{
	if (number == 0)
		return;
	buf_add(out, key);
	buf_addz(out, ": ");
	buf_addn(out, number);
	buf_addc(out, '\n');
}

static void
add_rcpt(struct buf *out, const struct rcpt *r)
{
	add_line(out, STR("to"), r->to);
	if (r->orcpt.n > 0)
		add_line(out, STR("orcpt"), r->orcpt);
	if (r->notify != 0) {
		buf_addz(out, "notify: ");
		notify_format(out, r->notify);
		buf_addc(out, '\n');
	}
}

static void
add_member(struct buf *out, size_t i, const void *member)
{
	struct str key = lines[i].key, text;
	int64_t    ms;

	switch (lines[i].kind) {
	case TEXT:
		text = *(const struct str *)member;
		if (text.n > 0 || lines[i].at == offsetof(struct envelope, from))
			add_line(out, key, text);
		break;
	case FLAG:
		if (*(const bool *)member)
			add_line(out, key, STR("yes"));
		break;
	case TIME:
		ms = *(const int64_t *)member;
		add_number(out, key, ms > 0 ? (uint64_t)ms : 0);
		break;
	case SIZE:
		add_number(out, key, *(const uint64_t *)member);
		break;
	case COUNT:
		add_number(out, key, *(const unsigned *)member);
		break;
	case RET:
		if (*(const enum ret *)member != RET_NONE)
			add_line(out, key, rets[*(const enum ret *)member]);
		break;
	case RCPT_TO:
	case RCPT_ORCPT:
	case RCPT_NOTIFY:
		break;
	}
}

void
envelope_format(struct buf *out, const struct envelope *e)
{
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		add_member(out, i, (const char *)e + lines[i].at);
	for (size_t i = 0; i < e->n_rcpts; i++)
		add_rcpt(out, &e->rcpts[i]);
}

/* Room doubles when the count reaches a power of two, so that no capacity need be kept. */
static bool
add_recipient(struct envelope *e, struct str to)
{
	size_t n = e->n_rcpts;

	if (to.n == 0 || n >= RCPTS_MAX)
		return false;
	if ((n & (n - 1)) == 0)
		e->rcpts = mem_resize(e->rcpts, n == 0 ? 1 : 2 * n, sizeof *e->rcpts);
	e->rcpts[n] = (struct rcpt){.to = to};
	e->n_rcpts++;
	return true;
}

static bool
parse_ret(struct str value, enum ret *ret)
{
	for (enum ret r = RET_FULL; r <= RET_HDRS; r++)
		if (str_ieq(value, rets[r])) {
			*ret = r;
			return true;
		}
	return false;
}

static bool
parse_rcpt(struct envelope *e, enum kind kind, struct str value)
{
	struct rcpt *last = e->n_rcpts > 0 ? &e->rcpts[e->n_rcpts - 1] : NULL;

	if (kind == RCPT_TO)
		return add_recipient(e, value);
	if (last == NULL)
		return false;
	if (kind == RCPT_NOTIFY)
		return notify_parse(value, &last->notify);
	last->orcpt = value;
	return true;
}

static bool
parse_member(struct envelope *e, size_t i, struct str value)
{
	void    *member = (char *)e + lines[i].at;
	uint64_t number;

	switch (lines[i].kind) {
	case TEXT:
		*(struct str *)member = value;
		return true;
	case FLAG:
		*(bool *)member = str_eq(value, STR("yes"));
		return true;
	case TIME:
		if (!str_number(value, INT64_MAX, &number))
			return false;
		*(int64_t *)member = (int64_t)number;
		return true;
	case SIZE:
		return str_number(value, UINT64_MAX, (uint64_t *)member);
	case COUNT:
		if (!str_number(value, UINT32_MAX, &number))
			return false;
		*(unsigned *)member = (unsigned)number;
		return true;
	case RET:
		return parse_ret(value, member);
	case RCPT_TO:
	case RCPT_ORCPT:
	case RCPT_NOTIFY:
		return parse_rcpt(e, lines[i].kind, value);
	}
	return false;
}

/* Lines mostly come in the order of the table, so the search goes on where the last one ended. */
static bool
parse_line(struct envelope *e, struct str line, size_t *hint)
{
	ptrdiff_t  colon = str_find(line, ':');
	struct str key = str_sub(line, 0, colon < 0 ? 0 : (size_t)colon);
	struct str value = str_skip(line, key.n + 1);

	if (key.n == 0)
		return false;
	if (str_starts(value, STR(" ")))
		value = str_skip(value, 1);
	for (size_t k = 0; k < ARRAY_LEN(lines); k++) {
		size_t i = (*hint + k) % ARRAY_LEN(lines);

		if (!str_eq(key, lines[i].key))
			continue;
		*hint = lines[i].kind < RCPT_TO ? i + 1 : ARRAY_LEN(lines) - 3;
		return parse_member(e, i, value);
	}
	return true;
}

bool
envelope_parse(struct envelope *e, struct str text)
{
	struct str line;
	size_t     hint = 0;

	*e = (struct envelope){0};
	if (!str_ends(text, STR("\n")))
		return false;
	text = str_sub(text, 0, text.n - 1);
	while (str_cut(&text, '\n', &line))
		if (!parse_line(e, line, &hint))
			goto fail;
	if (e->n_rcpts == 0)
		goto fail;
	return true;
fail:
	envelope_free(e);
	return false;
}

void
envelope_free(struct envelope *e)
{
	free(e->rcpts);
	*e = (struct envelope){0};
}
