/* SPDX-License-Identifier: ISC */
#include "lib/proc/control.h"

#include <string.h>

/* One list for both ways: the letter behind the backslash, and what it stands for. */
static const struct {
	char letter, octet;
} escapes[] = {
	{'\\', '\\'}, {'"', '"'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'},
};

static void
escape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char letter = '\0';

		for (size_t e = 0; e < ARRAY_LEN(escapes); e++)
			if (escapes[e].octet == s.p[i])
				letter = escapes[e].letter;
		if (letter != '\0')
			buf_addc(out, '\\');
		buf_addc(out, letter != '\0' ? letter : s.p[i]);
	}
}

/* Take one octet, escaped or not, off a non-empty `s`. */
static char
unescape(struct str *s)
{
	char octet = *s->p;

	*s = str_skip(*s, 1);
	if (octet != '\\' || s->n == 0)
		return octet;
	for (size_t e = 0; e < ARRAY_LEN(escapes); e++) {
		if (escapes[e].letter == *s->p) {
			octet = escapes[e].octet;
			*s = str_skip(*s, 1);
			break;
		}
	}
	return octet;
}

bool
control_word(struct str *rest, struct buf *scratch, struct str *word)
{
	while (rest->n > 0 && (*rest->p == ' ' || *rest->p == '\t'))
		*rest = str_skip(*rest, 1);
	if (rest->n == 0)
		return false;
	if (*rest->p != '"') {
		*word = str_word(rest);
		return word->n > 0; /* nothing before a line end */
	}
	buf_clear(scratch);
	*rest = str_skip(*rest, 1);
	while (rest->n > 0 && *rest->p != '"')
		buf_addc(scratch, unescape(rest));
	*rest = str_skip(*rest, 1);
	*word = buf_str(scratch);
	return true;
}

void
control_add_word(struct buf *request, struct str word)
{
	bool plain = word.n > 0;

	for (size_t i = 0; i < word.n; i++)
		plain = plain && word.p[i] > ' ' && strchr("\"\\\177", word.p[i]) == NULL;
	if (request->n > 0)
		buf_addc(request, ' ');
	if (plain) {
		buf_add(request, word);
		return;
	}
	buf_addc(request, '"');
	escape(request, word);
	buf_addc(request, '"');
}

static void
add_key(struct buf *row, const char *key, const char *sign)
{
	if (row->n > 0 && row->p[row->n - 1] != '\n')
		buf_addc(row, '\t');
	buf_addz(row, key);
	buf_addz(row, sign);
}

void
control_cell(struct buf *row, const char *key, struct str value)
{
	add_key(row, key, "=");
	escape(row, value);
}

void
control_cell_int(struct buf *row, const char *key, int64_t value)
{
	add_key(row, key, ":=");
	buf_addf(row, "%lld", (long long)value);
}

void
control_row_end(struct buf *row)
{
	buf_addc(row, '\n');
}

void
control_end(struct buf *out, int exit_code, struct str text)
{
	buf_addf(out, "end %d ", exit_code);
	escape(out, text);
	buf_addc(out, '\n');
}

bool
control_next_cell(struct str *row, struct str *key, struct buf *value, bool *number)
{
	struct str cell;
	ptrdiff_t  at;

	buf_clear(value);
	if (!str_cut(row, '\t', &cell) || (at = str_find(cell, '=')) <= 0)
		return false;
	*key = str_sub(cell, 0, (size_t)at);
	cell = str_skip(cell, (size_t)at + 1);
	*number = str_ends(*key, STR(":"));
	if (*number)
		key->n--;
	while (cell.n > 0)
		buf_addc(value, unescape(&cell));
	return key->n > 0;
}
