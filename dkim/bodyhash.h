/* SPDX-License-Identifier: ISC */
/*
 * bodyhash - the SHA-256 of a message body in canonical form, as octets pass.
 *
 * Takes the body as it goes on the wire (CRLF line ends, no dot-stuffing) in
 * pieces of any size; how it is cut makes no difference. RFC 6376 sections
 * 3.4.3 and 3.4.4. One object serves one message after another: making one costs
 * more than restarting it.
 */
#ifndef DKIM_BODYHASH_H
#define DKIM_BODYHASH_H

#include "lib/util/buf.h"

enum canon { CANON_RELAXED, CANON_SIMPLE };

enum {
	BODYHASH_OCTETS = 32,
	BODYHASH_TEXT = 44, /* the same in base64 */
};

struct bodyhash;

struct bodyhash *bodyhash_create(enum canon canon);
void             bodyhash_destroy(struct bodyhash *h); /* NULL is allowed */

/* Forget what was fed. */
void bodyhash_restart(struct bodyhash *h, enum canon canon);

void bodyhash_feed(struct bodyhash *h, struct str piece);

/* The end of the body. Feed nothing more before bodyhash_restart(). */
void bodyhash_finish(struct bodyhash *h, unsigned char digest[BODYHASH_OCTETS]);

/* The same, written as base64: the value of bh=. */
void bodyhash_finish_text(struct bodyhash *h, struct buf *out);

bool bodyhash_is_text(struct str s); /* has it the form of that? */

/* "relaxed" or "simple", as in c= and in the envelope's bh_canon; case matters. */
struct str canon_name(enum canon canon);
bool       canon_parse(struct str name, enum canon *canon) MUST_USE;

#endif
