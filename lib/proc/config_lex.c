/* SPDX-License-Identifier: ISC */
#include "lib/proc/config_lex.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

void
lexer_init(struct lexer *l, struct maker *m, const struct source *s, enum lex_mode mode)
{
	*l = (struct lexer){.m = m, .source = s, .mode = mode, .line = 1, .column = 1};
	buf_init(&l->word, mode == LEX_CARRIED ? WIRE_CONFIG_MAX : CONF_WORD_MAX);
	if (str_starts(s->text, STR("\xef\xbb\xbf"))) /* the mark some editors put in front */
		l->at = 3;
}

void
lexer_free(struct lexer *l)
{
	if (l->word.p != NULL)
		mem_wipe(l->word.p, l->word.cap);
	buf_free(&l->word);
}

static int
peek(const struct lexer *l)
{
	return l->at < l->source->text.n ? (unsigned char)l->source->text.p[l->at] : -1;
}

static void
step(struct lexer *l)
{
	int c = peek(l);

	l->at++;
	if (c == '\n') {
		l->line++;
		l->column = 1;
	} else if ((c & 0xc0) != 0x80) { /* a character counts once, at its first octet */
		l->column++;
	}
}

static struct place
here(const struct lexer *l)
{
	return (struct place){l->source, l->line, l->column, 1};
}

static bool
is_blank(const struct lexer *l, int c)
{
	return c == ' ' || c == '\t' || c == '\r' || (c == ',' && l->mode == LEX_ENV);
}

static bool
ends_word(const struct lexer *l, int c)
{
	return c < 0 || c == '\n' || is_blank(l, c) || c == '{' || c == '}' || c == ';';
}

static bool
is_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* The value of "NAME" or "NAME:-default". Nothing and a problem if there is none. */
static struct str
variable(struct lexer *l, struct str inside, struct place at)
{
	size_t      n = 0;
	char       *name;
	const char *value;

	while (n < inside.n && is_name((unsigned char)inside.p[n]))
		n++;
	if (n == 0 || (n < inside.n && !str_starts(str_skip(inside, n), STR(":-")))) {
		conf_problem(l->m, CONF_ERROR, at, "\"${%.*s}\" is no variable", S(inside));
		conf_hint(l->m, "write ${NAME} or ${NAME:-default}");
		return STR_NONE;
	}
	name = str_dup(str_sub(inside, 0, n));
	value = getenv(name);
	if (value == NULL && n == inside.n) {
		conf_problem(l->m, CONF_ERROR, at, "the variable %s is not set", name);
		conf_hint(l->m, "set it, or write ${%s:-default}", name);
	}
	free(name);
	if (n < inside.n && (value == NULL || *value == '\0'))
		return str_skip(inside, n + 2);
	return str_of(value);
}

/* At "${". True if the text was a variable and is dealt with. */
static bool
expand(struct lexer *l, bool in_quotes)
{
	struct str   rest = str_skip(l->source->text, l->at);
	struct place at = here(l);
	ptrdiff_t    close, line_end = str_find(rest, '\n');
	struct str   value;

	if (l->mode != LEX_FILE || !str_starts(rest, STR("${")))
		return false;
	close = str_find(line_end < 0 ? rest : str_sub(rest, 0, (size_t)line_end), '}');
	if (close < 0) {
		at.length = 2;
		conf_problem(l->m, CONF_ERROR, at, "\"${\" without \"}\"");
		step(l);
		step(l);
		return true;
	}
	at.length = (unsigned)close + 1;
	value = variable(l, str_sub(rest, 2, (size_t)close - 2), at);
	l->expanded = true;
	for (ptrdiff_t i = 0; i <= close; i++)
		step(l);
	if (!in_quotes) {
		size_t n = 0;

		while (n < value.n && !is_blank(l, (unsigned char)value.p[n]) && value.p[n] != '\n')
			n++;
		if (n < value.n) { /* more than one word: the others come with the next calls */
			l->pending = arena_str(&l->m->scratch, str_skip(value, n));
			l->pending_at = at;
			value = str_sub(value, 0, n);
		}
	}
	buf_add(&l->word, value);
	return true;
}

/* From quote to quote; a word may have several such parts. */
static void
quoted_part(struct lexer *l)
{
	struct place at = here(l);

	l->quoted = true;
	step(l);
	for (;;) {
		int c = peek(l);

		if (c < 0 || c == '\n') {
			conf_problem(l->m, CONF_ERROR, at, "the quote is not closed on this line");
			return;
		}
		if (c == '$' && expand(l, true))
			continue;
		step(l);
		if (c == '"')
			return;
		if (c == '\\' && (peek(l) == '"' || peek(l) == '\\')) {
			c = peek(l);
			step(l);
		}
		buf_addc(&l->word, (char)c);
	}
}

static void
plain_char(struct lexer *l, int c)
{
	if (c < ' ' || c == 0x7f)
		conf_problem(l->m, CONF_ERROR, here(l), "control character 0x%02x", (unsigned)c);
	else
		buf_addc(&l->word, (char)c);
	step(l);
}

/* A word of the text; false if it came to nothing (an empty variable). */
static bool
text_word(struct lexer *l, struct word *w)
{
	size_t from = l->at;

	buf_clear(&l->word);
	l->quoted = l->expanded = false;
	while (!ends_word(l, peek(l)) && l->pending.n == 0) {
		int c = peek(l);

		if (c == '"')
			quoted_part(l);
		else if (c != '$' || !expand(l, false))
			plain_char(l, c);
	}
	if (l->word.over) {
		conf_problem(l->m, CONF_ERROR, w->at, "this value is too long");
		buf_clear(&l->word);
	}
	w->at.length = l->column > w->at.column ? l->column - w->at.column : 1;
	w->text = arena_str(&l->m->tree->arena, buf_str(&l->word));
	w->quoted = l->quoted;
	w->expanded = l->expanded;
	return w->text.n > 0 || l->quoted || l->at == from;
}

static void
skip_blanks(struct lexer *l)
{
	for (;;) {
		int c = peek(l);

		if (is_blank(l, c)) {
			step(l);
		} else if (c == '#' && l->mode == LEX_FILE) {
			while (peek(l) >= 0 && peek(l) != '\n')
				step(l);
		} else {
			return;
		}
	}
}

static bool
pending_word(struct lexer *l, struct word *w)
{
	struct str piece = str_word(&l->pending);

	if (piece.n == 0) {
		l->pending = STR_NONE;
		return false;
	}
	*w = (struct word){.text = arena_str(&l->m->tree->arena, piece), .at = l->pending_at, .expanded = true};
	return true;
}

enum token
lexer_next(struct lexer *l, struct word *w)
{
	if (pending_word(l, w))
		return TOKEN_WORD;
	for (;;) {
		int c;

		skip_blanks(l);
		c = peek(l);
		*w = (struct word){.at = here(l)};
		l->start = l->at;
		if (c < 0)
			return TOKEN_EOF;
		if (c == '\n' || c == ';' || c == '{' || c == '}') {
			step(l);
			return c == '{' ? TOKEN_OPEN : c == '}' ? TOKEN_CLOSE : TOKEN_END;
		}
		if (text_word(l, w))
			return TOKEN_WORD;
		if (pending_word(l, w))
			return TOKEN_WORD;
	}
}
