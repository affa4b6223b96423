/* SPDX-License-Identifier: ISC */
#include "auth/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "lib/net/digest.h"
#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum { MAX_ITERATIONS = 1000000, MAX_TEXT = 512 };

static const struct str scheme = {"SCRAM-SHA-256$", 14};

/* Decode base64 `text` into at most `max` octets; the number of octets, or 0. */
static size_t
decode(struct str text, uint8_t *to, size_t max)
{
	struct buf raw = BUF(max);
	size_t     n = 0;

	if (base64_decode(&raw, text) && !raw.over && raw.n > 0) {
		n = raw.n;
		memcpy(to, raw.p, n);
	}
	buf_free(&raw);
	return n;
}

bool
scram_parse(struct str text, struct scram *s)
{
	struct str iterations, salt, stored;
	uint64_t   n;

	memset(s, 0, sizeof *s);
	if (text.n > MAX_TEXT || !str_starts(text, scheme))
		return false;
	text = str_skip(text, scheme.n);
	if (!str_cut(&text, ':', &iterations) || !str_cut(&text, '$', &salt) ||
	    !str_cut(&text, ':', &stored))
		return false;
	if (!str_number(iterations, MAX_ITERATIONS, &n) || n == 0)
		return false;
	s->iterations = (unsigned)n;
	s->salt_n = decode(salt, s->salt, sizeof s->salt);
	return s->salt_n > 0 && decode(stored, s->stored_key, SCRAM_KEY) == SCRAM_KEY &&
	       decode(text, s->server_key, SCRAM_KEY) == SCRAM_KEY;
}

void
scram_format(struct buf *out, const struct scram *s)
{
	buf_add(out, scheme);
	buf_addn(out, s->iterations);
	buf_addc(out, ':');
	base64_encode(out, (struct str){(const char *)s->salt, s->salt_n});
	buf_addc(out, '$');
	base64_encode(out, (struct str){(const char *)s->stored_key, SCRAM_KEY});
	buf_addc(out, ':');
	base64_encode(out, (struct str){(const char *)s->server_key, SCRAM_KEY});
}

bool
scram_hmac(uint8_t out[SCRAM_KEY], struct str key, struct str text)
{
	unsigned n = SCRAM_KEY;

	digest_prepare();
	return HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)text.p, text.n, out,
	            &n) != NULL &&
	       n == SCRAM_KEY;
}

/* RFC 5802 section 3: ClientKey, StoredKey and ServerKey from the salted password. */
static bool
keys(struct scram *s, const uint8_t salted[SCRAM_KEY])
{
	struct str key = {(const char *)salted, SCRAM_KEY};
	uint8_t    client_key[SCRAM_KEY];
	bool       ok = scram_hmac(client_key, key, STR("Client Key")) &&
	          EVP_Digest(client_key, SCRAM_KEY, s->stored_key, NULL, EVP_sha256(), NULL) == 1 &&
	          scram_hmac(s->server_key, key, STR("Server Key"));

	mem_wipe(client_key, sizeof client_key);
	return ok;
}

bool
scram_derive(struct scram *s, struct str password, struct str salt, unsigned iterations)
{
	uint8_t salted[SCRAM_KEY];
	bool    ok;

	if (salt.n == 0 || salt.n > sizeof s->salt || password.n > 1024 || iterations == 0)
		return false;
	digest_prepare();
	s->iterations = iterations;
	s->salt_n = salt.n;
	memcpy(s->salt, salt.p, salt.n);
	ok = PKCS5_PBKDF2_HMAC(password.n > 0 ? password.p : "", (int)password.n, s->salt,
	                       (int)s->salt_n, (int)iterations, EVP_sha256(), SCRAM_KEY,
	                       salted) == 1 &&
	     keys(s, salted);
	mem_wipe(salted, sizeof salted);
	return ok;
}

bool
scram_verify(const struct scram *s, struct str password)
{
	struct scram mine;
	struct str   salt = {(const char *)s->salt, s->salt_n};
	bool         ok = scram_derive(&mine, password, salt, s->iterations) &&
	          CRYPTO_memcmp(mine.stored_key, s->stored_key, SCRAM_KEY) == 0;

	mem_wipe(&mine, sizeof mine);
	return ok;
}
