/* SPDX-License-Identifier: ISC */
#include "auth/scram.h"
#include "auth/users.h"
#include "tests/fuzz/fuzz.h"

/* A verifier that is understood is written and understood again alike. */
static void
check_verifier(struct str text)
{
	struct buf   once = BUF(4096), twice = BUF(4096);
	struct scram s;

	if (scram_parse(text, &s)) {
		must(s.iterations > 0 && s.salt_n <= sizeof s.salt);
		scram_format(&once, &s);
		must(scram_parse(buf_str(&once), &s));
		scram_format(&twice, &s);
		must(str_eq(buf_str(&once), buf_str(&twice)));
	}
	buf_free(&once);
	buf_free(&twice);
}

/* Whoever asks for whomever gets a verifier of the same form, known or not. */
static void
ask(struct users *u, struct str name)
{
	bool         known;
	struct str   verifier = users_verifier(u, name, &known);
	struct scram s;

	must(scram_parse(verifier, &s));
}

/* The input as a file of users, each of whom is asked for, and as verifiers. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str    text = input(data, size), rest = text, line;
	struct users *u;
	size_t        lines = 0;

	if (size > 8192)
		return 0;
	u = users_create(text);
	while (str_cut(&rest, '\n', &line)) {
		ptrdiff_t colon = str_find(line, ':');

		if (++lines <= 20)
			ask(u, str_sub(line, 0, colon >= 0 ? (size_t)colon : line.n));
		check_verifier(str_skip(line, (size_t)(colon + 1)));
	}
	must(users_count(u) <= lines);
	ask(u, STR("nobody"));
	users_destroy(u);
	return 0;
}
