/* SPDX-License-Identifier: ISC */
/*
 * config_lex - words of a configuration text, with their places.
 *
 * Words end at blanks, at '{', '}' and ';'. Double quotes keep all of these,
 * with \" and \\ inside. ${VAR} and ${VAR:-default} are put in place; outside
 * quotes their blanks separate words, and an empty value is no word.
 */
#ifndef LIB_PROC_CONFIG_LEX_H
#define LIB_PROC_CONFIG_LEX_H

#include "lib/proc/config_private.h"

enum token {
	TOKEN_WORD,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_END, /* line end or ';' */
	TOKEN_EOF,
};

struct lexer {
	struct maker        *m;
	const struct source *source;
	enum lex_mode        mode;
	size_t               at; /* next octet of the text */
	unsigned             line, column;
	size_t               start; /* where the last token began */
	struct str           pending; /* words of a variable not given out yet */
	struct place         pending_at;
	struct buf           word;
	bool                 quoted, expanded;
};

void       lexer_init(struct lexer *l, struct maker *m, const struct source *s, enum lex_mode mode);
enum token lexer_next(struct lexer *l, struct word *w); /* `w` is always given a place */
void       lexer_free(struct lexer *l);

#endif
