/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "auth/sasl.h"
#include "auth/scram.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS_MAX = 8 };

/* The library is opened once a process; one user, cheap to check. */
static struct sasl *
library(void)
{
	static struct sasl *open;
	struct buf          text = BUF(4096), why = BUF(1024);
	struct scram        s = {0};

	if (open == NULL) {
		open = sasl_open(&why);
		must(open != NULL && scram_derive(&s, STR("secret"), STR("0123456789abcdef"), 2));
		buf_addz(&text, "app1:");
		scram_format(&text, &s);
		sasl_configure(open, STR("mail.example.com"), buf_str(&text), STR_NONE);
	}
	buf_free(&text);
	buf_free(&why);
	return open;
}

/* "$r" in what the client says is the nonce of the last challenge: random octets would never guess it. */
static void
fill_in(struct buf *out, struct str said, struct str challenge)
{
	struct str nonce = STR_NONE;
	ptrdiff_t  at;

	if (str_starts(challenge, STR("r=")))
		nonce = str_sub(challenge, 2, (size_t)(str_find(challenge, ',') - 2));
	buf_clear(out);
	while ((at = str_find_str(said, STR("$r"))) >= 0) {
		buf_add(out, str_sub(said, 0, (size_t)at));
		buf_add(out, nonce);
		said = str_skip(said, (size_t)at + 2);
	}
	buf_add(out, said);
}

/*
 * Lines: the mechanism, then what the client says; "=" in front of the first: with the command.
 * The first octet says whether the connection is secure. In by a password that is not there: never.
 */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str          in = input(data, size), mech, said, kept, challenge = STR_NONE;
	bool                tls = (take_octet(&in) & 1) != 0, knows = str_find_str(in, STR("secret")) >= 0;
	struct exchange    *x = exchange_create(library(), tls ? 256 : 0, tls ? STR("0123456789abcdef0123456789abcdef") : STR_NONE);
	struct buf          text = BUF(1 << 20), last = BUF(1 << 20);
	enum exchange_state state = EXCHANGE_MORE;

	if (!str_cut(&in, '\n', &mech))
		mech = STR_NONE;
	kept = in;
	if (str_starts(in, STR("=")) && str_cut(&kept, '\n', &said)) {
		in = kept;
		said = str_skip(said, 1);
		state = exchange_start(x, mech, &said, &challenge);
	} else {
		state = exchange_start(x, mech, NULL, &challenge);
	}
	for (int i = 0; state == EXCHANGE_MORE && i < STEPS_MAX && str_cut(&in, '\n', &said); i++) {
		buf_clear(&last);
		buf_add(&last, challenge);
		fill_in(&text, said, buf_str(&last));
		state = exchange_step(x, buf_str(&text), &challenge);
	}
	if (state == EXCHANGE_OK)
		must(knows && str_eq(exchange_login(x), STR("app1")));
	exchange_destroy(x);
	buf_free(&text);
	buf_free(&last);
	return 0;
}
