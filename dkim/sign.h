/* SPDX-License-Identifier: ISC */
/*
 * sign - the DKIM-Signature fields of one message, made in two steps.
 *
 * The private keys are in another process: dkim_sign_start() prepares, for each
 * key of the domain, the unsigned field and with it what is to be signed; the caller
 * has that signed, in any order, and dkim_sign_finish() puts the fields
 * together. Each signature stands alone: none covers another (RFC 6376 section 5.4,
 * RFC 8463 section 4). Never l= and no x=: a message may wait for days.
 */
#ifndef DKIM_SIGN_H
#define DKIM_SIGN_H

#include "dkim/bodyhash.h"
#include "lib/proc/config.h"

struct dkim_sign;

enum { DKIM_DIGEST = 32 };

/*
 * `head` is the header of the message as it goes out, `conf` says domain, keys and
 * canonicalisation; `body_hash` is bodyhash_finish_text()'s, made with
 * dkim_body_canon(conf). `time_s` becomes t=: the time of acceptance, so that a
 * retry gives the same signature. Nothing of these is needed after the call. NULL if
 * `body_hash` is no hash or `conf` has no key.
 */
struct dkim_sign *dkim_sign_start(struct str head, const struct dkim_conf *conf,
                                  struct str body_hash, int64_t time_s);
void              dkim_sign_destroy(struct dkim_sign *s); /* NULL is allowed */

enum canon dkim_body_canon(const struct dkim_conf *conf);

/* The keys to sign with; all texts are valid until dkim_sign_destroy(). */
size_t     dkim_sign_count(const struct dkim_sign *s);
struct str dkim_sign_domain(const struct dkim_sign *s);
struct str dkim_sign_selector(const struct dkim_sign *s, size_t i); /* as in the configuration */

/*
 * What is to be signed for key `i` is `fields`, those that are covered, and behind them `last`, the
 * signature's own field; dkim/warrant.h says what keyd asks of them. The digest of both is
 * for who has the key at hand.
 */
struct str dkim_sign_fields(const struct dkim_sign *s);
struct str dkim_sign_last(const struct dkim_sign *s, size_t i);
struct str dkim_sign_digest(const struct dkim_sign *s, size_t i); /* DKIM_DIGEST octets */
void dkim_digest(struct str fields, struct str last, unsigned char digest[DKIM_DIGEST]);

const char *dkim_algorithm(enum key_type type); /* a= */

/* The answer for key `i`: the raw octets of the signature; copied. */
void dkim_sign_put(struct dkim_sign *s, size_t i, struct str signature);

/*
 * Append the fields, folded, with CRLF at the end, RSA above Ed25519: they go in
 * front of the message. False, and nothing appended, if a signature is missing.
 */
bool dkim_sign_finish(const struct dkim_sign *s, struct buf *out) MUST_USE;

#endif
