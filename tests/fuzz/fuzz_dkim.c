/* SPDX-License-Identifier: ISC */
#include "dkim/choose.h"
#include "dkim/fields.h"
#include "dkim/sign.h"
#include "lib/mail/header.h"
#include "lib/proc/config.h"
#include "tests/fuzz/fuzz.h"

/* A field in canonical form is in canonical form. */
static void
check_canon(const struct field *f, enum canon canon)
{
	struct buf   once = BUF(1 << 20), twice = BUF(1 << 20);
	struct field again;
	struct str   rest;

	canon_field(&once, f, canon);
	must(str_ends(buf_str(&once), STR("\r\n")));
	rest = buf_str(&once);
	must(header_next(&rest, &again, NULL) && rest.n == 0);
	canon_field(&twice, &again, canon);
	must(str_eq(buf_str(&once), buf_str(&twice)));
	buf_free(&once);
	buf_free(&twice);
}

static void
check_fields(struct str fields)
{
	struct str   line, rest = fields;
	struct field f;
	bool         bad = false;
	size_t       n = 0;

	while (header_next(&rest, &f, &bad))
		n += str_eq(f.name, STR("DKIM-Signature"));
	must(!bad && n == 2);
	while (str_cut(&fields, '\n', &line))
		must(line.n == 0 || (line.n <= 79 && line.p[line.n - 1] == '\r'));
}

static void
sign(struct str head, struct str body, const struct dkim_conf *conf)
{
	struct bodyhash  *h = bodyhash_create(dkim_body_canon(conf));
	struct buf        hash = BUF(100), names = BUF(1 << 20), data = BUF(1 << 21), out = BUF(1 << 21);
	struct dkim_sign *s;

	bodyhash_feed(h, body);
	bodyhash_finish_text(h, &hash);
	bodyhash_destroy(h);
	must(hash.n == BODYHASH_TEXT);
	fields_select(head, conf->simple_header ? CANON_SIMPLE : CANON_RELAXED, &names, &data);
	s = dkim_sign_start(head, conf, buf_str(&hash), 1767323045);
	must(s != NULL && dkim_sign_count(s) == 2);
	must(!dkim_sign_finish(s, &out) && out.n == 0);
	for (size_t i = 0; i < 2; i++) {
		must(dkim_sign_digest(s, i).n == DKIM_DIGEST);
		dkim_sign_put(s, i, dkim_sign_digest(s, i));
	}
	must(dkim_sign_finish(s, &out));
	check_fields(buf_str(&out));
	dkim_sign_destroy(s);
	buf_free(&hash);
	buf_free(&names);
	buf_free(&data);
	buf_free(&out);
}

/* Only the domain itself or one above it signs. */
static void
choose(struct str from, const struct dkim_conf *conf)
{
	struct config           c = {.dkim_sign = true, .dkim = (struct dkim_conf *)(uintptr_t)conf, .n_dkim = 1};
	struct buf              why = BUF(1 << 20);
	const struct dkim_conf *found = dkim_choose(&c, from, &why);

	must((found == NULL) == (why.n > 0));
	if (found != NULL)
		must(str_ends(from, found->domain) &&
		     (from.n == found->domain.n || from.p[from.n - found->domain.n - 1] == '.'));
	buf_free(&why);
}

/* The first octet chooses the canonicalisation, the rest is a message; its fields' values are author's domains, too. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dkim_key_conf keys[] = {{.selector = STR("ed"), .type = KEY_ED25519}, {.selector = STR("rsa"), .type = KEY_RSA}};
	struct dkim_conf     conf = {.domain = STR("b.example"), .keys = keys, .n_keys = 2};
	struct str           in = input(data, size), head, body, rest;
	unsigned             how = take_octet(&in);
	struct field         f;
	struct buf           clean = BUF(1 << 20);

	if (size > 100000)
		return 0;
	conf.simple_header = (how & 1) != 0;
	conf.simple_body = (how & 2) != 0;
	add_clean(&clean, in);
	header_split(buf_str(&clean), &head, &body);
	rest = head;
	while (header_next(&rest, &f, NULL)) {
		if (f.name.n > 0) {
			check_canon(&f, CANON_RELAXED);
			check_canon(&f, CANON_SIMPLE);
		}
		choose(str_trim(f.value), &conf);
	}
	sign(head, body, &conf);
	buf_free(&clean);
	return 0;
}
