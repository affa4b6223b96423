/* SPDX-License-Identifier: ISC */
#include "tests/unit/dkim/signing.h"

#include "dkim/key.h"
#include "lib/mail/header.h"

static bool
sign_one(struct dkim_sign *s, size_t i, struct str pem)
{
	struct buf  why = BUF(1000), signature = BUF(2048);
	struct key *k = key_load(pem, &why);
	bool        ok = k != NULL && key_sign(k, dkim_sign_digest(s, i), &signature);

	if (ok)
		dkim_sign_put(s, i, buf_str(&signature));
	key_destroy(k);
	buf_free(&why);
	buf_free(&signature);
	return ok;
}

bool
signing_fields(struct str message, const struct dkim_conf *conf, int64_t time_s, struct buf *out)
{
	struct bodyhash  *h = bodyhash_create(dkim_body_canon(conf));
	struct buf        bh = BUF(100);
	struct str        head, body;
	struct dkim_sign *s;
	bool              ok = true;

	header_split(message, &head, &body);
	bodyhash_feed(h, body);
	bodyhash_finish_text(h, &bh);
	bodyhash_destroy(h);
	s = dkim_sign_start(head, conf, buf_str(&bh), time_s);
	for (size_t i = 0; s != NULL && ok && i < dkim_sign_count(s); i++)
		ok = sign_one(s, i, conf->keys[i].pem);
	ok = ok && s != NULL && dkim_sign_finish(s, out);
	dkim_sign_destroy(s);
	buf_free(&bh);
	return ok;
}
