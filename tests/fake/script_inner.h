/* SPDX-License-Identifier: ISC */
/* script_inner - what the files of the script player know of each other. */
#ifndef TESTS_FAKE_SCRIPT_INNER_H
#define TESTS_FAKE_SCRIPT_INNER_H

#include "tests/fake/script.h"

enum { SCRIPT_TEXT_MAX = 64 * 1024 * 1024, SCRIPT_WHY_MAX = 16 * 1024 };

struct binding {
	char      *name;
	struct buf value;
};

/* Text that the code under test may go on reading until the script ends. */
struct kept {
	struct kept *next;
	char         text[];
};

struct script {
	const struct script_fixture *fixture;
	struct loop                 *loop;
	void                        *it;
	struct str                   rest;    /* of the text */
	unsigned                     line;    /* number of the one being played */
	bool                         octets;  /* octet by octet */
	struct buf                   packet;  /* lines of ours that go out together */
	bool                         skipping; /* C* or S* */
	size_t                       peer;    /* index of the connection the steps are about */
	size_t                       resolved; /* connections before this one got through or failed */
	struct binding              *settings, *vars;
	size_t                       setting_count, var_count;
	struct kept                 *kept;
	unsigned char                ignored[WIRE_COUNT];
	int                          file; /* the last descriptor passed or got; -1 */
	struct buf                  *why;
};

/* Bindings; a name bound before is bound anew. */
struct str script_var(const struct script *sc, struct str name, bool *found);
void       script_bind(struct script *sc, struct str name, struct str value);

/*
 * Escapes and $NAMEs of `text` resolved into `out`. `star` says whether it ended
 * in a `*` that fits any rest, `open` whether in `\c`; both may be NULL: then they are
 * ordinary. False and a sentence in sc->why.
 */
bool script_expand(struct script *sc, struct str text, struct buf *out, bool *star, bool *open) MUST_USE;

/* Appends octets so that a person can read them. */
void script_show(struct buf *out, struct str octets);

/* The next K=V or K~V of `rest`; quoted values lose their quotes but keep their escapes. */
struct pair {
	struct str key, value;
	char       op; /* '=', '~' */
	bool       quoted;
};
bool script_pair(struct str *rest, struct pair *p);

/* The step on one line: what kind and the text behind it. False and a sentence in sc->why. */
bool script_step(struct script *sc, struct str line) MUST_USE;
bool script_send_packet(struct script *sc) MUST_USE; /* what `packet` holds, if anything */

bool script_sends(struct script *sc, struct str text) MUST_USE;   /* a line of ours */
bool script_expects(struct script *sc, struct str text) MUST_USE; /* a line of theirs */
bool script_query(struct script *sc, struct str rest) MUST_USE;   /* Q: */
bool script_answer(struct script *sc, struct str rest) MUST_USE;  /* A: */
bool script_file(struct script *sc, struct str rest) MUST_USE;

/* The oldest frame that is not to be ignored; NULL: none. */
const struct fake_frame *script_frame(struct script *sc);

bool script_fail(struct script *sc, const char *format, ...) __attribute__((format(printf, 2, 3))); /* false */

#endif
