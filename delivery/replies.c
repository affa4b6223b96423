/* SPDX-License-Identifier: ISC */
#include "delivery/replies.h"

void
replies_init(struct replies *r)
{
	*r = (struct replies){.raw = BUF(REPLY_KEPT_MAX), .joined = BUF(REPLY_KEPT_MAX + 64)};
}

void
replies_free(struct replies *r)
{
	buf_free(&r->raw);
	buf_free(&r->joined);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Code and separator; false if the line is not from an SMTP server. */
static bool
parse_head(struct str line, unsigned *code, bool *last)
{
	if (line.n < 3 || !is_digit(line.p[0]) || !is_digit(line.p[1]) || !is_digit(line.p[2]))
		return false;
	*code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
	        (unsigned)(line.p[2] - '0');
	*last = line.n == 3 || line.p[3] != '-';
	if (line.n > 3 && line.p[3] != '-' && line.p[3] != ' ')
		return false;
	return *code >= 200 && *code < 600;
}

static bool
is_status(struct str word)
{
	unsigned dots = 0;

	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == '.')
			dots++;
		else if (!is_digit(word.p[i]))
			return false;
	}
	return dots == 2 && word.n >= 5 && is_digit(word.p[0]) && word.p[1] == '.';
}

/* One line of text: the enhanced status that many servers repeat on each line stays only once. */
static void
join(struct replies *r)
{
	struct str rest = buf_str(&r->raw), line, status = STR_NONE;

	buf_clear(&r->joined);
	buf_addn(&r->joined, r->code);
	while (str_cut(&rest, '\n', &line)) {
		struct str after = line, word = str_word(&after);

		if (is_status(word) && status.n == 0 && r->joined.n == 3)
			status = word;
		else if (is_status(word) && str_eq(word, status))
			line = after;
		line = str_trim(line);
		if (line.n == 0)
			continue;
		buf_addc(&r->joined, ' ');
		buf_add(&r->joined, line);
	}
}

enum replies_state
replies_line(struct replies *r, struct str line, struct reply *reply)
{
	unsigned code;
	bool     last;

	if (r->code == 0) {
		buf_clear(&r->raw);
		r->lines = 0;
	}
	if (!parse_head(line, &code, &last) || (r->code != 0 && code != r->code))
		return REPLIES_BROKEN;
	if (++r->lines > REPLY_LINES_MAX)
		return REPLIES_BROKEN;
	r->code = code;
	if (r->lines > 1)
		buf_addc(&r->raw, '\n');
	buf_add(&r->raw, str_skip(line, 4));
	if (!last)
		return REPLIES_MORE;
	join(r);
	r->code = 0;
	return reply_parse(buf_str(&r->joined), reply) ? REPLIES_WHOLE : REPLIES_BROKEN;
}

struct str
replies_raw(const struct replies *r)
{
	return buf_str(&r->raw);
}
