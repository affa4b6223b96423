/* SPDX-License-Identifier: ISC */
#include "dkim/sign.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "dkim/canon.h"
#include "dkim/fields.h"
#include "lib/net/digest.h"
#include "lib/proc/config.h"
#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum {
	LINE = 78, /* RFC 5322 section 2.1.1 */
	TEXT_MAX = 64 * 1024,
	SIGNATURE_MAX = 2048, /* RSA of 16384 bits */
};

struct part {
	char         *selector;
	enum key_type type;
	struct buf    text; /* the field up to "b=" */
	struct buf    last; /* the same in canonical form */
	unsigned char digest[DKIM_DIGEST];
	struct buf    signature;
};

struct dkim_sign {
	char        *domain;
	struct buf   fields; /* the covered ones, in canonical form */
	struct part *parts;  /* in the order of the configuration */
	size_t       n;
};

/* OpenSSL fails here only for lack of memory, which ends a role like any other lack of it. */
static void
must(int result)
{
	if (result != 1)
		abort();
}

void
dkim_digest(struct str fields, struct str last, unsigned char digest[DKIM_DIGEST])
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	must(sha != NULL && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1);
	must(EVP_DigestUpdate(sha, fields.p, fields.n));
	must(EVP_DigestUpdate(sha, last.p, last.n));
	must(EVP_DigestFinal_ex(sha, digest, NULL));
	EVP_MD_CTX_free(sha);
}

/* RFC 6376 section 3.3.1, RFC 8463 section 3 */
const char *
dkim_algorithm(enum key_type type)
{
	return type == KEY_ED25519 ? "ed25519-sha256" : "rsa-sha256";
}

/* A field in the making. `column` is the length of its last line. */
struct folder {
	struct buf *out;
	size_t      column;
};

static void
fold(struct folder *f)
{
	buf_addz(f->out, "\r\n\t");
	f->column = 1;
}

static void
add(struct folder *f, struct str text)
{
	buf_add(f->out, text);
	f->column += text.n;
}

/* One tag "name=value;" behind a blank, or on a new line if this one is full. */
static void
add_tag(struct folder *f, const char *name, struct str value)
{
	size_t n = str_of(name).n + value.n + 1;

	if (f->column + 1 + n > LINE)
		fold(f);
	else
		add(f, STR(" "));
	add(f, str_of(name));
	add(f, value);
	add(f, STR(";"));
}

/* h= may be folded behind each of its colons. */
static void
add_names(struct folder *f, struct str names)
{
	struct str name;
	bool       first = true;

	fold(f);
	add(f, STR("h="));
	while (str_cut(&names, ':', &name)) {
		if (!first)
			add(f, STR(":"));
		if (!first && f->column + name.n + 1 > LINE)
			fold(f);
		add(f, name);
		first = false;
	}
	add(f, STR(";"));
}

/* A selector is a name in DNS, so it has an A-label form too (RFC 8616 section 5). */
static void
add_selector(struct folder *f, struct str selector)
{
	struct buf ascii = BUF(DOMAIN_MAX);
	bool       ok = domain_canonical(&ascii, selector);

	add_tag(f, "s=", ok ? buf_str(&ascii) : selector);
	buf_free(&ascii);
}

static void
make_text(struct part *p, const struct dkim_conf *conf, struct str names, struct str bh_and_time[2])
{
	struct folder f = {.out = &p->text};
	struct buf    canon = BUF(32);

	buf_add(&canon, canon_name(conf->simple_header ? CANON_SIMPLE : CANON_RELAXED));
	buf_addc(&canon, '/');
	buf_add(&canon, canon_name(dkim_body_canon(conf)));

	add(&f, STR("DKIM-Signature:"));
	add_tag(&f, "v=", STR("1"));
	add_tag(&f, "a=", str_of(dkim_algorithm(p->type)));
	add_tag(&f, "c=", buf_str(&canon));
	add_tag(&f, "d=", conf->domain);
	add_selector(&f, str_of(p->selector));
	add_tag(&f, "t=", bh_and_time[1]);
	add_names(&f, names);
	add_tag(&f, "bh=", bh_and_time[0]);
	fold(&f);
	add(&f, STR("b="));
	buf_free(&canon);
}

/* Section 3.7: behind the fields of h= comes this one, unsigned and without its CRLF. */
static void
make_last(struct part *p, enum canon canon)
{
	struct str   rest = buf_str(&p->text);
	struct field f;

	header_next(&rest, &f, NULL);
	canon_field(&p->last, &f, canon);
	assert(!p->last.over && !p->text.over);
	buf_truncate(&p->last, p->last.n - 2);
}

enum canon
dkim_body_canon(const struct dkim_conf *conf)
{
	return conf->simple_body ? CANON_SIMPLE : CANON_RELAXED;
}

struct dkim_sign *
dkim_sign_start(struct str head, const struct dkim_conf *conf, struct str body_hash, int64_t time_s)
{
	enum canon        canon = conf->simple_header ? CANON_SIMPLE : CANON_RELAXED;
	struct buf        names = BUF(TEXT_MAX), now = BUF(32);
	struct dkim_sign *s;

	/* It comes from disk, and goes into a header. */
	if (conf->n_keys == 0 || !bodyhash_is_text(body_hash))
		return NULL;
	digest_prepare();
	s = mem_zero(sizeof *s);
	s->domain = str_dup(conf->domain);
	s->parts = mem_array(conf->n_keys, sizeof *s->parts);
	buf_init(&s->fields, 2 * head.n + TEXT_MAX);
	fields_select(head, canon, &names, &s->fields);
	assert(!s->fields.over);
	buf_addn(&now, (uint64_t)time_s);
	for (size_t i = 0; i < conf->n_keys; i++) {
		struct part *p = &s->parts[s->n++];

		p->selector = str_dup(conf->keys[i].selector);
		p->type = conf->keys[i].type == KEY_ED25519 ? KEY_ED25519 : KEY_RSA;
		buf_init(&p->text, TEXT_MAX);
		buf_init(&p->last, TEXT_MAX);
		buf_init(&p->signature, SIGNATURE_MAX);
		make_text(p, conf, buf_str(&names), (struct str[]){body_hash, buf_str(&now)});
		make_last(p, canon);
	}
	buf_free(&names);
	buf_free(&now);
	return s;
}

void
dkim_sign_destroy(struct dkim_sign *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++) {
		buf_free(&s->parts[i].text);
		buf_free(&s->parts[i].last);
		buf_free(&s->parts[i].signature);
		free(s->parts[i].selector);
	}
	free(s->parts);
	buf_free(&s->fields);
	free(s->domain);
	free(s);
}

size_t
dkim_sign_count(const struct dkim_sign *s)
{
	return s->n;
}

struct str
dkim_sign_domain(const struct dkim_sign *s)
{
	return str_of(s->domain);
}

struct str
dkim_sign_selector(const struct dkim_sign *s, size_t i)
{
	assert(i < s->n);
	return str_of(s->parts[i].selector);
}

struct str
dkim_sign_fields(const struct dkim_sign *s)
{
	return buf_str(&s->fields);
}

struct str
dkim_sign_last(const struct dkim_sign *s, size_t i)
{
	assert(i < s->n);
	return buf_str(&s->parts[i].last);
}

struct str
dkim_sign_digest(const struct dkim_sign *s, size_t i)
{
	assert(i < s->n);
	dkim_digest(dkim_sign_fields(s), dkim_sign_last(s, i), s->parts[i].digest);
	return (struct str){(const char *)s->parts[i].digest, DKIM_DIGEST};
}

void
dkim_sign_put(struct dkim_sign *s, size_t i, struct str signature)
{
	assert(i < s->n);
	buf_clear(&s->parts[i].signature);
	buf_add(&s->parts[i].signature, signature);
}

/* b= is the last tag; white space inside its value has no meaning (section 3.5). */
static void
add_part(struct buf *out, const struct part *p)
{
	struct folder f = {.out = out, .column = 3}; /* behind HTAB and "b=" */
	struct buf    text = BUF(2 * SIGNATURE_MAX);
	struct str    rest;

	base64_encode(&text, buf_str(&p->signature));
	buf_add(out, buf_str(&p->text));
	for (rest = buf_str(&text); rest.n > 0;) {
		struct str line = str_sub(rest, 0, LINE - f.column);

		add(&f, line);
		rest = str_skip(rest, line.n);
		if (rest.n > 0)
			fold(&f);
	}
	buf_addz(out, "\r\n");
	buf_free(&text);
}

/*
 * What is added last stands on top, and RSA is the one that all verifiers know:
 * some look at the topmost signature alone.
 */
bool
dkim_sign_finish(const struct dkim_sign *s, struct buf *out)
{
	static const enum key_type order[] = {KEY_RSA, KEY_ED25519};

	for (size_t i = 0; i < s->n; i++)
		if (s->parts[i].signature.n == 0 || s->parts[i].signature.over)
			return false;
	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (size_t i = 0; i < s->n; i++)
			if (s->parts[i].type == order[k])
				add_part(out, &s->parts[i]);
	return !out->over;
}
