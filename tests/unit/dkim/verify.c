/* SPDX-License-Identifier: ISC */
#include "tests/unit/dkim/verify.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/util/encode.h"

static void
add_without_blanks(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (str_find(STR(" \t\r\n"), s.p[i]) < 0)
			buf_addc(out, s.p[i]);
}

bool
verify_tag(struct str value, const char *tag, struct buf *out)
{
	struct str item;

	buf_clear(out);
	while (str_cut(&value, ';', &item)) {
		ptrdiff_t  equals = str_find(item, '=');
		struct buf name = BUF(1000);
		bool       same;

		if (equals < 0)
			continue;
		add_without_blanks(&name, str_sub(item, 0, (size_t)equals));
		same = str_eq(buf_str(&name), str_of(tag));
		buf_free(&name);
		if (same) {
			add_without_blanks(out, str_skip(item, (size_t)equals + 1));
			return true;
		}
	}
	return false;
}

void
verify_headers(struct buf *out, struct str head, struct str h, enum canon canon)
{
	struct str all = h, name, before = h, other;

	while (str_cut(&all, ':', &name)) {
		size_t       same = 0, total = header_count(head, name);
		struct field f;

		/* How often this name came already: each takes the next instance upwards. */
		before = str_sub(h, 0, (size_t)(name.p - h.p));
		while (str_cut(&before, ':', &other))
			same += str_ieq(other, name);
		if (same < total && header_find(head, name, total - 1 - same, &f))
			canon_field(out, &f, canon);
	}
}

static bool
is_signature_ok(struct str record, struct str data, struct str signature)
{
	struct buf  p = BUF(4096), k = BUF(100), key = BUF(4096);
	EVP_PKEY   *pkey = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool        ok = false, ed;

	ed = verify_tag(record, "k", &k) && str_eq(buf_str(&k), STR("ed25519"));
	if (verify_tag(record, "p", &p) && base64_decode(&key, buf_str(&p))) {
		const unsigned char *octets = (const unsigned char *)key.p;

		pkey = ed ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, octets, key.n)
		          : d2i_PUBKEY(NULL, &octets, (long)key.n);
	}
	if (pkey != NULL && ed) {
		unsigned char digest[32];
		unsigned      n;

		ok = EVP_Digest(data.p, data.n, digest, &n, EVP_sha256(), NULL) == 1 &&
		     EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		     EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n, digest,
		                      n) == 1;
	} else if (pkey != NULL) {
		ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
		     EVP_DigestVerify(ctx, (const unsigned char *)signature.p, signature.n,
		                      (const unsigned char *)data.p, data.n) == 1;
	}
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	buf_free(&p);
	buf_free(&k);
	buf_free(&key);
	return ok;
}

/* The signature field with the value of b= cut out. */
static void
add_unsigned(struct buf *out, const struct field *f, enum canon canon)
{
	struct buf   raw = BUF(1 << 20);
	struct field bare;
	struct str   rest;
	size_t       at = (size_t)(f->value.p - f->raw.p), end = f->raw.n - 2;

	for (bool start = true; at < end; at++) {
		char c = f->raw.p[at];

		if (start && c == 'b' && (f->raw.p[at + 1] == '='))
			break;
		start = c == ';' || (start && str_find(STR(" \t\r\n"), c) >= 0);
	}
	buf_add(&raw, str_sub(f->raw, 0, at + 2));
	for (at += 2; at < end && f->raw.p[at] != ';'; at++)
		continue;
	buf_add(&raw, str_skip(f->raw, at));
	rest = buf_str(&raw);
	header_next(&rest, &bare, NULL);
	canon_field(out, &bare, canon);
	buf_truncate(out, out->n - 2);
	buf_free(&raw);
}

const char *
verify(struct str message, size_t which, struct str record)
{
	struct str   head, body;
	struct field f;
	enum canon   header_canon, body_canon;
	struct buf   tag = BUF(1 << 16), data = BUF(1 << 20), bh = BUF(100), signature = BUF(4096);
	struct bodyhash *hash;
	const char      *why = NULL;
	ptrdiff_t        slash;

	header_split(message, &head, &body);
	if (!header_find(head, STR("DKIM-Signature"), which, &f) ||
	    !verify_tag(f.value, "c", &tag) || (slash = str_find(buf_str(&tag), '/')) < 0 ||
	    !canon_parse(str_sub(buf_str(&tag), 0, (size_t)slash), &header_canon) ||
	    !canon_parse(str_skip(buf_str(&tag), (size_t)slash + 1), &body_canon))
		return "no signature that we can read";
	hash = bodyhash_create(body_canon);
	bodyhash_feed(hash, body);
	bodyhash_finish_text(hash, &bh);
	bodyhash_destroy(hash);
	if (!verify_tag(f.value, "bh", &tag) || !str_eq(buf_str(&tag), buf_str(&bh)))
		why = "the body hash differs";
	if (verify_tag(f.value, "h", &tag))
		verify_headers(&data, head, buf_str(&tag), header_canon);
	add_unsigned(&data, &f, header_canon);
	if (why == NULL &&
	    (!verify_tag(f.value, "b", &tag) || !base64_decode(&signature, buf_str(&tag)) ||
	     !is_signature_ok(record, buf_str(&data), buf_str(&signature))))
		why = "the signature is wrong";
	buf_free(&tag);
	buf_free(&data);
	buf_free(&bh);
	buf_free(&signature);
	return why;
}
