/* SPDX-License-Identifier: ISC */
/* The signing keys of a domain, and their records. */
#include <stdlib.h>

#include "dkim/bodyhash.h"
#include "dkim/choose.h"
#include "dkim/key.h"
#include "dkim/public.h"
#include "dkim/record.h"
#include "dkim/sign.h"
#include "doctor/exam.h"
#include "lib/util/encode.h"
#include "lib/util/time.h"

enum {
	NAME_LIMIT = 600,
	RECORD_MAX = 4096,
	GOOD_BITS = 2048,
	NS_MAX = 8,
	DAY_MS = 24 * 3600 * 1000,
	AGE_NOTE_DAYS = 180,
	AGE_WARN_DAYS = 365,
};

static void
key_name(struct buf *out, const struct subject *s)
{
	buf_add(out, s->key->selector);
	buf_addz(out, "._domainkey.");
	buf_add(out, s->domain);
}

/* Our record: from the private key, or, where that is out of reach, from the public half. */
static bool
own_record(struct buf *txt, const struct subject *s)
{
	struct buf  why = BUF(RECORD_MAX);
	struct key *key = s->key->pem.n > 0 ? key_load(s->key->pem, &why) : NULL;

	if (key != NULL) {
		key_format_record(key, txt);
	} else if (s->key->pem.n == 0 && s->key->half.n > 0) {
		buf_addf(txt, "v=DKIM1; k=%.*s; p=", S(key_type_name(s->key->type)));
		buf_add(txt, s->key->half);
	}
	key_destroy(key);
	buf_free(&why);
	return txt->n > 0;
}

/* The record as it ought to be, to be pasted. */
static void
fix_record(struct finding *f, const struct subject *s)
{
	struct buf name = BUF(NAME_LIMIT), txt = BUF(RECORD_MAX);

	key_name(&name, s);
	if (own_record(&txt, s)) {
		finding_fix(f, "Publish this record, and no other of its name:");
		finding_record(f, buf_str(&name), "TXT", buf_str(&txt));
		if (f->expected.n == 0)
			finding_want(f, buf_str(&txt));
	}
	buf_free(&name);
	buf_free(&txt);
}

static const struct fact *
ask_record(struct exam *e, struct finding *f, const struct subject *s)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *txt;

	key_name(&name, s);
	txt = exam_ask(e, f, buf_str(&name), DNS_TXT);
	buf_free(&name);
	return txt;
}

/* The public half as p= holds it. */
static bool
own_public(struct buf *out, const struct subject *s)
{
	struct buf         txt = BUF(RECORD_MAX), why = BUF(RECORD_MAX);
	struct dkim_record r = {0};
	bool               ok = false;

	if (own_record(&txt, s)) {
		ok = dkim_record_parse(&r, buf_str(&txt), &why);
		buf_add(out, buf_str(&r.key));
		dkim_record_free(&r);
	}
	buf_free(&txt);
	buf_free(&why);
	return ok;
}

void
check_dkim_present(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf              why = BUF(NAME_LIMIT);
	const struct dkim_conf *d = dkim_choose(e->config, s->domain, &why);

	if (d != NULL) {
		finding_see(f, d->domain);
		finding_say(f, CHECK_PASS, "mail is signed by %.*s", S(d->domain));
	} else {
		finding_say(f, CHECK_FAIL, "mail goes out unsigned (%s)", buf_z(&why));
		finding_fix(f, "Make a key: postern dkim new %.*s", S(s->domain));
	}
	buf_free(&why);
}

/* What is wrong with one record as it stands; nothing appended if it is right. */
static void
judge_record(const struct subject *s, struct str txt, struct buf *why)
{
	struct dkim_record r;
	struct public_key *k = NULL;

	if (dkim_record_parse(&r, txt, why)) {
		if (r.revoked)
			buf_addz(why, "the key is revoked (p= is empty)");
		else if (r.no_sha256)
			buf_addz(why, "h= does not allow sha256");
		else if (r.no_email)
			buf_addz(why, "s= does not allow email");
		else if (r.type != s->key->type)
			buf_addz(why, "k= is of another type than the private key");
		else if ((k = public_parse(r.type, buf_str(&r.key))) == NULL)
			buf_addz(why,
			         "p= is no whole key: the record was cut or put together wrongly");
	}
	public_destroy(k);
	dkim_record_free(&r);
}

void
check_dkim_record(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *txt = ask_record(e, f, s);
	struct buf         why = BUF(RECORD_MAX);

	if (txt == NULL)
		return;
	for (size_t i = 0; i < txt->n; i++)
		finding_see(f, txt->records[i].data);
	if (txt->n == 0)
		buf_addz(&why, "it is not published");
	else if (txt->n > 1)
		buf_addf(&why, "there are %zu of them", txt->n);
	else
		judge_record(s, txt->records[0].data, &why);
	if (why.n == 0) {
		finding_say(f, CHECK_PASS, "the key record is published and well-formed");
	} else {
		finding_say(f, CHECK_FAIL, "the key record is of no use: %s", buf_z(&why));
		fix_record(f, s);
	}
	buf_free(&why);
}

/* The one record, parsed. False: pending, or a skip. */
static bool
ask_parsed(struct exam *e, struct finding *f, const struct subject *s, struct dkim_record *r)
{
	const struct fact *txt = ask_record(e, f, s);
	struct buf         why = BUF(RECORD_MAX);
	bool               ok;

	*r = (struct dkim_record){0};
	if (txt == NULL)
		return false;
	ok = txt->n == 1 && dkim_record_parse(r, txt->records[0].data, &why) && !r->revoked;
	if (!ok)
		finding_say(f, CHECK_SKIP, "there is no key record of use");
	buf_free(&why);
	return ok;
}

/* Enough of a key to tell two apart: they begin alike, so the end of it is taken. */
static void
fingerprint(struct buf *out, struct str key)
{
	struct buf text = BUF(RECORD_MAX * 2);

	base64_encode(&text, key);
	buf_addz(out, "...");
	buf_add(out, str_skip(buf_str(&text), text.n > 24 ? text.n - 24 : 0));
	buf_free(&text);
}

void
check_dkim_match(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dkim_record r;
	struct buf         own = BUF(RECORD_MAX), ours = BUF(64), theirs = BUF(64);

	if (ask_parsed(e, f, s, &r)) {
		if (!own_public(&own, s)) {
			finding_say(f, CHECK_SKIP, "the private key cannot be read here");
		} else if (str_eq(buf_str(&own), buf_str(&r.key))) {
			finding_say(f, CHECK_PASS, "DNS has the public half of our key");
		} else {
			fingerprint(&ours, buf_str(&own));
			fingerprint(&theirs, buf_str(&r.key));
			finding_see(f, buf_str(&theirs));
			finding_want(f, buf_str(&ours));
			finding_say(f, CHECK_FAIL,
			            "DNS has another key (%s) than we sign with (%s)",
			            buf_z(&theirs), buf_z(&ours));
			fix_record(f, s);
		}
	}
	dkim_record_free(&r);
	buf_free(&own);
	buf_free(&ours);
	buf_free(&theirs);
}

/* Of the public half, which is as long; 0 if there is none. */
static unsigned
half_bits(const struct subject *s)
{
	struct buf         own = BUF(RECORD_MAX);
	struct public_key *half =
		s->key->pem.n == 0 && own_public(&own, s) ? public_parse(s->key->type, buf_str(&own)) : NULL;
	unsigned           bits = half != NULL ? public_bits(half) : 0;

	public_destroy(half);
	buf_free(&own);
	return bits;
}

void
check_dkim_bits(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf  why = BUF(RECORD_MAX);
	struct key *key = key_load(s->key->pem, &why);
	unsigned    bits = key != NULL ? key_bits(key) : half_bits(s);

	(void)e;
	if (bits == 0 && s->key->pem.n == 0)
		finding_say(f, CHECK_SKIP, "the private key is not here");
	else if (bits == 0)
		finding_say(f, CHECK_FAIL, "the key file %.*s %s", S(s->key->path), buf_z(&why));
	else if (s->key->type == KEY_ED25519 || bits == GOOD_BITS)
		finding_say(f, CHECK_PASS, "%.*s, %u bits", S(key_type_name(s->key->type)), bits);
	else if (bits < GOOD_BITS)
		finding_say(f, CHECK_WARN, "the RSA key has %u bits; 2048 are the rule", bits);
	else
		finding_say(f, CHECK_NOTE, "the RSA key has %u bits: slow, and its record is large",
		            bits);
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Make new keys: postern dkim rotate %.*s", S(s->domain));
	key_destroy(key);
	buf_free(&why);
}

void
check_dkim_flags(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dkim_record r;

	if (ask_parsed(e, f, s, &r)) {
		if (r.testing) {
			finding_say(
				f, CHECK_WARN,
				"the record says t=y: receivers may treat the mail as unsigned");
			fix_record(f, s);
		} else {
			finding_say(f, CHECK_PASS, "no flag against us");
		}
	}
	dkim_record_free(&r);
}

/* ---- every authoritative server ---- */

/* The zone above `name`: whose NS records are found first on the way up. */
static const struct fact *
find_servers(struct exam *e, struct finding *f, struct str name)
{
	while (str_find(name, '.') >= 0) {
		const struct fact *ns = exam_ask(e, f, name, DNS_NS);

		if (ns == NULL || ns->n > 0)
			return ns;
		name = str_skip(name, (size_t)str_find(name, '.') + 1);
	}
	finding_say(f, CHECK_SKIP, "the name servers of the domain were not found");
	return NULL;
}

/* What the servers said, each asked itself; who is silent counts as neither. */
struct polled {
	struct buf behind; /* names of servers that say something else */
	size_t     agree;
};

static void
poll_server(struct exam *e, struct polled *p, struct str server, const struct fact *wanted)
{
	static const enum dns_type types[] = {DNS_A, DNS_AAAA};
	const struct fact         *a = NULL, *said;

	for (size_t i = 0; i < ARRAY_LEN(types) && (a == NULL || a->n == 0); i++)
		a = facts_get(e->facts, server, types[i]);
	if (a->n == 0)
		return;
	said = facts_get_at(e->facts, a->records[0].addr, buf_str(&wanted->name), DNS_TXT);
	if (said->known && (said->status == DNS_TEMPFAIL || said->status == DNS_BOGUS))
		return;
	if (said->n == 1 && wanted->n == 1 &&
	    str_eq(said->records[0].data, wanted->records[0].data)) {
		p->agree++;
	} else {
		buf_addz(&p->behind, p->behind.n > 0 ? ", " : "");
		buf_add(&p->behind, server);
	}
}

void
check_dkim_all_ns(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *txt = ask_record(e, f, s), *ns;
	struct polled      p = {.behind = BUF(RECORD_MAX)};

	if (txt == NULL || (ns = find_servers(e, f, s->domain)) == NULL)
		return;
	if (txt->n == 0) {
		finding_say(f, CHECK_SKIP, "the key record is not published");
		return;
	}
	for (size_t i = 0; i < ns->n && i < NS_MAX; i++) {
		finding_see(f, ns->records[i].name);
		poll_server(e, &p, ns->records[i].name, txt);
	}
	if (p.behind.n > 0) {
		finding_say(f, CHECK_WARN,
		            "the record is not yet everywhere: %s say%s something else",
		            buf_z(&p.behind), str_find(buf_str(&p.behind), ',') >= 0 ? "" : "s");
		finding_fix(
			f, "Wait until the name servers agree (TTL and refresh time of the zone).");
	} else if (p.agree == 0) {
		finding_say(f, CHECK_SKIP, "no authoritative server answered us");
	} else {
		finding_say(f, CHECK_PASS, "%zu authoritative server%s agree%s", p.agree,
		            p.agree == 1 ? "" : "s", p.agree == 1 ? "s" : "");
	}
	buf_free(&p.behind);
}

/* ---- the proof ---- */

static const char probe_head[] = "From: Probe <postmaster@probe.invalid>\r\n"
				 "To: <postmaster@probe.invalid>\r\nSubject: probe\r\n"
				 "Date: Mon, 23 Nov 2026 10:07:11 +0000\r\n"
				 "Message-ID: <probe@probe.invalid>\r\n";

/* Sign as delivery does, with the private key; verify as a receiver, with that of DNS. */
static bool
prove(const struct subject *s, struct key *key, const struct public_key *published)
{
	struct dkim_conf  one = *s->dkim;
	struct bodyhash  *h = bodyhash_create(dkim_body_canon(&one));
	struct buf        hash = BUF(BODYHASH_TEXT + 1), signature = BUF(RECORD_MAX);
	struct dkim_sign *sign;
	bool              ok = false;

	one.keys = (struct dkim_key_conf[]){*s->key};
	one.n_keys = 1;
	bodyhash_feed(h, STR("probe\r\n"));
	bodyhash_finish_text(h, &hash);
	sign = dkim_sign_start(STR(probe_head), &one, buf_str(&hash), time_wall_ms() / 1000);
	if (sign != NULL && key_sign(key, dkim_sign_digest(sign, 0), &signature))
		ok = public_verify(published, dkim_sign_digest(sign, 0), buf_str(&signature));
	dkim_sign_destroy(sign);
	bodyhash_destroy(h);
	buf_free(&hash);
	buf_free(&signature);
	return ok;
}

void
check_dkim_sign(struct exam *e, const struct subject *s, struct finding *f)
{
	struct dkim_record r;
	struct buf         why = BUF(RECORD_MAX);
	struct key        *key = key_load(s->key->pem, &why);
	struct public_key *published = NULL;

	if (ask_parsed(e, f, s, &r)) {
		published = public_parse(r.type, buf_str(&r.key));
		if (key == NULL || published == NULL) {
			finding_say(f, CHECK_SKIP, "one of the two keys cannot be read");
		} else if (r.type == key_type(key) && prove(s, key, published)) {
			finding_say(f, CHECK_PASS,
			            "a probe message was signed, and verified with the key of DNS");
		} else {
			finding_say(f, CHECK_FAIL,
			            "a probe message does not verify with the key of DNS");
			fix_record(f, s);
		}
	}
	public_destroy(published);
	key_destroy(key);
	dkim_record_free(&r);
	buf_free(&why);
}

void
check_dkim_age(struct exam *e, const struct subject *s, struct finding *f)
{
	int64_t days = (time_wall_ms() - s->key->made_ms) / DAY_MS;

	(void)e;
	if (s->key->made_ms == 0) {
		finding_say(f, CHECK_SKIP, "the key has no file here");
	} else {
		finding_say(f,
		            days > AGE_WARN_DAYS   ? CHECK_WARN
		            : days > AGE_NOTE_DAYS ? CHECK_NOTE
		                                   : CHECK_PASS,
		            "the key is %lld days old", (long long)(days > 0 ? days : 0));
		if (f->status >= CHECK_WARN)
			finding_fix(f, "Make new keys: postern dkim rotate %.*s", S(s->domain));
	}
}
