/* SPDX-License-Identifier: ISC */
#include "lib/mail/reply.h"

bool
reply_is_ok(struct reply r)
{
	return r.code / 100 == 2;
}

bool
reply_is_temporary(struct reply r)
{
	return r.code / 100 == 4;
}

bool
reply_is_permanent(struct reply r)
{
	return r.code / 100 == 5;
}

static bool
is_plain(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return true;
}

/* A reply is one line, whatever got into its text. */
static void
add_text(struct buf *out, struct str text)
{
	if (is_plain(text)) {
		buf_add(out, text);
		return;
	}
	for (size_t i = 0; i < text.n; i++)
		buf_addc(out, is_plain(str_sub(text, i, 1)) ? text.p[i] : ' ');
}

static void
add_status(struct buf *out, const uint8_t status[3])
{
	buf_addn(out, status[0]);
	buf_addc(out, '.');
	buf_addn(out, status[1]);
	buf_addc(out, '.');
	buf_addn(out, status[2]);
}

void
reply_format(struct buf *out, struct reply r)
{
	buf_addn(out, r.code);
	if (r.status[0] != 0) {
		buf_addc(out, ' ');
		add_status(out, r.status);
	}
	if (r.text.n > 0) {
		buf_addc(out, ' ');
		add_text(out, r.text);
	}
}

void
reply_format_status(struct buf *out, struct reply r)
{
	const uint8_t general[3] = {(uint8_t)(r.code / 100), 0, 0};

	add_status(out, r.status[0] != 0 ? r.status : general);
}

/*
 * "5.1.1" and what follows it, if its class fits the code (RFC 2034 section 4);
 * a status that contradicts its code is only text.
 */
static bool
cut_status(struct str *rest, unsigned class, uint8_t status[3])
{
	struct str after = *rest, word = str_word(&after), part;
	uint64_t   number[3];

	for (size_t i = 0; i < 3; i++) {
		bool last = !str_cut(&word, '.', &part);

		if (last || part.n == 0 || !str_number(part, 999, &number[i]))
			return false;
	}
	if (word.n > 0 || number[0] != class || (class != 2 && class != 4 && class != 5))
		return false;
	for (size_t i = 0; i < 3; i++)
		status[i] = (uint8_t)(number[i] > 255 ? 255 : number[i]);
	*rest = str_trim(after);
	return true;
}

bool
reply_parse(struct str line, struct reply *r)
{
	struct str rest = str_skip(line, 3);
	uint64_t   code;

	*r = (struct reply){0};
	if (line.n < 3 || !str_number(str_sub(line, 0, 3), 599, &code) || code < 200)
		return false;
	if (rest.n > 0 && rest.p[0] != ' ' && rest.p[0] != '-' && rest.p[0] != '\t')
		return false;
	r->code = (uint16_t)code;
	rest = str_trim(str_skip(rest, 1));
	cut_status(&rest, r->code / 100, r->status);
	r->text = str_sub(rest, 0, REPLY_TEXT_MAX);
	return true;
}
