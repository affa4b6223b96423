/* SPDX-License-Identifier: ISC */
#include "smtpd/refold.h"

#include <string.h>

#include "smtpd/data.h"

bool
refold_is_needed(struct str s)
{
	while (s.n > DATA_LINE_MAX) {
		const char *lf = memchr(s.p, '\n', s.n);
		size_t      line = lf != NULL ? (size_t)(lf - s.p) : s.n;

		if (line > 0 && s.p[line - 1] == '\r')
			line--;
		if (line > DATA_LINE_MAX)
			return true;
		if (lf == NULL)
			return false;
		s = str_skip(s, (size_t)(lf - s.p) + 1);
	}
	return false;
}

static bool
is_wsp(char c)
{
	return c == ' ' || c == '\t';
}

/*
 * Where the next line may begin, 0 for nowhere: at white space with text on both sides, in lists
 * behind a comma, too, and nowhere in a quoted string. `quoted`: the line begins in one.
 */
static size_t
find_place(struct str line, bool list, bool *quoted)
{
	size_t best = 0;
	bool   in = *quoted, text = false, in_best = in;

	for (size_t i = 0; i < line.n && i < DATA_LINE_MAX; i++) {
		char c = line.p[i];
		bool wsp = is_wsp(c) && i + 1 < line.n && !is_wsp(line.p[i + 1]) && !(list && in);
		bool comma = list && !in && i > 0 && line.p[i - 1] == ',' && !is_wsp(c);

		if (text && (wsp || comma)) {
			best = i;
			in_best = in;
		}
		text = text || !is_wsp(c);
		if (c == '\\' && in)
			i++;
		else if (c == '"')
			in = !in;
	}
	*quoted = in_best;
	return best;
}

static bool
fold_line(struct buf *out, struct str line, bool list)
{
	bool quoted = false;

	while (line.n > DATA_LINE_MAX) {
		size_t at = find_place(line, list, &quoted);

		if (at == 0)
			return false;
		buf_add(out, str_sub(line, 0, at));
		buf_addz(out, "\r\n");
		line = str_skip(line, at);
		if (is_wsp(line.p[0]))
			continue;
		buf_addc(out, ' ');
	}
	buf_add(out, line);
	buf_addz(out, "\r\n");
	return true;
}

bool
refold(struct buf *out, size_t from, bool list)
{
	struct buf copy = BUF(out->limit);
	struct str rest, line;
	bool       ok = true;

	buf_add(&copy, str_skip(buf_str(out), from));
	buf_truncate(out, from);
	rest = buf_str(&copy);
	while (rest.n > 0) {
		(void)str_cut(&rest, '\n', &line);
		if (str_ends(line, STR("\r")))
			line = str_sub(line, 0, line.n - 1);
		ok = fold_line(out, line, list) && ok;
	}
	buf_free(&copy);
	return ok;
}
