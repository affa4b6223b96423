/* SPDX-License-Identifier: ISC */
/*
 * sasl - libsasl2, its only home.
 *
 * The library reads no file: its options come from callbacks, user data from a
 * plugin inside this process, and nothing is written. One exchange is one
 * client's AUTH, from the mechanism to a login or a refusal (RFC 4954).
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "lib/util/buf.h"

struct exchange;
struct sasl;

/*
 * Start the library once a process; it loads the mechanisms' modules. NULL and a
 * sentence in `why` that names the package if one of ours is missing.
 */
struct sasl *sasl_open(struct buf *why);

/*
 * From now on: this host name, these users ("users" file text), or saslauthd's
 * socket. Running exchanges must have ended.
 */
void
sasl_configure(struct sasl *s, struct str hostname, struct str users_text, struct str saslauthd);

/* What may be offered, space separated; empty if there is nobody to log in. */
struct str sasl_mechanisms(const struct sasl *s, bool tls);

enum exchange_state {
	EXCHANGE_MORE,
	EXCHANGE_OK,
	EXCHANGE_FAILED,
	EXCHANGE_UNAVAILABLE,
	EXCHANGE_BAD_MECH,
	EXCHANGE_MALFORMED
};

/*
 * `binding` is the tls-exporter value (RFC 9266) or empty; `initial` is NULL if the client
 * sent no initial response. EXCHANGE_MORE: send `challenge` (valid until the next call).
 */
struct exchange    *exchange_create(struct sasl *s, unsigned tls_bits, struct str binding);
enum exchange_state exchange_start(struct exchange *x, struct str mech, const struct str *initial,
                                   struct str *challenge);
enum exchange_state exchange_step(struct exchange *x, struct str response, struct str *challenge);
struct str          exchange_login(struct exchange *x);   /* after EXCHANGE_OK */
void                exchange_destroy(struct exchange *x); /* NULL is allowed */

#endif
