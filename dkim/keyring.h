/* SPDX-License-Identifier: ISC */
/*
 * keyring - all private keys of a configuration, found by name; each with its tally.
 *
 * DKIM keys by domain and selector, keys of certificates by the name that
 * lib/net/tls_key.h gives them.
 */
#ifndef DKIM_KEYRING_H
#define DKIM_KEYRING_H

#include "dkim/tally.h"
#include "lib/util/buf.h"

struct config;
struct keyring;

struct held_key {
	struct key *key;
	struct str  domain;
	struct str  ascii; /* the selector as s= has it */
	struct str  whose; /* "example.com/s1" */
	struct tally tally;
};

struct held_tls_key {
	struct tls_key *key;
	struct str      whose; /* the certificate's file */
	struct tally    tally;
};

/*
 * A key that cannot be loaded ends the process, one without a text is left out. Tallies of keys that `old`, which may be NULL, has too
 * are carried over. Keys that only `old` has are taken from it, and kept until the next configuration (not until the same one
 * comes again, with texts that were missing): sessions that began
 * under its certificates may still have their handshake before them, and mail its signature.
 */
struct keyring *keyring_create(const struct config *c, struct keyring *old);
void            keyring_destroy(struct keyring *r); /* NULL is allowed */

/* NULL if there is none; the selector as in the configuration. */
struct held_key     *keyring_find(const struct keyring *r, struct str domain, struct str selector);
struct held_tls_key *keyring_find_tls(const struct keyring *r, struct str id);

/* How many came without a text: their files could not be read. */
size_t keyring_missing(const struct keyring *r);

/* Rows for `postern status`: how many keys there are, and the tallies of those in use. */
void keyring_stats(const struct keyring *r, struct buf *rows);

#endif
