/* SPDX-License-Identifier: ISC */
#include "auth/password.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "auth/saslauthd.h"
#include "auth/scram.h"
#include "auth/users.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

enum { REMEMBERED = 256 }; /* a power of two */

struct passwords {
	struct users *users;
	char         *saslauthd;
	uint8_t       key[SCRAM_KEY];
	uint8_t good[REMEMBERED][SCRAM_KEY]; /* HMAC(key, verifier NUL password); zero: free */
};

/* A changed verifier changes the mark, so an old password is never remembered past its change. */
static bool
mark_of(struct passwords *p, struct str verifier, struct str password, uint8_t mark[SCRAM_KEY])
{
	struct buf text = BUF(4096);
	bool       ok;

	buf_add(&text, verifier);
	buf_addc(&text, '\0');
	buf_add(&text, password);
	ok = !text.over &&
	     scram_hmac(mark, (struct str){(const char *)p->key, SCRAM_KEY}, buf_str(&text));
	mem_wipe(text.p, text.n);
	buf_free(&text);
	return ok;
}

static enum password_result
check_file(struct passwords *p, struct str name, struct str password)
{
	uint8_t      mark[SCRAM_KEY];
	uint8_t     *slot;
	struct scram s;
	bool         known;
	struct str   verifier = users_verifier(p->users, name, &known);

	if (!scram_parse(verifier, &s) || !mark_of(p, verifier, password, mark))
		return PASSWORD_UNAVAILABLE;
	slot = p->good[hash_str(name) % REMEMBERED];
	if (known && CRYPTO_memcmp(slot, mark, SCRAM_KEY) == 0)
		return PASSWORD_OK;
	/* Derived for unknown names too: the time must not tell who exists. */
	if (!scram_verify(&s, password) || !known)
		return PASSWORD_WRONG;
	memcpy(slot, mark, SCRAM_KEY);
	return PASSWORD_OK;
}

struct passwords *
passwords_create(struct users *users, struct str saslauthd)
{
	struct passwords *p = mem_zero(sizeof *p);

	p->users = users;
	if (saslauthd.n > 0)
		p->saslauthd = str_dup(saslauthd);
	random_bytes(p->key, sizeof p->key);
	return p;
}

void
passwords_destroy(struct passwords *p)
{
	if (p == NULL)
		return;
	free(p->saslauthd);
	mem_wipe(p, sizeof *p);
	free(p);
}

enum password_result
password_check(struct passwords *p, struct str name, struct str password)
{
	if (name.n == 0 || name.n > USER_NAME_MAX || password.n == 0 || password.n > 1024)
		return PASSWORD_WRONG;
	if (p->saslauthd != NULL)
		return saslauthd_check(p->saslauthd, name, password);
	return check_file(p, name, password);
}
