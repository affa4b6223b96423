/* SPDX-License-Identifier: ISC */
/*
 * signmsg - signs the message on standard input, for the verifiers of tests/e2e:
 *
 *     signmsg HEADER/BODY DOMAIN SELECTOR=KEY.pem ... < message > signed
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/dkim/files.h"
#include "tests/unit/dkim/signing.h"

enum { KEYS_MAX = 8, MESSAGE_MAX = 64 << 20, TIME_S = 1795428431 };

static void
print(struct str s)
{
	fwrite(s.p, 1, s.n, stdout);
}

int
main(int argc, char **argv)
{
	struct dkim_key_conf keys[KEYS_MAX] = {0};
	struct dkim_conf     conf = {.keys = keys};
	struct buf           pems[KEYS_MAX], message = BUF(MESSAGE_MAX), fields = BUF(1 << 16);

	if (argc < 4 || argc > 3 + KEYS_MAX)
		return 2;
	conf.simple_header = strncmp(argv[1], "simple/", 7) == 0;
	conf.simple_body = str_ends(str_of(argv[1]), STR("/simple"));
	conf.domain = str_of(argv[2]);
	for (int i = 3; i < argc; i++) {
		struct str            word = str_of(argv[i]);
		ptrdiff_t             equals = str_find(word, '=');
		struct dkim_key_conf *k = &keys[conf.n_keys];
		struct buf           *pem = &pems[conf.n_keys++];

		if (equals < 0)
			return 2;
		buf_init(pem, 1 << 16);
		files_read(pem, argv[i] + equals + 1);
		k->selector = str_sub(word, 0, (size_t)equals);
		k->type = str_find_str(str_of(argv[i]), STR("ed25519")) >= 0 ? KEY_ED25519
		                                                             : KEY_RSA;
		k->pem = buf_str(pem);
	}
	files_read(&message, "/dev/stdin");
	if (!signing_fields(buf_str(&message), &conf, TIME_S, &fields))
		return 1;
	print(buf_str(&fields));
	print(buf_str(&message));
	for (size_t i = 0; i < conf.n_keys; i++)
		buf_free(&pems[i]);
	buf_free(&message);
	buf_free(&fields);
	return ferror(stdout) != 0;
}
